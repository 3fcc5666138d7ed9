"""Plain tables for the terminal."""

from __future__ import annotations

from collections.abc import Sequence


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Left-aligned columns, two spaces apart.

    >>> print(table(["NAME", "PLUGIN"], [["ionq.qpu", "ionq"], ["mock", "mock"]]))
    NAME      PLUGIN
    ionq.qpu  ionq
    mock      mock
    """
    lines = [list(header), *map(list, rows)]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    return "\n".join("  ".join(map(str.ljust, line, widths)).rstrip() for line in lines)
