"""The work: circuits, data and what a way of doing it has to offer."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, TypeAlias

import numpy as np

Array: TypeAlias = np.ndarray[Any, np.dtype[np.float64]]
SAMPLES = 10
STEP = 0.1
SHOTS = 1000


@dataclass(frozen=True)
class Work:
    """RY(x) on every qubit, then layers of RY and RZ on every qubit and a chain of CNOTs; two outputs, squared error.

    Attributes:
        n_qubits: Width; as many inputs.
        depth: Layers.
        readout: "first" or "last": Z on the first or last two qubits. "mean": qstore's default, the means of Z over
            the even and the odd qubits.
        samples: The size of the mini-batch.
        light_cone: Whether gates that cannot change the outputs may be left out; else nobody leaves any out.
    """

    n_qubits: int
    depth: int
    readout: str = "last"
    samples: int = SAMPLES
    light_cone: bool = False

    def __str__(self) -> str:
        cone = ", light cone" if self.light_cone else ""
        return f"n={self.n_qubits} d={self.depth}, readout {self.readout}{cone}, {self.samples} samples"

    @property
    def n_parameters(self) -> int:
        """RY and RZ of each qubit, layer by layer, qubit by qubit."""
        return 2 * self.n_qubits * self.depth

    @property
    def read(self) -> tuple[tuple[int, ...], tuple[int, ...]]:
        """For each output the qubits whose Z it is the mean of."""
        n = self.n_qubits
        if self.readout == "mean":
            return tuple(range(0, n, 2)), tuple(range(1, n, 2))
        return ((0,), (1,)) if self.readout == "first" else ((n - 2,), (n - 1,))

    @cached_property
    def x(self) -> Array:
        """Inputs in radians, `(samples, n_qubits)`."""
        return np.random.default_rng(3).normal(0.0, 0.5, (self.samples, self.n_qubits))

    @cached_property
    def y(self) -> Array:
        """Targets, `(samples, 2)`."""
        return np.random.default_rng(4).choice([-1.0, 1.0], (self.samples, 2))

    def theta(self, repeat: int) -> Array:
        """Parameters that no other repeat has."""
        return np.random.default_rng([5, repeat]).normal(0.0, 1.0, self.n_parameters)

    def directions(self, repeat: int) -> Array:
        """SPSA's directions, one for each sample: `(samples, n_parameters)` of +-1."""
        return np.random.default_rng([6, repeat]).choice([-1.0, 1.0], (self.samples, self.n_parameters))

    def sides(self, repeat: int) -> tuple[Array, Array]:
        """The rows of an SPSA step: inputs `(2 samples, n_qubits)` and parameters `(2 samples, n_parameters)`."""
        moves = STEP * self.directions(repeat)
        parameters = np.concatenate([self.theta(repeat) + moves, self.theta(repeat) - moves])
        return np.concatenate([self.x, self.x]), parameters

    def shifted(self, repeat: int) -> tuple[Array, Array]:
        """The rows of a parameter-shift gradient: the unshifted samples, then those of each shift."""
        theta, quarter = self.theta(repeat), np.pi / 2
        turns = np.concatenate([np.zeros((1, theta.size)), np.eye(theta.size), -np.eye(theta.size)])
        rows = np.repeat(theta + quarter * turns, self.samples, axis=0)
        return np.tile(self.x, (len(turns), 1)), rows

    def spsa_gradient(self, outputs: Array, repeat: int) -> Array:
        """The gradient from the outputs of `sides`, by the differences of each sample's loss."""
        losses = ((outputs - np.concatenate([self.y, self.y])) ** 2).mean(axis=1)
        slopes = (losses[: self.samples] - losses[self.samples :]) / (2 * STEP)
        gradient: Array = (slopes[:, None] * self.directions(repeat)).mean(axis=0)
        return gradient

    def shift_gradient(self, outputs: Array) -> Array:
        """The gradient from the outputs of `shifted`."""
        found = outputs.reshape(1 + 2 * self.n_parameters, self.samples, 2)
        jacobian = (found[1 : self.n_parameters + 1] - found[self.n_parameters + 1 :]) / 2
        gradient: Array = np.einsum("bo,pbo->p", self.cotangents(found[0]), jacobian)
        return gradient

    def cotangents(self, outputs: Array) -> Array:
        """The derivative of the loss by the outputs of the samples, `(samples, 2)`."""
        return 2 * (outputs - self.y) / self.y.size

    @property
    def rules(self) -> Array:
        """`(2**n_qubits, 2)`, what each outcome contributes to the outputs; qubit 0 is the most significant bit."""
        outcomes = np.arange(2**self.n_qubits)
        columns = [
            np.mean([1.0 - 2.0 * (outcomes >> (self.n_qubits - 1 - qubit) & 1) for qubit in qubits], axis=0)
            for qubits in self.read
        ]
        return np.stack(columns, axis=1)


Way: TypeAlias = Callable[[int], Any]
"""What is timed: takes the number of the repeat and returns the outputs or the gradient."""


@dataclass(frozen=True)
class Contender:
    """One library, used in one way.

    Attributes:
        name: What the tables call it.
        precision: "double" or "single": complex128 or complex64.
        ways: For each column of the tables what is timed. Names beginning with `sampled` cannot be compared exactly.
        prepare: Called before each call, outside the time that is taken.
    """

    name: str
    precision: str
    ways: Mapping[str, Way] = field(default_factory=dict)
    prepare: Callable[[], None] = lambda: None


COLUMNS: Mapping[str, str] = {
    "forward": "the outputs of the samples",
    "spsa": "an SPSA step: two circuits a sample",
    "shift": "the parameter-shift gradient: 2 P + 1 circuits a sample",
    "exact": "the exact gradient, by the fastest way the library has",
    "sampled forward": f"the outputs of the samples with {SHOTS} shots",
    "sampled spsa": f"an SPSA step with {SHOTS} shots",
}
"""The columns of the tables, with what they mean."""
