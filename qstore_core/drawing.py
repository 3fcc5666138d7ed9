"""Circuits as text, a line for each qubit."""

from __future__ import annotations

from collections.abc import Sequence

from qstore_core.operations import Operation

_LABELS = {
    "cnot": ("●", "X"),
    "cz": ("●", "●"),
    "swap": ("x", "x"),
    "toffoli": ("●", "●", "X"),
    "crx": ("●", "RX"),
    "cry": ("●", "RY"),
    "crz": ("●", "RZ"),
}
_DAGGERS = {"sdg": "S†", "tdg": "T†", "sx": "√X"}


def draw(n_qubits: int, operations: Sequence[Operation]) -> str:
    """The circuit as lines of text, time from left to right, qubit 0 at the top."""
    columns = [_column(n_qubits, layer) for layer in _layers(n_qubits, operations)]
    margin = len(str(n_qubits - 1))
    lines = []
    for line in range(2 * n_qubits - 1):
        wire = line % 2 == 0
        head = f"{line // 2:>{margin}}: " if wire else " " * (margin + 2)
        lines.append((head + ("─" if wire else " ") + "".join(column[line] for column in columns)).rstrip())
    return "\n".join(lines)


def _layers(n_qubits: int, operations: Sequence[Operation]) -> list[list[Operation]]:
    """The operations in columns such that no two of one column cross on the page."""
    free = [0] * n_qubits
    layers: list[list[Operation]] = []
    for operation in operations:
        span = range(min(operation.qubits), max(operation.qubits) + 1)
        column = max(free[qubit] for qubit in span)
        for qubit in span:
            free[qubit] = column + 1
        if column == len(layers):
            layers.append([])
        layers[column].append(operation)
    return layers


def _column(n_qubits: int, layer: list[Operation]) -> list[str]:
    """The `2 * n_qubits - 1` cells of one column: wires, and the gaps between them."""
    cells = ["" for _ in range(2 * n_qubits - 1)]
    for operation in layer:
        for line in range(2 * min(operation.qubits), 2 * max(operation.qubits) + 1):
            cells[line] = "│" if line % 2 else "┼"
        for qubit, label in zip(operation.qubits, _labels(operation), strict=True):
            cells[2 * qubit] = label
    width = max(map(len, cells))
    return [_padded(cell, width, wire=line % 2 == 0) for line, cell in enumerate(cells)]


def _labels(operation: Operation) -> tuple[str, ...]:
    upper = _DAGGERS.get(operation.name, operation.name.upper())
    labels = _LABELS.get(operation.name, (upper,) * len(operation.qubits))
    if operation.angle is None:
        return labels
    return (*labels[:-1], f"{labels[-1]}({operation.angle!r})")


def _padded(cell: str, width: int, *, wire: bool) -> str:
    """A cell centred over `width`, with a piece of wire, or of blank, after it."""
    fill = "─" if wire else " "
    return cell.center(width, fill) + fill
