"""The model: its circuit, its outputs, its parameters, and what it refuses."""

from __future__ import annotations

import asyncio
from typing import Any

import numpy as np
import pytest

from qstore_core import registry
from qstore_core.angles import Angle, Feature, Parameter
from qstore_core.ansatz import HardwareEfficientAnsatz
from qstore_core.backend import Backend, BackendCapabilities
from qstore_core.circuit import QuantumCircuit
from qstore_core.config import TrainingConfig
from qstore_core.errors import CapabilityError, ConfigurationError, DataError, UnknownNameError
from qstore_core.hookspecs import Register, hookimpl
from qstore_core.model import QuantumModel
from qstore_core.observables import PauliString, PauliSum
from qstore_core.preprocessing import FeatureScaler
from qstore_core.readout import mean_z
from qstore_core.registry import Registry, get_backend

X, THETA = Feature("x"), Parameter("theta")


@pytest.fixture
def model(mock: Backend) -> QuantumModel:
    return QuantumModel(3, 4, 2, mock, seed=7)


class TestReadout:
    @pytest.mark.parametrize(
        ("n_qubits", "n_outputs", "outputs"),
        [
            (1, 1, ["Z0"]),
            (4, 1, ["0.25*Z0 + 0.25*Z1 + 0.25*Z2 + 0.25*Z3"]),
            (4, 2, ["0.5*Z0 + 0.5*Z2", "0.5*Z1 + 0.5*Z3"]),
            (5, 2, ["0.333333*Z0 + 0.333333*Z2 + 0.333333*Z4", "0.5*Z1 + 0.5*Z3"]),
            (3, 3, ["Z0", "Z1", "Z2"]),
        ],
    )
    def test_output_k_is_the_mean_of_z_over_qubits_k_mod_the_outputs(
        self, n_qubits: int, n_outputs: int, outputs: list[str]
    ) -> None:
        assert list(map(repr, mean_z(n_qubits, n_outputs))) == outputs
        assert QuantumModel(1, n_qubits, n_outputs).observables == mean_z(n_qubits, n_outputs)

    def test_any_observables_can_be_read(self, mock: Backend) -> None:
        chosen = ["X0 X1", PauliString("Y1", 2.0), PauliString("Z0") + PauliString("I", 0.5)]
        model = QuantumModel(2, 2, 3, mock, readout=chosen, ansatz=QuantumCircuit(2).ry(0, THETA), seed=1)
        assert model.observables == tuple(map(PauliSum.of, chosen))
        model.parameters = [0.0]
        outputs = asyncio.run(model.forward([0.0, 0.0]))
        np.testing.assert_allclose(outputs, [0.0, 0.0, 1.5], rtol=0, atol=1e-12)

    def test_more_outputs_than_qubits_need_observables(self) -> None:
        with pytest.raises(
            ConfigurationError, match="output_dim is from 1 to n_qubits=2 with the default readout, not 3"
        ):
            QuantumModel(2, 2, 3)

    def test_there_is_one_observable_for_each_output(self) -> None:
        with pytest.raises(ConfigurationError, match=r"readout has 1 observable\(s\) for output_dim=2"):
            QuantumModel(2, 2, 2, readout=["Z0"])

    @pytest.mark.parametrize(
        "readout", ["Z0", PauliString("Z0"), PauliSum.of("Z0")], ids=lambda each: type(each).__name__
    )
    def test_a_single_observable_is_not_a_readout(self, readout: Any) -> None:
        with pytest.raises(ConfigurationError, match="readout is a list with an observable for each output, such as"):
            QuantumModel(2, 2, 1, readout=readout)

    def test_observables_stay_within_the_register(self) -> None:
        with pytest.raises(ConfigurationError, match="readout acts on qubit 5; the model has qubits 0 to 1"):
            QuantumModel(2, 2, 1, readout=["Z0 Z5"])


