"""The model runs and trains the smaller circuit, and what it shows is the whole one."""

from __future__ import annotations

import asyncio

import numpy as np
import pytest
from numpy.typing import NDArray

from qstore_core.angles import Feature, Parameter
from qstore_core.backend import Backend
from qstore_core.circuit import QuantumCircuit
from qstore_core.errors import UnknownNameError
from qstore_core.executor import Executor, ExecutorOptions
from qstore_core.model import QuantumModel
from qstore_core.observables import PauliString
from qstore_core.randomness import StepKey

X, THETA = Feature("x"), Parameter("theta")


class TestReduction:
    @pytest.mark.parametrize("entanglement", ["linear", "circular", "full"])
    def test_the_last_layer_of_rz_never_matters_to_means_of_z(self, entanglement: str) -> None:
        active = QuantumModel(5, 5, 2, depth=3, entanglement=entanglement).active_parameters
        assert np.flatnonzero(~active).tolist() == [21, 23, 25, 27, 29]

    def test_of_eight_qubits_at_depth_two_z_on_the_first_sees_five_parameters_of_32(self) -> None:
        with pytest.warns(UserWarning, match=r"input feature\(s\) \[2, 3, 4, 5, 6, 7\] cannot influence the output"):
            model = QuantumModel(8, 8, 1, readout=["Z0"])
        assert (model.active_parameters.sum(), model.n_parameters) == (5, 32)

    def test_parameters_that_are_not_active_change_nothing(self, mock: Backend, rng: np.random.Generator) -> None:
        with pytest.warns(UserWarning, match="cannot influence the output"):
            model = QuantumModel(4, 4, 1, mock, depth=2, readout=["Z1 X0"])
        x, before = rng.normal(size=(5, 4)), rng.normal(size=model.n_parameters)
        assert 0 < model.active_parameters.sum() < model.n_parameters
        full = Executor(mock, options=ExecutorOptions(reduce=False))

        def outputs(parameters: NDArray[np.float64]) -> NDArray[np.float64]:
            model.parameters = parameters
            return asyncio.run(model.run(full, x, shots=None, key=StepKey(1, "test"), reduce="none"))

        moved = np.where(model.active_parameters, before, rng.normal(size=model.n_parameters))
        np.testing.assert_allclose(outputs(moved), outputs(before), rtol=0, atol=1e-12)

    def test_features_that_only_turn_the_phase_of_the_first_state_are_warned_of(self) -> None:
        with pytest.warns(UserWarning, match=r"input feature\(s\) \[0\] cannot influence the output"):
            QuantumModel(1, 1, 1, ansatz=QuantumCircuit(1).rz(0, X).ry(0, THETA))

    def test_an_input_that_the_encoding_carries_elsewhere_is_not_lost(self) -> None:
        model = QuantumModel(2, 2, 1, encoding="zz", ansatz=QuantumCircuit(2).ry(0, THETA))
        _, affine = model.reduced()
        assert affine.features.used.tolist() == [True, False, True]  # x[1] by itself is dead, in the product it is not

    def test_its_cost_is_told_before_and_after(self) -> None:
        cost = QuantumModel(4, 4, 2).circuit_cost()
        assert (cost.before.gates, cost.before.two_qubit_gates, cost.before.angles) == (26, 6, 20)
        assert (cost.after.gates, cost.after.two_qubit_gates, cost.after.angles) == (19, 3, 16)
        assert (cost.before.parameters, cost.after.parameters) == (16, 12)
        assert (cost.before.longest_parity, cost.after.longest_parity) == (1, 4)
        assert (cost.before.circuits, cost.after.circuits) == (1, 1)
        assert (cost.light_cone, cost.tails) == (4, 3)
        assert str(cost).splitlines()[1].split() == ["gates", "26", "19"]

    def test_without_reduction_nothing_changes(self) -> None:
        cost = QuantumModel(4, 4, 2).circuit_cost("none")
        assert cost.before.gates == cost.after.gates == 26
        assert (cost.light_cone, cost.tails) == (0, 0)

    def test_an_unknown_reduction_lists_the_known_ones(self) -> None:
        with pytest.raises(UnknownNameError, match=r"unknown reduce 'lightcone'.*Known: auto, light_cone, none"):
            QuantumModel(2, 2, 1).circuit_cost("lightcone")

    @pytest.mark.parametrize("shots", [None, 10])
    def test_outputs_that_are_constant_take_no_gate(self, mock: Backend, shots: int | None) -> None:
        with pytest.warns(UserWarning, match=r"input feature\(s\) \[0, 1\] cannot influence the output"):
            model = QuantumModel(2, 2, 2, mock, readout=["I", PauliString("I", -0.5)])
        assert not model.active_parameters.any()
        assert (model.circuit_cost().after.gates, model.circuit_cost().after.circuits) == (0, 0)
        assert asyncio.run(model.forward(np.zeros((3, 2)), shots)).tolist() == [[1.0, -0.5]] * 3
