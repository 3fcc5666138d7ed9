"""What every store can keep and compare: text that is Unicode throughout, and whole numbers of 64 bits."""

from __future__ import annotations

from typing import Any

from qstore_core.errors import StoreError

_LEAST, _MOST = -(2**63), 2**63 - 1


def check_kept(what: str, value: Any) -> None:
    """Raise `StoreError` for text or a number that some store would cut, round or refuse in its own words.

    >>> check_kept("name", "größe")
    >>> check_kept("name", "a" + chr(0))
    Traceback (most recent call last):
    qstore_core.errors.StoreError: name: text without NUL and lone surrogates is kept, not 'a\\x00'; take them out
    """
    if isinstance(value, str) and not (is_unicode(value) and "\0" not in value):
        raise StoreError(f"{what}: text without NUL and lone surrogates is kept, not {value!r:.60}; take them out")
    if isinstance(value, int) and not _LEAST <= value <= _MOST:
        raise StoreError(
            f"{what}: whole numbers of 64 bits are kept, not one of {value.bit_length()} bits; give it as a float or "
            "as text"
        )


def check_namespace(name: object) -> str:
    """`name`, if it can be that of a namespace.

    >>> check_namespace("runs")
    'runs'
    """
    if not (isinstance(name, str) and is_unicode(name)):
        raise StoreError(f"a namespace is text without lone surrogates, not {name!r:.60}; give it another name")
    return name


def is_unicode(text: str) -> bool:
    """Whether text can be written as UTF-8.

    >>> is_unicode("ä"), is_unicode(chr(0xD800))
    (True, False)
    """
    return text.isascii() or not any("\ud800" <= letter <= "\udfff" for letter in text)