class TestAnsatz:
    def test_a_circuit_with_features_is_taken_as_it_is(self) -> None:
        circuit = QuantumCircuit(2).ry(0, X).ry(1, 0.5 * X + THETA).cnot(0, 1)
        assert QuantumModel(1, 2, 1, ansatz=circuit).circuit == circuit

    def test_a_circuit_without_features_gets_the_encoding_put_before_it(self) -> None:
        model = QuantumModel(3, 2, 1, ansatz=QuantumCircuit(2).ry(0, THETA).cnot(0, 1))
        assert [op.name for op in model.circuit.operations] == ["ry", "ry", "rz", "ry", "cnot"]
        assert model.parameters.shape == (1,)

    def test_the_encoding_put_before_it_is_the_one_asked_for(self) -> None:
        model = QuantumModel(2, 2, 1, encoding="zz", ansatz=QuantumCircuit(2).ry(0, THETA))
        assert model.circuit.count_gates() == {"h": 2, "p": 2, "rzz": 1, "ry": 1}

    def test_depth_entanglement_encoding_and_reuploading_shape_the_default(self) -> None:
        model = QuantumModel(2, 3, 1, depth=2, entanglement="full", reuploading=True, hardware_efficient=False)
        assert model.circuit.count_gates() == {"ry": 2 * 3 + 2 * 3, "rx": 2 * 3, "rz": 2 * 3, "cnot": 2 * 3}
        assert QuantumModel(2, 2, 1, encoding="zz").circuit.count_gates()["rzz"] == 1

    def test_a_built_in_ansatz_goes_by_its_name(self) -> None:
        assert (
            QuantumModel(2, 2, 1, ansatz="rotations").circuit == QuantumModel(2, 2, 1, hardware_efficient=False).circuit
        )
        ring = QuantumModel(3, 3, 1, ansatz="hardware_efficient", entanglement="circular", reuploading=True)
        assert ring.circuit == QuantumModel(3, 3, 1, entanglement="circular", reuploading=True).circuit
        bent = QuantumModel(3, 3, 1, ansatz="hardware_efficient", encoding="zz")
        assert bent.circuit == QuantumModel(3, 3, 1, encoding="zz").circuit

    def test_an_object_with_a_circuit_method_is_asked_for_one(self) -> None:
        class Own:
            def circuit(self, n_qubits: int, depth: int, n_features: int, capabilities: BackendCapabilities) -> Any:
                self.asked = n_qubits, depth, n_features, capabilities.max_qubits
                return QuantumCircuit(n_qubits).ry(0, X).rx(0, THETA)

        own = Own()
        assert QuantumModel(1, 3, 1, get_backend("mock", memory_bytes=2**12), depth=5, ansatz=own).n_parameters == 1
        assert own.asked[:3] == (3, 5, 1)
        assert own.asked[3] == get_backend("mock", memory_bytes=2**12).capabilities.max_qubits

    def test_hardware_awareness_follows_the_backend(self, mock: Backend) -> None:
        mock.capabilities = BackendCapabilities(max_qubits=3, connectivity=frozenset({(0, 2), (1, 2)}))
        model = QuantumModel(3, 3, 1, mock, depth=1, entanglement="hardware_aware")
        assert [op.qubits for op in model.circuit.operations if op.name == "cnot"] == [(0, 2), (2, 1)]

    @pytest.mark.parametrize(
        ("ansatz", "message"),
        [
            (QuantumCircuit(3).ry(0, X), "the ansatz has 3 qubits and the model n_qubits=2"),
            (QuantumCircuit(2).ry(0, X).ry(1, Feature("y")), "the ansatz takes 2 features and the encoding makes 1 of"),
            (HardwareEfficientAnsatz(entanglement="ring"), "unknown entanglement 'ring'"),
            ("hardwareefficient", "unknown ansatz 'hardwareefficient'; did you mean 'hardware_efficient'"),
        ],
        ids=["qubits", "features", "entanglement", "name"],
    )
    def test_one_that_does_not_fit_is_refused(self, ansatz: Any, message: str) -> None:
        with pytest.raises(ConfigurationError, match=message):
            QuantumModel(1, 2, 1, ansatz=ansatz)

    def test_a_class_in_place_of_an_object_is_refused(self) -> None:
        with pytest.raises(
            ConfigurationError, match=r"ansatz is an object, and Ladder is its class: give Ladder\(...\)"
        ):
            QuantumModel(1, 2, 1, ansatz=Ladder)

    def test_a_circuit_method_that_takes_something_else_is_refused(self) -> None:
        class Own:
            def circuit(self, n_qubits: int) -> QuantumCircuit:
                return QuantumCircuit(n_qubits)

        wanted = r"Own cannot be asked for .*: define `def circuit\(self, n_qubits, depth, n_features, capabilities\)`"
        with pytest.raises(ConfigurationError, match=wanted):
            QuantumModel(1, 2, 1, ansatz=Own())

    def test_a_circuit_method_that_gives_something_else_is_refused(self) -> None:
        class Own:
            def circuit(self, n_qubits: int, depth: int, n_features: int, capabilities: Any) -> None:
                QuantumCircuit(n_qubits).ry(0, X)

        with pytest.raises(ConfigurationError, match=r"Own.circuit\(...\) returned NoneType: it must return a"):
            QuantumModel(1, 2, 1, ansatz=Own())

    def test_an_error_of_the_ansatz_is_its_own(self) -> None:
        class Own:
            def circuit(self, n_qubits: int, depth: int, n_features: int, capabilities: Any) -> QuantumCircuit:
                raise TypeError("not with these")

        with pytest.raises(TypeError, match="not with these"):
            QuantumModel(1, 2, 1, ansatz=Own())

    def test_a_feature_that_enters_no_gate_is_warned_of(self) -> None:
        circuit = QuantumCircuit(1).ry(0, THETA).rz(0, Angle(((X, 0.0),)))
        with pytest.warns(UserWarning, match=r"input feature\(s\) \[0\] cannot influence the output"):
            QuantumModel(1, 1, 1, ansatz=circuit)


