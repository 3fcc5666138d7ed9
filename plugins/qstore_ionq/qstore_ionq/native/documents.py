"""How gates are written for version 0.4 of IonQ's API, one by one and as text for whole circuits.

Phases and the angles of native gates are in turns, rotations of the abstract gates (`qis`) in radians. The native ZZ
has its angle under "angle", as IonQ's documentation of the API writes it; cirq-ionq 1.7 writes "phase" there. Which of
them the service reads has not been tried.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from types import MappingProxyType
from typing import Any, TypeAlias

Document: TypeAlias = dict[str, Any]
_Writer: TypeAlias = Callable[[tuple[int, ...], Sequence[Any]], Document]


@dataclass(frozen=True)
class Slot:
    """A gate of the circuits that are sent, without its numbers.

    Attributes:
        gate: The API's name.
        qubits: The qubits of the device.
        native: Whether it is of the native gate set: both sets have a "zz".
        spare: Whether it is only there in a row where it stands for two others.
    """

    gate: str
    qubits: tuple[int, ...]
    native: bool = False
    spare: bool = False

    @property
    def n_numbers(self) -> int:
        """How many numbers it needs."""
        return _KINDS[self.native][self.gate][0]

    def document(self, numbers: Sequence[Any]) -> Document:
        """The gate with its numbers.

        >>> Slot("ms", (0, 1), native=True).document([0.5, 0.0, 0.25])
        {'gate': 'ms', 'targets': [0, 1], 'phases': [0.5, 0.0], 'angle': 0.25}
        """
        return {"gate": self.gate, **_KINDS[self.native][self.gate][1](self.qubits, numbers)}

    @cached_property
    def template(self) -> str:
        """Its JSON, with `%r` for each number.

        >>> Slot("rx", (2,)).template
        '{"gate":"rx","target":2,"rotation":%r}'
        """
        return json.dumps(self.document(["%r"] * self.n_numbers), separators=(",", ":")).replace('"%r"', "%r")


def _fixed(qubits: tuple[int, ...], _: Sequence[Any]) -> Document:
    return {"target": qubits[0]}


def _rotation(qubits: tuple[int, ...], numbers: Sequence[Any]) -> Document:
    return {"target": qubits[0], "rotation": numbers[0]}


def _joint_rotation(qubits: tuple[int, ...], numbers: Sequence[Any]) -> Document:
    return {"targets": list(qubits), "rotation": numbers[0]}


def _cnot(qubits: tuple[int, ...], _: Sequence[Any]) -> Document:
    return {"control": qubits[0], "target": qubits[1]}


def _phase(qubits: tuple[int, ...], numbers: Sequence[Any]) -> Document:
    return {"target": qubits[0], "phase": numbers[0]}


def _ms(qubits: tuple[int, ...], numbers: Sequence[Any]) -> Document:
    return {"targets": list(qubits), "phases": list(numbers[:2]), "angle": numbers[2]}


def _zz(qubits: tuple[int, ...], numbers: Sequence[Any]) -> Document:
    return {"targets": list(qubits), "angle": numbers[0]}


_ABSTRACT: dict[str, tuple[int, _Writer]] = {
    **dict.fromkeys("x y z h s si t ti v vi".split(), (0, _fixed)),
    **dict.fromkeys(("rx", "ry", "rz"), (1, _rotation)),
    **dict.fromkeys(("xx", "yy", "zz"), (1, _joint_rotation)),
    "cnot": (0, _cnot),
}
_NATIVE: dict[str, tuple[int, _Writer]] = {"gpi": (1, _phase), "gpi2": (1, _phase), "ms": (3, _ms), "zz": (1, _zz)}
_KINDS: Mapping[bool, Mapping[str, tuple[int, _Writer]]] = MappingProxyType({False: _ABSTRACT, True: _NATIVE})
