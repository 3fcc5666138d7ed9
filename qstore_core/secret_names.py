"""Which options are secrets, by their names: such values are never written down."""

from __future__ import annotations

import re
from collections.abc import Mapping
from itertools import pairwise

_WORD = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+")
_ALWAYS = re.compile(
    r".*(passw(or)?d|passphrase|credential|authorization).*|.*secrets?|pwd|bearer"
    r"|(access|auth|api|bearer|my|refresh|session|user)?token"
    r"|(access|account|api|auth|encryption|master|my|private|shared|signing|ssh)keys?"
)
_GLUED = re.compile(r"(access|api|private|secret)keys?|(access|api|auth)token")
_OF_KEYS = ("encryption", "master", "signing", "ssh")
"""What else makes a key one that is a secret, whatever comes after it."""
_HARMLESS_KEYS = ("column", "foreign", "group", "index", "partition", "primary", "public", "row", "sort")
_OF_TOKENS = ("access", "api", "auth", "bearer", "refresh", "session")
_ABOUT = ("column", "columns", "count", "env", "file", "length", "limit", "name", "path", "size", "type", "variable")
"""Last words of names that say something about a secret, and do not hold one."""


def is_secret(name: str) -> bool:
    """Whether a name is that of a secret: of a key, token, password, passphrase or credential, in any spelling.

    >>> [is_secret(name) for name in ("api_key", "apiKey", "X-API-KEY", "apikey", "clientSecret", "token", "key")]
    [True, True, True, True, True, True, True]
    >>> [is_secret(name) for name in ("key_columns", "tokenizer", "max_tokens", "sort_key", "api_key_env", "keyless")]
    [False, False, False, False, False, False]
    """
    words = [word.lower() for word in _WORD.findall(name)]
    if not words or words[-1] in _ABOUT:
        return False
    if _GLUED.search("".join(words)) or any(map(_ALWAYS.fullmatch, words)):
        return True
    if words[-1] in ("key", "keys"):
        return len(words) == 1 or words[-2] not in _HARMLESS_KEYS
    return words == ["tokens"] or any(
        (word == "key" and before in _OF_KEYS) or (word == "tokens" and before in _OF_TOKENS)
        for before, word in pairwise(words)
    )


def holds_secrets(options: object) -> bool:
    """Whether there is a secret in options, at any depth.

    >>> holds_secrets({"auth": [{"apiKey": "..."}]}), holds_secrets({"index_name": "api_key"})
    (True, False)
    """
    if isinstance(options, Mapping):
        return any(is_secret(str(name)) or holds_secrets(value) for name, value in options.items())
    return isinstance(options, list | tuple) and any(map(holds_secrets, options))