class Ladder:
    """An ansatz that takes no options."""

    def circuit(self, n_qubits: int, depth: int, n_features: int, capabilities: BackendCapabilities) -> QuantumCircuit:
        circuit = QuantumCircuit(n_qubits)
        for qubit, (x, theta) in enumerate(
            zip(Feature.vector("x", n_features), Parameter.vector("w", n_features), strict=True)
        ):
            circuit = circuit.ry(qubit, x + theta)
        return circuit


class TestRegisteredAnsatz:
    @pytest.fixture(autouse=True)
    def ladder(self, monkeypatch: pytest.MonkeyPatch) -> None:
        class Plugin:
            @hookimpl
            def register_ansatze(self, register: Register) -> None:
                register("ladder", f"{__name__}:Ladder")

        alone = Registry(lambda: ())
        alone.register(Plugin(), name="ladder")
        monkeypatch.setattr(registry, "_default", alone)

    def test_a_plugins_ansatz_goes_by_its_name(self) -> None:
        assert QuantumModel(2, 2, 1, ansatz="ladder").circuit == Ladder().circuit(
            2, 2, 2, BackendCapabilities(max_qubits=2)
        )

    def test_it_need_not_take_the_settings_that_are_left_alone(self) -> None:
        with pytest.raises(ConfigurationError, match=r"ansatz 'ladder' .*unexpected keyword argument 'reuploading'"):
            QuantumModel(2, 2, 1, ansatz="ladder", reuploading=True)


class TestForward:
    def test_one_input_gives_one_row_without_its_axis(self, model: QuantumModel) -> None:
        assert asyncio.run(model.forward([0.1, 0.2, 0.3])).shape == (2,)
        assert asyncio.run(model.forward([[0.1, 0.2, 0.3]])).shape == (1, 2)
        assert asyncio.run(model.forward(np.zeros((5, 3)))).shape == (5, 2)

    def test_a_row_has_the_outputs_it_has_alone(self, model: QuantumModel, rng: np.random.Generator) -> None:
        x = rng.normal(size=(20, 3))
        together = asyncio.run(model.forward(x))
        alone = [asyncio.run(model.forward(row)) for row in x]
        np.testing.assert_allclose(together, alone, rtol=0, atol=1e-12)  # sums of other lengths round differently

    def test_the_same_batch_has_the_same_outputs_to_the_last_bit(
        self, model: QuantumModel, rng: np.random.Generator
    ) -> None:
        x = rng.normal(size=(20, 3))
        np.testing.assert_array_equal(asyncio.run(model.forward(x)), asyncio.run(model.forward(x)))

    def test_outputs_are_the_expectation_values(self, mock: Backend) -> None:
        model = QuantumModel(1, 1, 1, mock, ansatz=QuantumCircuit(1).ry(0, X + THETA))
        model.parameters = [0.25]
        x = np.linspace(-4, 4, 9)[:, None]
        np.testing.assert_allclose(asyncio.run(model.forward(x)), np.cos(x + 0.25), rtol=0, atol=1e-12)

    def test_shots_give_relative_frequencies(self, model: QuantumModel) -> None:
        model.parameters = np.full(model.n_parameters, 0.5)  # 500 outcomes alike would be a false alarm, below 1e-20
        sampled = asyncio.run(model.forward(np.zeros((50, 3)), shots=10))
        assert np.unique(sampled).size > 1
        np.testing.assert_allclose(sampled * 20, np.round(sampled * 20), rtol=0, atol=1e-9)  # the mean of two qubits

    @pytest.mark.parametrize(
        ("x", "message"),
        [
            (np.zeros((2, 4)), r"inputs need shape \(n_samples, 3\), the model's input_dim, not \(2, 4\)"),
            (0.5, r"not \(\)"),
            (np.zeros((1, 1, 3)), r"not \(1, 1, 3\)"),
            (np.zeros((0, 3)), "there are no samples in the inputs"),
            ([[0, 0, 0], [0, float("nan"), 0]], "inputs must be finite; row 1 holds nan or inf"),
            ([0, 0, float("inf")], "inputs must be finite; row 0 holds nan or inf"),
            ([["a", "b", "c"]], "inputs must be numbers"),
        ],
        ids=["columns", "number", "axes", "empty", "nan", "inf", "text"],
    )
    def test_inputs_that_do_not_fit_are_refused(self, model: QuantumModel, x: Any, message: str) -> None:
        with pytest.raises(DataError, match=message):
            asyncio.run(model.forward(x))

    def test_without_a_backend_it_says_what_to_do(self) -> None:
        with pytest.raises(ConfigurationError, match=r"set model.backend = get_backend\('mock'\)"):
            asyncio.run(QuantumModel(1, 1, 1).forward([0.0]))


