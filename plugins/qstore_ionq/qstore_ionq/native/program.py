"""Compiled programs: what a structure becomes once, before any row of angles is seen."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import ArrayLike

from qstore_core.arrays import FloatArray
from qstore_core.errors import CircuitError
from qstore_ionq.native.bound import BoundCircuits, BoundProgram
from qstore_ionq.native.documents import Slot
from qstore_ionq.native.poles import Family


@dataclass(frozen=True, slots=True, eq=False)
class Template:
    """The circuits of one measurement group, with their angles left open.

    Attributes:
        slots: The gates that a circuit can have, in order.
        readout: For each bit of the group, the qubit of the device that holds it in the end.
        fill: Gives the circuits for rows of gate angles `(n_rows, n_angles)`.
    """

    slots: tuple[Slot, ...]
    readout: tuple[int, ...]
    fill: Callable[[FloatArray], BoundCircuits]

    def gate_counts(self) -> tuple[int, int]:
        """The most gates on one and on two qubits that a row can have."""
        sizes = [len(slot.qubits) for slot in self.slots if not slot.spare]
        return sizes.count(1), sizes.count(2)


@dataclass(frozen=True, slots=True, eq=False)
class Program:
    """What `NativeProgram` and `QISProgram` have in common: circuits of one structure, to be bound to rows of angles.

    Attributes:
        gateset: The API's name of the gate set.
        family: The two-qubit gate of the native gate set, "zz" or "ms"; None for the abstract one.
        n_qubits: The width of the register, on the device too.
        n_angles: The gate angles of a row.
        templates: For each measurement group its circuits.
    """

    gateset: ClassVar[str]

    family: Family | None
    n_qubits: int
    n_angles: int
    templates: tuple[Template, ...]

    @property
    def n_circuits_per_row(self) -> int:
        """How many circuits a row of angles takes: one for each measurement group."""
        return len(self.templates)

    def gate_counts(self, group: int) -> tuple[int, int]:
        """The most gates on one and on two qubits that a circuit of this group has, whatever its angles are."""
        return self.templates[group].gate_counts()

    def readout(self, group: int) -> tuple[int, ...]:
        """For each bit of the group's basis, most significant first, the qubit of the device that holds it."""
        return self.templates[group].readout

    def bind(self, angles: ArrayLike) -> BoundProgram:
        """The circuits for rows of gate angles.

        Args:
            angles: `(n_rows, n_angles)`, radians, in the order of the structure's gates that have an angle.

        Raises:
            CircuitError: Another shape, no rows, or angles that are not finite.
        """
        rows = np.asarray(angles, dtype=np.float64)
        if rows.ndim != 2 or rows.shape[1] != self.n_angles or not len(rows):
            raise CircuitError(f"angles need shape (n_rows, {self.n_angles}), at least one row, not {rows.shape}")
        if not np.isfinite(rows).all():
            raise CircuitError("angles must be finite; found nan or inf")
        return BoundProgram(len(rows), tuple(template.fill(rows) for template in self.templates))


class NativeProgram(Program):
    """Circuits in native gates: GPI, GPI2, and ZZ or MS."""

    __slots__ = ()
    gateset = "native"


class QISProgram(Program):
    """Circuits in the abstract gates of the API, which the provider compiles itself."""

    __slots__ = ()
    gateset = "qis"
