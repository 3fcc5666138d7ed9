"""The gates of the service's two gate sets: what their JSON looks like, and their matrices.

A matrix of a gate on qubits `(a, b)` acts on |00>, |01>, |10>, |11>, where the left digit belongs to `a`. Rotations are
in radians, phases and angles of native gates in turns.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from math import isfinite
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from qstore_core.arrays import ComplexArray, FloatArray
from qstore_core.testing.provider.refusal import RefusedError

_X = np.array([[0, 1], [1, 0]], dtype=np.complex128)
_Y = np.array([[0, -1j], [1j, 0]], dtype=np.complex128)
_Z = np.diag([1, -1]).astype(np.complex128)
_PAULIS = {"x": _X, "y": _Y, "z": _Z}
_TURN = 2 * np.pi
_MAX_ANGLE = 0.25  # turns of a native two-qubit gate; what is published of `ms`, taken to hold for `zz` too
_ROUNDING = 1e-12


@dataclass(frozen=True, slots=True)
class Gate:
    """One gate of a circuit, as it was read.

    Attributes:
        name: The service's name, with the gate set: "qis.zz" and "native.zz" are different gates.
        qubits: What it acts on.
        values: Its numbers, in the order in which its matrix takes them.
    """

    name: str
    qubits: tuple[int, ...]
    values: tuple[float, ...] = ()


def matrices(name: str, values: FloatArray) -> ComplexArray:
    """The matrices of one gate for many values `(n, k)`: `(n, d, d)`, or `(1, d, d)` for a gate without values.

    >>> matrices("qis.v", np.empty((1, 0))).round(1)
    array([[[0.5+0.5j, 0.5-0.5j],
            [0.5-0.5j, 0.5+0.5j]]])
    """
    made = _GATES[name].matrix
    return made(values) if callable(made) else made[None]


def read_gate(entry: Any, gateset: str, *, n_qubits: int, native: frozenset[str]) -> Gate:
    """A gate from its JSON.

    Args:
        entry: The JSON value.
        gateset: "qis" or "native".
        n_qubits: The width of the register.
        native: The native gates that the target has.

    Raises:
        RefusedError: It is none, or not one that this target runs.

    >>> read_gate({"gate": "cnot", "control": 0, "target": 1}, "qis", n_qubits=2, native=frozenset())
    Gate(name='qis.cnot', qubits=(0, 1), values=())
    """
    if not isinstance(entry, Mapping) or not isinstance(entry.get("gate"), str):
        raise RefusedError(400, f"a gate is an object with a name under 'gate', not {entry!r}")
    name = f"{gateset}.{entry['gate']}"
    kind = _GATES.get(name)
    if kind is None or (gateset == "native" and entry["gate"] not in native):
        allowed = native if gateset == "native" else {known[4:] for known in _GATES if known.startswith("qis.")}
        listing = ", ".join(sorted(allowed))
        raise RefusedError(400, f"gate {entry['gate']!r} is not in this target's {gateset} gate set: {listing}")
    left = {key: value for key, value in entry.items() if key != "gate"}
    gate = Gate(name, _qubits(left, kind, name, n_qubits), kind.values(left, name))
    if left:
        raise RefusedError(400, f"gate {name} has no {', '.join(map(repr, left))}")
    return gate


@dataclass(frozen=True, slots=True)
class _Kind:
    n_qubits: int
    matrix: ComplexArray | Callable[[FloatArray], ComplexArray]
    values: Callable[[dict[str, Any], str], tuple[float, ...]]


def _qubits(left: dict[str, Any], kind: _Kind, name: str, n_qubits: int) -> tuple[int, ...]:
    """The qubits, in any of the ways that the service takes; what was read is taken out of `left`."""
    found: list[Any] = []
    for key in ("control", "controls", "target", "targets"):
        if key in left:
            value = left.pop(key)
            found += value if isinstance(value, list) else [value]
    if len(found) != kind.n_qubits or len(set(map(str, found))) != kind.n_qubits:
        raise RefusedError(400, f"gate {name} acts on {kind.n_qubits} different qubit(s), not on {found}")
    if not all(type(qubit) is int and 0 <= qubit < n_qubits for qubit in found):
        raise RefusedError(400, f"gate {name} acts on {found}, and the qubits are 0 to {n_qubits - 1}")
    return tuple(found)


def _number(left: dict[str, Any], key: str, name: str) -> float:
    value = left.pop(key, None)
    if isinstance(value, bool) or not isinstance(value, int | float) or not isfinite(value):
        raise RefusedError(400, f"gate {name} needs a finite number as {key!r}, not {value!r}")
    return float(value)


def _nothing(left: dict[str, Any], name: str) -> tuple[float, ...]:
    return ()


def _rotation(left: dict[str, Any], name: str) -> tuple[float, ...]:
    return (_number(left, "rotation", name),)


def _phase(left: dict[str, Any], name: str) -> tuple[float, ...]:
    return (_number(left, "phase", name),)


def _ms_values(left: dict[str, Any], name: str) -> tuple[float, ...]:
    phases = left.pop("phases", None)
    if not isinstance(phases, list) or len(phases) != 2:
        raise RefusedError(400, f"gate {name} needs two 'phases', not {phases!r}")
    first, second = (_number({"phases": phase}, "phases", name) for phase in phases)
    left.setdefault("angle", _MAX_ANGLE)
    return first, second, _angle(left, name)


def _zz_values(left: dict[str, Any], name: str) -> tuple[float, ...]:
    """The documents of the service call it `angle`, cirq-ionq sends `phase`: either is taken, and only one."""
    if ("angle" in left) == ("phase" in left):
        raise RefusedError(400, f"gate {name} needs an 'angle' (or, as cirq-ionq writes it, a 'phase'), and not both")
    if "phase" in left:
        left["angle"] = left.pop("phase")
    return (_angle(left, name),)


def _angle(left: dict[str, Any], name: str) -> float:
    angle = _number(left, "angle", name)
    if not -_ROUNDING <= angle <= _MAX_ANGLE + _ROUNDING:
        raise RefusedError(400, f"gate {name} takes an angle of 0 to {_MAX_ANGLE} turns, not {angle!r}")
    return angle


def _rotated(generator: NDArray[Any]) -> Callable[[FloatArray], ComplexArray]:
    """`exp(-i t G / 2)` for a generator that is its own inverse."""

    def matrix(values: FloatArray) -> ComplexArray:
        half = values[:, :1, None] / 2
        made: ComplexArray = np.cos(half) * np.eye(len(generator)) - 1j * np.sin(half) * generator
        return made

    return matrix


def _flip(turns: FloatArray) -> ComplexArray:
    """The equatorial Pauli matrix `cos(p) X + sin(p) Y` for phases in turns `(n,)`."""
    angle = _TURN * turns[:, None, None]
    made: ComplexArray = np.cos(angle) * _X + np.sin(angle) * _Y
    return made


def _gpi(values: FloatArray) -> ComplexArray:
    return _flip(values[:, 0])


def _gpi2(values: FloatArray) -> ComplexArray:
    made: ComplexArray = (np.eye(2) - 1j * _flip(values[:, 0])) / np.sqrt(2)
    return made


def _ms(values: FloatArray) -> ComplexArray:
    first, second = _flip(values[:, 0]), _flip(values[:, 1])
    generators = np.einsum("nij,nkl->nikjl", first, second).reshape(-1, 4, 4)
    half = np.pi * values[:, 2, None, None]
    made: ComplexArray = np.cos(half) * np.eye(4) - 1j * np.sin(half) * generators
    return made


def _native_zz(values: FloatArray) -> ComplexArray:
    return _rotated(np.kron(_Z, _Z))(_TURN * values)


def _phases(*turns: float) -> ComplexArray:
    return np.diag(np.exp(1j * _TURN * np.array(turns)))


def _root_of_x(sign: int) -> ComplexArray:
    made: ComplexArray = ((1 + sign * 1j) * np.eye(2) + (1 - sign * 1j) * _X) / 2
    return made


def _kinds() -> dict[str, _Kind]:
    cnot, swap = np.eye(4)[[0, 1, 3, 2]].astype(complex), np.eye(4)[[0, 2, 1, 3]].astype(complex)
    fixed = {
        "x": _X, "not": _X, "y": _Y, "z": _Z, "h": (_X + _Z) / np.sqrt(2), "s": _phases(0, 0.25),
        "si": _phases(0, -0.25), "t": _phases(0, 0.125), "ti": _phases(0, -0.125), "v": _root_of_x(1),
        "vi": _root_of_x(-1), "cnot": cnot, "swap": swap,
    }  # fmt: skip
    kinds = {f"qis.{name}": _Kind(len(matrix).bit_length() - 1, matrix, _nothing) for name, matrix in fixed.items()}
    for letter, matrix in _PAULIS.items():
        kinds[f"qis.r{letter}"] = _Kind(1, _rotated(matrix), _rotation)
        kinds[f"qis.{letter * 2}"] = _Kind(2, _rotated(np.kron(matrix, matrix)), _rotation)
    kinds["native.gpi"] = _Kind(1, _gpi, _phase)
    kinds["native.gpi2"] = _Kind(1, _gpi2, _phase)
    kinds["native.ms"] = _Kind(2, _ms, _ms_values)
    kinds["native.zz"] = _Kind(2, _native_zz, _zz_values)
    return kinds


_GATES: Mapping[str, _Kind] = MappingProxyType(_kinds())