class TestParameters:
    def test_they_are_a_copy(self, model: QuantumModel) -> None:
        model.parameters[:] = 9
        assert not (model.parameters == 9).any()

    def test_a_seed_repeats_them_and_they_are_small(self) -> None:
        one, same, other = (QuantumModel(8, 8, 1, seed=seed).parameters for seed in (3, 3, 4))
        np.testing.assert_array_equal(one, same)
        assert not (one == other).any()
        # 32 normal numbers of deviation 0.1: their rms leaves 0.05 to 0.15 but once in 10^5 seeds
        assert 0.05 < np.sqrt(np.mean(one**2)) < 0.15

    def test_without_a_seed_they_are_fresh(self) -> None:
        assert (QuantumModel(2, 2, 1).parameters != QuantumModel(2, 2, 1).parameters).any()

    @pytest.mark.parametrize(
        ("values", "message"),
        [
            ([1.0], r"not an array of shape \(1,\)"),
            ([float("nan")] * 16, "with nan or inf in it"),
            (1.0, r"shape \(\)"),
        ],
        ids=["length", "nan", "number"],
    )
    def test_what_does_not_fit_is_refused(self, model: QuantumModel, values: Any, message: str) -> None:
        before = model.parameters
        with pytest.raises(ConfigurationError, match=rf"parameters are 16 finite numbers.*{message}"):
            model.parameters = values
        np.testing.assert_array_equal(model.parameters, before)

    def test_freezing_keeps_some_and_unfreezing_none(self, model: QuantumModel) -> None:
        model.freeze_parameters([0, -1, 0])
        assert np.flatnonzero(~model.trainable).tolist() == [0, 15]
        model.freeze_parameters([3])
        assert np.flatnonzero(~model.trainable).tolist() == [0, 3, 15]
        model.unfreeze_all()
        assert model.trainable.all()

    def test_a_mask_says_what_is_frozen(self, model: QuantumModel) -> None:
        model.freeze_parameters(np.arange(16) < 2)
        assert np.flatnonzero(~model.trainable).tolist() == [0, 1]

    @pytest.mark.parametrize("index", [16, -17, 1.5, True, "a"])
    def test_freezing_what_is_not_there_freezes_nothing(self, model: QuantumModel, index: Any) -> None:
        with pytest.raises(ConfigurationError, match=f"parameter {index}: this model has parameters 0 to 15"):
            model.freeze_parameters([0, index])
        assert model.trainable.all()


class TestFingerprint:
    def test_equal_models_have_one_fingerprint_whatever_their_parameters(self) -> None:
        assert QuantumModel(2, 3, 1, seed=1).fingerprint == QuantumModel(2, 3, 1, seed=2).fingerprint

    @pytest.mark.parametrize(
        "change",
        [{"depth": 3}, {"entanglement": "circular"}, {"reuploading": True}, {"readout": ["Z2"]}, {"encoding": "zz"}],
        ids=lambda change: next(iter(change)),
    )
    def test_another_circuit_or_readout_has_another(self, change: dict[str, Any]) -> None:
        assert QuantumModel(3, 3, 1, **change).fingerprint != QuantumModel(3, 3, 1).fingerprint


