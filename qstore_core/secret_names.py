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
_ABOUT = (
    *("column", "columns", "count", "endpoint", "env", "file", "length", "limit", "name", "path", "scheme", "size"),
    *("type", "uri", "url", "variable"),
)
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
    """Whether there is a secret in options, at any depth; a bare `key` is one at the top alone.

    >>> holds_secrets({"auth": [{"apiKey": "..."}]}), holds_secrets({"index_name": "api_key"})
    (True, False)
    >>> holds_secrets({"key": "..."}), holds_secrets({"schema": {"key": "text"}}), holds_secrets({"use_token": True})
    (True, False, False)
    """
    return _holds(options, at_top=True)


def _holds(options: object, at_top: bool) -> bool:
    if isinstance(options, Mapping):
        return any(_is_one(str(name), value, at_top) or _holds(value, False) for name, value in options.items())
    return isinstance(options, list | tuple) and any(_holds(each, False) for each in options)


def _is_one(name: str, value: object, at_top: bool) -> bool:
    harmless = value is None or isinstance(value, bool) or (name.lower() == "key" and not at_top)
    return not harmless and is_secret(name)
