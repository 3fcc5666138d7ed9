"""Smaller circuits where circuits are run, paid for and trained."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from reductions import FULL, MODES, PricedByGate

from qstore_core.angles import Parameter
from qstore_core.backend import LocalBackend
from qstore_core.batch import CircuitBatch, VectorJacobianProduct
from qstore_core.circuit import QuantumCircuit
from qstore_core.circuit_cache import QuantumCircuitCache
from qstore_core.config import TrainingConfig
from qstore_core.data import ArrayLoader
from qstore_core.errors import CapabilityError, CheckpointError
from qstore_core.executor import Executor
from qstore_core.lightcone import reduce_circuit
from qstore_core.model import QuantumModel
from qstore_core.observables import PauliSum
from qstore_core.registry import get_backend
from qstore_core.trainer import QuantumTrainer


class TestExecutor:
    circuit = QuantumCircuit(2).ry(0, Parameter("a")).rx(1, Parameter("b")).cnot(0, 1).rz(0, Parameter("c"))

    def batch(self, observables: tuple[str, ...] | None, **changes: Any) -> CircuitBatch:
        angles = np.random.default_rng(1).normal(size=(4, 3))
        chosen = None if observables is None else tuple(map(PauliSum.of, observables))
        return CircuitBatch(self.circuit.structure, angles, chosen, **changes)

    def test_only_what_the_observables_see_is_sent(self) -> None:
        backend = PricedByGate()
        asyncio.run(Executor(backend).run((self.batch(("Z0",)),)))
        (job,) = backend.jobs
        assert job.structure.gates == (("ry", (0,)),)
        np.testing.assert_array_equal(job.angles, self.batch(None).angles[:, :1])

    def test_tails_are_not_moved_so_that_counts_are_of_the_observables_asked_for(self) -> None:
        backend = PricedByGate()
        wanted = self.batch(("Z1",), shots=10, draws=np.arange(4))
        asyncio.run(Executor(backend).run((wanted,)))
        (job,) = backend.jobs
        assert [name for name, _ in job.structure.gates] == ["ry", "rx", "cnot"]
        assert job.groups == wanted.groups

    def test_whole_registers_and_executors_told_so_run_every_gate(self) -> None:
        backend = PricedByGate()
        asyncio.run(Executor(backend).run((self.batch(None),)))
        asyncio.run(Executor(backend, options=FULL).run((self.batch(("Z0",)),)))
        assert [job.structure for job in backend.jobs] == [self.circuit.structure] * 2

    def test_what_cannot_be_made_smaller_goes_as_it_is(self) -> None:
        backend = PricedByGate()
        wanted = self.batch(("X0", "Z1"))
        asyncio.run(Executor(backend).run((wanted,)))
        assert backend.jobs == [wanted]

    def test_the_price_is_of_what_runs(self) -> None:
        executor = Executor(PricedByGate())
        price = executor.price((self.batch(("Z0",)),))
        asyncio.run(executor.run((self.batch(("Z0",)),)))
        assert price.usd_high == executor.spent.usd_high == 4

    def test_a_gate_that_the_backend_lacks_may_be_one_that_need_not_run(self) -> None:
        backend = PricedByGate(gates=frozenset({"ry"}))
        asyncio.run(Executor(backend).run((self.batch(("Z0",)),)))
        with pytest.raises(CapabilityError, match="has no gate cnot, rx"):
            asyncio.run(Executor(backend).run((self.batch(("Z1",)),)))

    def test_rows_that_differ_in_what_is_not_seen_run_once(self) -> None:
        backend = PricedByGate()
        wanted = self.batch(("Z0",))
        wanted = replace(wanted, angles=np.where(np.arange(3) == 0, 0.5, wanted.angles))
        (result,) = asyncio.run(Executor(backend, cache=QuantumCircuitCache()).run((wanted,)))
        assert [job.n_rows for job in backend.jobs] == [1]
        np.testing.assert_allclose(result.expectations, [[np.cos(0.5)]] * 4, rtol=0, atol=1e-12)

    def test_derivatives_are_those_of_the_whole_circuit_and_exactly_zero_outside(
        self, reducible: list[tuple[QuantumCircuit, tuple[PauliSum, ...]]], mock: LocalBackend
    ) -> None:
        rng = np.random.default_rng(6)
        n_zeros = 0
        for circuit, observables in reducible[:100]:
            angles = rng.normal(size=(3, circuit.structure.n_angles))
            batch = CircuitBatch(circuit.structure, angles, observables)
            cotangents = rng.normal(size=(3, len(observables)))
            whole = asyncio.run(mock.gradient(batch, mock.compile(batch.structure, batch.groups), cotangents))
            (result,) = asyncio.run(Executor(mock).run((VectorJacobianProduct(batch, cotangents),)))
            assert result.angle_gradients is not None
            np.testing.assert_allclose(result.angle_gradients, whole, rtol=0, atol=1e-12)
            seen = reduce_circuit(circuit.structure, observables, "light_cone").angles
            zeros = np.delete(result.angle_gradients, seen, axis=1)
            assert (zeros == 0).all()
            n_zeros += zeros.size
        assert n_zeros > 300


class TestTraining:
    def gradient(self, method: str, mode: str) -> Any:
        config = TrainingConfig(gradient_method=method, shots_per_circuit=None, seed=1, reduce=mode)
        x = np.random.default_rng(2).normal(size=(3, 4))
        return QuantumTrainer(config).gradient(QuantumModel(4, 4, 2, get_backend("mock"), seed=1), x, [0, 1, 1])

    @pytest.mark.parametrize("mode", MODES)
    @pytest.mark.parametrize("method", ["adjoint", "parameter_shift", "finite_difference"])
    def test_exact_gradients_stay_the_same(self, method: str, mode: str) -> None:
        whole, part = self.gradient("adjoint", "none"), self.gradient(method, mode)
        close = 1e-4 if method == "finite_difference" else 1e-12
        np.testing.assert_allclose(part.gradients, whole.gradients, rtol=0, atol=close)
        assert (part.gradients[9::2] == 0).all()  # the last layer of RZ
        assert part.function_value == pytest.approx(whole.function_value, abs=1e-12)

    def test_what_is_not_seen_is_not_shifted(self) -> None:
        circuits = [
            self.gradient("parameter_shift", mode).n_circuit_executions for mode in ("none", "light_cone", "auto")
        ]
        assert circuits == [3 * (1 + 2 * 16), 3 * (1 + 2 * 12), 3 * (1 + 2 * 12)]

    @pytest.mark.parametrize(("mode", "gates"), [("none", 26), ("light_cone", 22), ("auto", 19)])
    def test_training_and_validation_run_what_the_configuration_says(self, mode: str, gates: int) -> None:
        backend = PricedByGate()
        config = TrainingConfig(epochs=1, gradient_method="spsa", seed=1, reduce=mode, shots_per_circuit=10)
        x, y = np.random.default_rng(2).normal(size=(4, 4)), [0, 1, 1, 0]
        trainer, model = QuantumTrainer(config), QuantumModel(4, 4, 2, backend)
        expected = trainer.estimate_cost(model, 4, n_validation=4).total
        trainer.fit(model, x, y, validation=(x, y))
        trainer.predict(model, x)
        assert {len(job.structure.gates) for job in backend.jobs} == {gates}
        assert expected.usd_high == gates * expected.circuits

    def test_a_run_goes_on_only_with_the_same_reduction(self, tmp_path: Path) -> None:
        def train(mode: str, epochs: int) -> None:
            config = TrainingConfig(
                epochs=epochs, gradient_method="spsa", shots_per_circuit=None, seed=1, run_directory=tmp_path / "run",
                reduce=mode,
            )  # fmt: skip
            loader = ArrayLoader(np.zeros((4, 2)), [0, 1, 1, 0], 2)
            model = QuantumModel(2, 2, 2, get_backend("mock"))
            asyncio.run(QuantumTrainer(config).train(model, loader, resume=True))

        train("light_cone", 1)
        with pytest.raises(CheckpointError, match="was made with reduce='light_cone', not 'auto'"):
            train("auto", 2)
        train("light_cone", 2)