class TestPrediction:
    def test_the_largest_output_is_the_class(self, mock: Backend) -> None:
        model = QuantumModel(2, 2, 2, mock, ansatz=QuantumCircuit(2).rz(0, THETA))
        x = np.array([[0.0, np.pi], [np.pi, 0.0]])
        assert asyncio.run(model.predict(x)).tolist() == [0, 1]

    def test_one_output_means_class_one_where_it_is_above_zero(self, mock: Backend) -> None:
        model = QuantumModel(1, 1, 1, mock, ansatz=QuantumCircuit(1).rz(0, THETA))
        assert asyncio.run(model.predict([[0.1], [3.0]])).tolist() == [1, 0]
        assert model.classes_of(np.array([[0.0]])).tolist() == [0]

    def test_after_training_on_target_values_outputs_are_those_values(self, mock: Backend) -> None:
        model = QuantumModel(1, 1, 1, mock, ansatz=QuantumCircuit(1).rz(0, THETA))
        model.regression = True
        np.testing.assert_allclose(asyncio.run(model.predict([[0.1], [3.0]])), np.cos([0.1, 3.0]))

    def test_inputs_are_scaled_as_they_were_for_training(self, mock: Backend) -> None:
        model = QuantumModel(1, 1, 1, mock, ansatz=QuantumCircuit(1).ry(0, np.pi / 2 + X).rz(0, THETA))
        model.scaler = FeatureScaler.fit([[90.0], [110.0]], 1)
        x = np.arange(90.0, 111.0)[:, None]
        turned = np.cos(np.pi / 2 + (x[:, 0] - 100) / 10)
        inner = np.abs(x[:, 0] - 100) > 1e-9  # at the middle the output is 0 but for rounding
        np.testing.assert_array_equal(asyncio.run(model.predict(x))[inner], (turned > 0)[inner])


class TestSizes:
    @pytest.mark.parametrize("name", ["input_dim", "n_qubits", "output_dim", "depth"])
    @pytest.mark.parametrize("value", [0, -1, 1.5, "2", True, None], ids=repr)
    def test_they_are_whole_numbers_of_at_least_one(self, name: str, value: Any) -> None:
        sizes = {"input_dim": 2, "n_qubits": 2, "output_dim": 1, name: value}
        with pytest.raises(
            ConfigurationError, match=rf"QuantumModel\({name}={value!r}\): must be a whole number of at"
        ):
            QuantumModel(**sizes)

    def test_numpys_whole_numbers_are_whole_numbers(self) -> None:
        sizes = {name: np.int64(2) for name in ("input_dim", "n_qubits", "output_dim", "depth")}
        assert QuantumModel(**sizes).circuit == QuantumModel(2, 2, 2).circuit  # type: ignore[arg-type]

    def test_more_qubits_than_the_backend_has_are_refused(self) -> None:
        small = get_backend("mock", memory_bytes=2**10)
        width = small.capabilities.max_qubits
        with pytest.raises(CapabilityError, match=f"n_qubits={width + 1}, and backend 'mock' has at most {width}"):
            QuantumModel(2, width + 1, 1, small)

    @pytest.mark.parametrize("backend", ["mock", TrainingConfig()], ids=lambda each: type(each).__name__)
    def test_a_backend_is_a_backend(self, backend: Any) -> None:
        with pytest.raises(ConfigurationError, match=r"backend is a Backend such as get_backend\('mock'\), not "):
            QuantumModel(2, 2, 1, backend)

    def test_an_unknown_encoding_lists_the_known_ones(self) -> None:
        with pytest.raises(UnknownNameError, match="unknown encoding 'basis'; Known: angle, zz"):
            QuantumModel(2, 2, 1, encoding="basis")

    def test_zz_takes_one_input_a_qubit(self) -> None:
        with pytest.raises(ConfigurationError, match="at most one input a qubit: 3 inputs, 2 qubits"):
            QuantumModel(3, 2, 1, encoding="zz")


class TestFromConfig:
    def test_the_shape_is_the_configurations(self, mock: Backend) -> None:
        config = TrainingConfig(
            n_qubits=3, circuit_depth=2, entanglement="circular", hardware_efficient_ansatz=False, seed=5
        )
        model = QuantumModel.from_config(config, 2, 1, mock)
        same = QuantumModel(2, 3, 1, mock, depth=2, entanglement="circular", hardware_efficient=False, seed=5)
        assert (model.circuit, model.observables, model.backend) == (same.circuit, same.observables, mock)
        np.testing.assert_array_equal(model.parameters, same.parameters)

    def test_v3_2_shapes_are_built(self) -> None:
        config = TrainingConfig(learning_rate=0.01, n_qubits=10, circuit_depth=4)
        assert QuantumModel.from_config(config, 10, 2).n_parameters == 2 * 10 * 4
