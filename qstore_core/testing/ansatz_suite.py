"""The conformance suite of ansatze."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from typing import ClassVar, TypeAlias

import numpy as np

from qstore_core.ansatz import Ansatz
from qstore_core.backend import BackendCapabilities
from qstore_core.circuit import QuantumCircuit
from qstore_core.errors import CapabilityError, QStoreError
from qstore_core.model import QuantumModel
from qstore_core.testing.expect import require, require_close, skip
from qstore_core.testing.reference import ReferenceBackend

Factory: TypeAlias = Callable[[], Ansatz]


class AnsatzSuite:
    """Every check of an ansatz; fill in the fixture `make_ansatz` with what makes one.

    Attributes:
        widths: The numbers of qubits to try.
        depths: The depths to try.
        features: The numbers of inputs to try.

    >>> from qstore_core import HardwareEfficientAnsatz
    >>> from qstore_core.testing import run_suite
    >>> {outcome.state for outcome in run_suite(AnsatzSuite(), make_ansatz=HardwareEfficientAnsatz)}
    {'passed'}
    """

    widths: ClassVar[tuple[int, ...]] = (1, 2, 3, 5)
    depths: ClassVar[tuple[int, ...]] = (1, 2, 3)
    features: ClassVar[tuple[int, ...]] = (1, 2, 4)

    def test_it_gives_a_circuit_of_the_width_asked_for(self, make_ansatz: Factory) -> None:
        """A `QuantumCircuit` of `n_qubits`, for every width, depth and number of inputs."""
        for what, circuit, n_qubits, _ in self._circuits(make_ansatz):
            require(isinstance(circuit, QuantumCircuit), f"{what}: circuit() gave a {type(circuit).__name__}")
            require(circuit.n_qubits == n_qubits, f"{what}: the circuit has {circuit.n_qubits} qubits")

    def test_every_input_has_a_feature(self, make_ansatz: Factory) -> None:
        """As many features as inputs, or more where an encoding makes several of one; none: the core encodes them."""
        for what, circuit, _, n_features in self._circuits(make_ansatz):
            found = len(circuit.features)
            require(found >= n_features or not found, f"{what}: the circuit has {found} features, so inputs are lost")

    def test_it_has_parameters_and_each_turns_a_gate(self, make_ansatz: Factory) -> None:
        """There is something to train, and no parameter that is in no angle."""
        for what, circuit, *_ in self._circuits(make_ansatz):
            require(circuit.parameters, f"{what}: the circuit has no parameters: nothing can be trained")
            idle = np.flatnonzero(~circuit.affine.parameters.used)
            require(not len(idle), f"{what}: {[circuit.parameters[index] for index in idle]} are in no angle")

    def test_depth_does_not_make_it_smaller(self, make_ansatz: Factory) -> None:
        """More layers have no fewer parameters."""
        able = BackendCapabilities(max_qubits=max(self.widths))
        sizes = [len(make_ansatz().circuit(max(self.widths), depth, 1, able).parameters) for depth in self.depths]
        require(sizes == sorted(sizes), f"depths {self.depths} have {sizes} parameters: fewer with more layers")

    def test_the_same_arguments_give_the_same_circuit(self, make_ansatz: Factory) -> None:
        """A checkpoint is resumed on a circuit that is built anew, in another process."""
        for (what, first, *_), (_, second, *_) in zip(
            self._circuits(make_ansatz), self._circuits(make_ansatz), strict=True
        ):
            same = first.structure == second.structure and first.parameters == second.parameters
            require(same and first.features == second.features, f"{what}: a second call gives another circuit")

    def test_it_refuses_what_cannot_be(self, make_ansatz: Factory) -> None:
        """A depth of 0 is an error of qstore's, or a circuit, but nothing else."""
        try:
            circuit = make_ansatz().circuit(2, 0, 1, BackendCapabilities(max_qubits=2))
        except QStoreError:
            return
        except Exception as error:
            require(False, f"depth 0: {type(error).__name__}: {error}; raise a ConfigurationError that says so")
            return
        require(isinstance(circuit, QuantumCircuit), f"depth 0 gave a {type(circuit).__name__}")

    def test_a_model_with_it_answers_and_can_learn(self, make_ansatz: Factory) -> None:
        """Outputs in [-1, 1] that change with the inputs and with some of the parameters."""
        width = min(3, max(self.widths))
        model = QuantumModel(min(2, width), width, 1, ReferenceBackend(), ansatz=make_ansatz(), depth=2, seed=1)
        x = np.random.default_rng(3).normal(size=(4, model.input_dim))
        model.parameters = np.random.default_rng(4).normal(size=model.n_parameters)
        outputs = asyncio.run(model.forward(x))
        require(np.isfinite(outputs).all() and np.abs(outputs).max() <= 1 + 1e-9, f"outputs are {outputs.ravel()}")
        require(np.ptp(outputs) > 1e-6, "four different inputs give the same output: no input reaches the outputs")
        before, moved = outputs, 0.0
        for index in range(model.n_parameters):
            parameters = model.parameters.copy()
            model.parameters = parameters + 0.5 * (np.arange(len(parameters)) == index)
            moved = max(moved, float(np.abs(asyncio.run(model.forward(x)) - before).max()))
            model.parameters = parameters
        require(moved > 1e-6, "no parameter changes any output: nothing can be learnt")
        require_close(asyncio.run(model.forward(x)), before, 1e-12, "the outputs at the same parameters")

    def _circuits(self, make_ansatz: Factory) -> Iterator[tuple[str, QuantumCircuit, int, int]]:
        able, ansatz, tried = BackendCapabilities(max_qubits=max(self.widths)), make_ansatz(), 0
        for n_qubits in self.widths:
            for depth in self.depths:
                for n_features in self.features:
                    try:
                        circuit = ansatz.circuit(n_qubits, depth, n_features, able)
                    except CapabilityError:
                        continue
                    tried += 1
                    yield f"{n_qubits} qubits, depth {depth}, {n_features} inputs", circuit, n_qubits, n_features
        if not tried:
            skip("it can build no circuit of these widths; set widths")
