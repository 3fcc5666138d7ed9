"""Which gate set a circuit is sent in: the one asked for, or the one that is estimated to be cheaper or truer."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from qstore_core.arrays import IntArray
from qstore_core.batch import CircuitBatch
from qstore_core.errors import UnknownNameError
from qstore_core.observables import MeasurementGroup
from qstore_core.operations import CircuitStructure
from qstore_ionq.native import Program, compile_native, compile_qis
from qstore_ionq.prices import GatePrices
from qstore_ionq.targets import Family, NoiseModel

Gateset = Literal["auto", "native", "qis"]
Criterion = Literal["price", "fidelity"]
GATESETS = ("auto", "native", "qis")
CRITERIA = ("price", "fidelity")


@dataclass(frozen=True, slots=True, eq=False)
class Compiled:
    """A compiled structure, and why it is in this gate set.

    Attributes:
        program: The circuits with their angles left open.
        reason: Which gate set was chosen and why.
    """

    program: Program
    reason: str

    @property
    def most_gates(self) -> IntArray:
        """The most gates on one and on two qubits of each basis's circuit, `(n_groups, 2)`."""
        counts = [self.program.gate_counts(group) for group in range(self.program.n_circuits_per_row)]
        return np.array(counts, dtype=np.int64).reshape(-1, 2)

    def gates(self, batch: CircuitBatch) -> IntArray:
        """The gates on one and on two qubits of each circuit of a batch, `(n_rows * n_groups, 2)`."""
        if not self.program.n_circuits_per_row:
            return np.zeros((0, 2), dtype=np.int64)
        return self.program.bind(batch.angles).gate_counts().reshape(-1, 2)


@dataclass(frozen=True, slots=True, kw_only=True)
class Chooser:
    """Compiles structures for one machine.

    Attributes:
        gateset: The gate set, or "auto".
        criterion: What "auto" goes by first; what is equal by it goes by the other, and then native.
        family: The machine's two-qubit gate.
        prices: What its gates cost; None: nothing.
        noise: The noise after its gates; None: not known.
    """

    gateset: Gateset = "auto"
    criterion: Criterion = "price"
    family: Family = "zz"
    prices: GatePrices | None = None
    noise: NoiseModel | None = None

    def __post_init__(self) -> None:
        for kind, name, known in (("gateset", self.gateset, GATESETS), ("criterion", self.criterion, CRITERIA)):
            if name not in known:
                raise UnknownNameError.of(kind, name, known)

    def compile(self, structure: CircuitStructure, groups: Sequence[MeasurementGroup]) -> Compiled:
        """The program of a structure, in the gate set asked for or the better one."""
        if self.gateset == "qis":
            return Compiled(compile_qis(structure, groups), "qis, as asked for")
        native = Compiled(compile_native(structure, groups, family=self.family), "native, as asked for")
        if self.gateset == "native":
            return native
        return self._better(native, Compiled(compile_qis(structure, groups), ""))

    def _better(self, native: Compiled, qis: Compiled) -> Compiled:
        prices = [self._usd(each) for each in (native, qis)]
        losses = [self._loss(each) for each in (native, qis)]
        by_price = ("price", prices, "USD a shot", prices)
        by_fidelity = ("fidelity", losses, "estimated fidelity", [math.exp(-loss) for loss in losses])
        rules = [by_price, by_fidelity] if self.criterion == "price" else [by_fidelity, by_price]
        for name, (ours, theirs), unit, (first, second) in rules:
            if not math.isclose(ours, theirs, rel_tol=1e-9, abs_tol=1e-15):
                better, other = (first, second) if ours < theirs else (second, first)
                chosen, word = (native, "native") if ours < theirs else (qis, "qis")
                return Compiled(chosen.program, f"{word}, by {name}: {better:.6g} {unit} against {other:.6g}")
        return Compiled(native.program, "native: neither price nor fidelity tells the gate sets apart")

    def _usd(self, compiled: Compiled) -> float:
        """The gates of one shot of each basis, the most there can be, counted as they are sent."""
        return 0.0 if self.prices is None else float(self.prices.per_shot(compiled.most_gates).sum())

    def _loss(self, compiled: Compiled) -> float:
        """Minus the logarithm of the mean chance that no gate of a circuit fails."""
        noise = self.noise
        if noise is None or noise.one_qubit is None or noise.two_qubit is None or not len(compiled.most_gates):
            return 0.0
        strengths = np.array([noise.one_qubit, noise.two_qubit])
        chances = np.exp(compiled.most_gates @ np.log1p(-strengths))
        return -math.log(float(chances.mean()))
