"""Circuits from and to Qiskit: unitaries, named inputs and weights, the library's circuits, models and errors."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import qiskit
import qstore_aer
from qiskit.circuit import Parameter as QiskitParameter
from qiskit.circuit import ParameterVector
from qiskit.circuit.library import efficient_su2, n_local, real_amplitudes, z_feature_map, zz_feature_map
from qiskit.quantum_info import Operator, SparsePauliOp, Statevector
from qstore_aer import QiskitAnsatz, from_qasm3, from_qiskit, to_qiskit

from qstore_core.angles import Feature, Parameter
from qstore_core.ansatz import HardwareEfficientAnsatz
from qstore_core.backend import BackendCapabilities
from qstore_core.circuit import QuantumCircuit
from qstore_core.config import TrainingConfig
from qstore_core.encoding import ZZEncoding
from qstore_core.errors import CircuitError, ConfigurationError, UnknownNameError
from qstore_core.gates import GATES
from qstore_core.model import QuantumModel
from qstore_core.registry import get_backend
from qstore_core.trainer import QuantumTrainer

RandomCircuit = Callable[..., QuantumCircuit]


def assert_equal_up_to_phase(first: Any, second: Any) -> None:
    one, other = Operator(first).data, Operator(second).data
    overlap = np.trace(one.conj().T @ other) / len(one)
    np.testing.assert_allclose(abs(overlap), 1, atol=1e-10)
    np.testing.assert_allclose(one * overlap, other, atol=1e-10)


def values_of(circuit: Any, values: dict[str, float], n_outputs: int) -> list[float]:
    """Z of the first qubits, by Qiskit alone; parameters by name."""
    state = Statevector(circuit.assign_parameters({each: values[each.name] for each in circuit.parameters}))
    zs = [SparsePauliOp.from_sparse_list([("Z", [q], 1.0)], circuit.num_qubits) for q in range(n_outputs)]
    return [float(state.expectation_value(z).real) for z in zs]


class TestToQiskit:
    def test_it_has_the_unitary_of_the_references_translation(
        self, random_circuit: RandomCircuit, rng: np.random.Generator
    ) -> None:
        for _ in range(20):
            circuit = random_circuit(rng, 4)
            program = qiskit.qasm3.loads(circuit.to_qasm3())
            assert_equal_up_to_phase(to_qiskit(circuit), program)

    def test_a_round_trip_gives_the_circuit_back(self, random_circuit: RandomCircuit, rng: np.random.Generator) -> None:
        for _ in range(20):
            circuit = random_circuit(rng, 4)
            assert from_qiskit(to_qiskit(circuit)) == circuit

    def test_symbols_keep_their_names_and_weights(self) -> None:
        a, b, x = Parameter("a[0]"), Parameter("b"), Feature("x[3]")
        circuit = QuantumCircuit(2).ry(0, 0.5 * x + a - 2 * b + 0.25).crz(1, 0, a).rxx(0, 1, -1 * b)
        theirs = to_qiskit(circuit)
        assert {parameter.name for parameter in theirs.parameters} == {"a[0]", "b", "x[3]"}
        back = from_qiskit(theirs, inputs=["x[3]"])
        assert (back.features, back.parameters) == (circuit.features, circuit.parameters)
        np.testing.assert_allclose(back.angles([0.3], [0.4, 0.5]), circuit.angles([0.3], [0.4, 0.5]))

    def test_one_name_for_two_symbols_is_refused(self) -> None:
        with pytest.raises(CircuitError, match="a feature and a parameter are both called 'a'"):
            to_qiskit(QuantumCircuit(1).ry(0, Parameter("a")).rx(0, Feature("a")))


class TestFromQiskit:
    def test_every_gate_of_ours_comes_as_it_is(self) -> None:
        for name, gate in GATES.items():
            circuit = QuantumCircuit(3).append(name, [2, 0, 1][: gate.n_qubits], 0.7 if gate.has_angle else None)
            assert from_qiskit(to_qiskit(circuit)) == circuit

    def test_other_gates_are_decomposed(self, rng: np.random.Generator) -> None:
        circuit = qiskit.QuantumCircuit(4)
        circuit.u(0.1, 0.2, 0.3, 0)
        circuit.cu(0.4, 0.5, 0.6, 0.7, 1, 0)
        circuit.mcx([0, 1, 2], 3)
        circuit.ecr(1, 3)
        circuit.append(qiskit.circuit.library.QFTGate(3), [3, 0, 2])
        circuit.unitary(qiskit.quantum_info.random_unitary(4, seed=1), [2, 1])
        assert_equal_up_to_phase(to_qiskit(from_qiskit(circuit)), circuit)

    def test_parameters_of_decomposed_gates_stay(self) -> None:
        angle, other = QiskitParameter("a"), QiskitParameter("b")
        circuit = qiskit.QuantumCircuit(2)
        circuit.u(angle, other, 2 * angle + 1, 0)
        circuit.cp(other - angle, 0, 1)
        ours = from_qiskit(circuit)
        assert ours.parameters == (Parameter("a"), Parameter("b"))
        bound = ours.bind({Parameter("a"): 0.3, Parameter("b"): -0.8})
        assert_equal_up_to_phase(to_qiskit(bound), circuit.assign_parameters({angle: 0.3, other: -0.8}))

    @pytest.mark.parametrize(
        "inputs",
        ["x", ["x"], ["x[1]", "x[0]"], ParameterVector("x", 2), None],
        ids=["text", "list", "names", "vector", "default"],
    )
    def test_inputs_are_named_in_many_ways(self, inputs: Any) -> None:
        x, w = ParameterVector("x", 2), QiskitParameter("w")
        circuit = qiskit.QuantumCircuit(2)
        circuit.ry(x[0], 0)
        circuit.ry(x[1] + w, 1)
        ours = from_qiskit(circuit, inputs)
        assert ours.features == (Feature("x[0]"), Feature("x[1]"))
        assert ours.parameters == (Parameter("w"),)

    def test_barriers_and_final_measurements_are_left_out(self) -> None:
        circuit = qiskit.QuantumCircuit(2, 2)
        circuit.h(0)
        circuit.barrier()
        circuit.cx(0, 1)
        circuit.measure([0, 1], [0, 1])
        assert from_qiskit(circuit) == QuantumCircuit(2).h(0).cnot(0, 1)

    def test_a_measurement_in_the_middle_is_refused(self) -> None:
        circuit = qiskit.QuantumCircuit(1, 1)
        circuit.measure(0, 0)
        circuit.h(0)
        with pytest.raises(CircuitError, match="the circuit has 'measure' before its end"):
            from_qiskit(circuit)

    def test_an_input_that_is_not_there_is_refused(self) -> None:
        with pytest.raises(UnknownNameError, match=r"unknown input 'y'; Known: θ\[0\]"):
            from_qiskit(real_amplitudes(1, reps=0), inputs=["y"])

    def test_what_is_no_circuit_is_refused(self) -> None:
        with pytest.raises(ConfigurationError, match=r"circuit is a qiskit.QuantumCircuit, not a int"):
            from_qiskit(3)

    def test_products_of_weights_are_refused(self) -> None:
        a, b = QiskitParameter("a"), QiskitParameter("b")
        circuit = qiskit.QuantumCircuit(1)
        circuit.ry(a * b, 0)
        with pytest.raises(CircuitError, match=r"the angle .* is not a weighted sum of the trained a: give the gate"):
            from_qiskit(circuit)

    def test_products_of_inputs_need_an_encoding(self) -> None:
        with pytest.raises(
            CircuitError, match=r"an angle depends on the inputs through .*: pass the Qiskit circuit itself"
        ):
            from_qiskit(zz_feature_map(2))


class TestQasm3:
    def test_programs_of_ours_come_back(self, random_circuit: RandomCircuit, rng: np.random.Generator) -> None:
        for _ in range(5):
            circuit = random_circuit(rng, 3)
            assert_equal_up_to_phase(to_qiskit(from_qasm3(circuit.to_qasm3())), to_qiskit(circuit))

    def test_inputs_of_a_program_are_symbols(self) -> None:
        circuit = QuantumCircuit(1).ry(0, Parameter("w") + 2 * Feature("x[0]"))
        back = from_qasm3(circuit.to_qasm3(), inputs=["x_0"])
        assert (back.features, back.parameters) == ((Feature("x_0"),), (Parameter("w"),))

    def test_nonsense_is_one_line(self) -> None:
        with pytest.raises(CircuitError, match="Qiskit cannot read this OpenQASM 3 program") as caught:
            from_qasm3('OPENQASM 3.0; include "stdgates.inc"; qubit q; fancy q;')
        assert "\n" not in str(caught.value)


class TestModels:
    @pytest.mark.parametrize(
        ("ansatz", "input_dim"),
        [
            (z_feature_map(3, reps=1).compose(real_amplitudes(3, reps=1)), 3),
            (zz_feature_map(3, reps=2).compose(efficient_su2(3, reps=1)), 3),
            (zz_feature_map(3, reps=1, entanglement="circular").compose(n_local(3, ["rx", "rz"], "crz", reps=1)), 3),
        ],
        ids=["z map and real amplitudes", "zz map and efficient su2", "n_local"],
    )
    def test_circuits_of_qiskits_library_give_qiskits_values(
        self, ansatz: Any, input_dim: int, rng: np.random.Generator
    ) -> None:
        model = QuantumModel(input_dim, 3, 2, get_backend("aer"), ansatz=ansatz, readout=["Z0", "Z1"], seed=1)
        x = rng.normal(size=(2, input_dim))
        found = asyncio.run(model.forward(x))
        weights = dict(zip([each.name for each in model.circuit.parameters], model.parameters, strict=True))
        for row, inputs in zip(found, x, strict=True):
            expected = values_of(ansatz, weights | {f"x[{i}]": value for i, value in enumerate(inputs)}, 2)
            np.testing.assert_allclose(row, expected, atol=1e-10)

    def test_inputs_are_the_columns_in_the_order_they_are_named_in(self) -> None:
        a, b = QiskitParameter("a"), QiskitParameter("b")
        circuit = qiskit.QuantumCircuit(2)
        circuit.ry(a, 0)
        circuit.ry(b, 1)
        ansatz = QiskitAnsatz(circuit, inputs=["b", "a"])
        model = QuantumModel(2, 2, 2, get_backend("aer"), ansatz=ansatz, readout=["Z0", "Z1"])
        np.testing.assert_allclose(asyncio.run(model.forward([0.3, 1.1])), np.cos([1.1, 0.3]), atol=1e-12)

    def test_a_circuit_without_inputs_gets_the_models_encoding(self) -> None:
        model = QuantumModel(3, 3, 1, ansatz=real_amplitudes(3, reps=1), encoding="zz")
        assert len(model.circuit.features) == 5
        assert model.n_parameters == 6

    def test_it_trains(self, rng: np.random.Generator) -> None:
        x, y = rng.normal(scale=0.3, size=(20, 2)), np.arange(20) % 2
        x[:, 0] += np.where(y, 0.8, -0.8)
        ansatz = z_feature_map(2, reps=1).compose(real_amplitudes(2, reps=1))
        model = QuantumModel(2, 2, 2, get_backend("aer"), ansatz=ansatz, seed=1)
        config = TrainingConfig(epochs=15, learning_rate=0.1, shots_per_circuit=None, seed=1, gradient_method="spsa")
        trainer = QuantumTrainer(config, progress=False)
        history = trainer.fit(model, x, y)
        assert history[-1].loss < history[0].loss

    def test_another_number_of_inputs_is_refused(self) -> None:
        ansatz = z_feature_map(2, reps=1).compose(real_amplitudes(2, reps=1))
        with pytest.raises(ConfigurationError, match="the ansatz takes 2 inputs and the model input_dim=3"):
            QuantumModel(3, 2, 1, ansatz=ansatz)

    def test_the_encoding_of_an_ansatz_of_ours_is_used_too(self) -> None:
        model = QuantumModel(2, 2, 1, ansatz=HardwareEfficientAnsatz(encoding=ZZEncoding(2, 2)))
        assert model.circuit == QuantumModel(2, 2, 1, encoding="zz").circuit

    def test_without_the_plugin_the_error_says_what_to_install(self) -> None:
        script = (
            "import os; os.environ['QSTORE_PLUGINS'] = ''\n"
            "import qiskit; from qstore_core import QuantumModel\n"
            "try: QuantumModel(1, 1, 1, ansatz=qiskit.QuantumCircuit(1))\n"
            "except Exception as error: print(type(error).__name__, error)"
        )
        run = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=True)
        assert run.stdout.startswith("ConfigurationError ansatz is a QuantumCircuit of qstore")
        assert "no plugin takes a QuantumCircuit of 'qiskit': pip install ./plugins/qstore_aer" in run.stdout

    def test_an_ansatz_ignores_what_is_asked_for(self) -> None:
        made = QiskitAnsatz(real_amplitudes(2, reps=1)).circuit(2, 9, 0, BackendCapabilities(max_qubits=2))
        assert len(made.parameters) == 4


class TestManifest:
    def test_importing_it_imports_no_qiskit(self) -> None:
        seen = "print('qiskit' in sys.modules)"
        script = f"import qstore_aer, sys; {seen}; qstore_aer.to_qiskit; {seen}"
        run = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=True)
        assert run.stdout.split() == ["False", "True"]

    def test_it_has_no_other_names(self) -> None:
        with pytest.raises(AttributeError, match="has no attribute 'from_cirq'"):
            qstore_aer.from_cirq  # noqa: B018

    def test_without_aer_the_error_says_what_to_install(self) -> None:
        script = (
            "import sys; sys.modules['qiskit_aer'] = None\n"
            "from qstore_core import get_backend\n"
            "try: get_backend('aer')\n"
            "except Exception as error: print(type(error).__name__, error)"
        )
        run = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=True)
        assert run.stdout.startswith("PluginLoadError plugin 'aer': backend 'aer' cannot be imported")
        assert "needs qiskit and qiskit-aer" in run.stdout
        assert run.stdout.strip().endswith("pip install ./plugins/qstore_aer")
        assert run.stdout.count("\n") == 1
