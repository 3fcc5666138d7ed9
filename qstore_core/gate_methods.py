"""The fluent gate methods of a circuit, one for each gate of the set and each alias."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Self

from qstore_core.angles import AngleLike


class GateMethods(ABC):
    """`circuit.<gate>(qubits..., angle)` for every gate, each in terms of `append`."""

    @abstractmethod
    def append(self, name: str, qubits: int | Sequence[int], angle: AngleLike | None = None) -> Self:
        """The circuit with one more gate, by name."""

    def x(self, qubit: int) -> Self:
        """Pauli X."""
        return self.append("x", qubit)

    def y(self, qubit: int) -> Self:
        """Pauli Y."""
        return self.append("y", qubit)

    def z(self, qubit: int) -> Self:
        """Pauli Z."""
        return self.append("z", qubit)

    def h(self, qubit: int) -> Self:
        """Hadamard."""
        return self.append("h", qubit)

    def s(self, qubit: int) -> Self:
        """`diag(1, i)`."""
        return self.append("s", qubit)

    def sdg(self, qubit: int) -> Self:
        """`diag(1, -i)`."""
        return self.append("sdg", qubit)

    def t(self, qubit: int) -> Self:
        """`diag(1, exp(i pi/4))`."""
        return self.append("t", qubit)

    def tdg(self, qubit: int) -> Self:
        """`diag(1, exp(-i pi/4))`."""
        return self.append("tdg", qubit)

    def sx(self, qubit: int) -> Self:
        """The square root of X, `[[1+i, 1-i], [1-i, 1+i]] / 2`."""
        return self.append("sx", qubit)

    def rx(self, qubit: int, angle: AngleLike) -> Self:
        """`exp(-i angle X / 2)`."""
        return self.append("rx", qubit, angle)

    def ry(self, qubit: int, angle: AngleLike) -> Self:
        """`exp(-i angle Y / 2)`."""
        return self.append("ry", qubit, angle)

    def rz(self, qubit: int, angle: AngleLike) -> Self:
        """`exp(-i angle Z / 2)`."""
        return self.append("rz", qubit, angle)

    def p(self, qubit: int, angle: AngleLike) -> Self:
        """`diag(1, exp(i angle))`."""
        return self.append("p", qubit, angle)

    def cnot(self, control: int, target: int) -> Self:
        """X on `target` where `control` is 1."""
        return self.append("cnot", (control, target))

    def cx(self, control: int, target: int) -> Self:
        """`cnot` by its other name."""
        return self.cnot(control, target)

    def cz(self, first: int, second: int) -> Self:
        """`diag(1, 1, 1, -1)`."""
        return self.append("cz", (first, second))

    def swap(self, first: int, second: int) -> Self:
        """Exchange two qubits."""
        return self.append("swap", (first, second))

    def rxx(self, first: int, second: int, angle: AngleLike) -> Self:
        """`exp(-i angle XX / 2)`."""
        return self.append("rxx", (first, second), angle)

    def ryy(self, first: int, second: int, angle: AngleLike) -> Self:
        """`exp(-i angle YY / 2)`."""
        return self.append("ryy", (first, second), angle)

    def rzz(self, first: int, second: int, angle: AngleLike) -> Self:
        """`exp(-i angle ZZ / 2)`."""
        return self.append("rzz", (first, second), angle)

    def crx(self, control: int, target: int, angle: AngleLike) -> Self:
        """`rx(angle)` on `target` where `control` is 1."""
        return self.append("crx", (control, target), angle)

    def cry(self, control: int, target: int, angle: AngleLike) -> Self:
        """`ry(angle)` on `target` where `control` is 1."""
        return self.append("cry", (control, target), angle)

    def crz(self, control: int, target: int, angle: AngleLike) -> Self:
        """`rz(angle)` on `target` where `control` is 1."""
        return self.append("crz", (control, target), angle)

    def toffoli(self, first_control: int, second_control: int, target: int) -> Self:
        """X on `target` where both controls are 1."""
        return self.append("toffoli", (first_control, second_control, target))

    def ccx(self, first_control: int, second_control: int, target: int) -> Self:
        """`toffoli` by its other name."""
        return self.toffoli(first_control, second_control, target)
