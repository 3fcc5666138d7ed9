"""Training steps: counted, and open to any loss and backend."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fake_backends import Watched
from numpy.typing import NDArray
from run_files import lines
from training_runs import OPTIMIZERS, X, Y, loader, new_model, settings, trained

from qstore_core import registry
from qstore_core.angles import Parameter
from qstore_core.checkpoint import load_checkpoint
from qstore_core.circuit import QuantumCircuit
from qstore_core.data import ArrayLoader
from qstore_core.errors import CapabilityError, ConfigurationError
from qstore_core.hookspecs import Register, hookimpl
from qstore_core.manager import BackendManager
from qstore_core.registry import Registry, get_backend
from qstore_core.trainer import QuantumTrainer


class TestLoss:
    def test_a_function_is_followed(self) -> None:
        own = trained(settings(loss=lambda outputs, targets: float(np.mean((outputs - targets) ** 2))))
        np.testing.assert_allclose(own.parameters, trained(settings(loss="mse")).parameters, rtol=0, atol=1e-6)

    def test_float_targets_use_the_mean_squared_error(self, tmp_path: Path) -> None:
        targets = np.where(Y[:, None] == [0, 1], 1.0, -1.0)
        by_floats = trained(settings(run_directory=tmp_path), ArrayLoader(X, targets, batch_size=5))
        assert load_checkpoint(tmp_path / "checkpoint.npz").settings["loss"] == "mse"
        np.testing.assert_array_equal(by_floats.parameters, trained(settings(loss="mse")).parameters)

    def test_a_function_that_fails_stops_with_a_checkpoint(self, tmp_path: Path) -> None:
        calls = []

        def flaky(outputs: NDArray[np.float64], targets: NDArray[np.float64]) -> float:
            calls.append(1)
            return float("nan") if len(calls) > 60 else float(np.mean(outputs - targets))

        with pytest.raises(ConfigurationError, match="the loss function returned nan"):
            trained(settings(loss=flaky, run_directory=tmp_path))
        assert load_checkpoint(tmp_path / "checkpoint.npz").step == len(lines(tmp_path, "step")) > 0


class TestSteps:
    def test_frozen_parameters_stay_to_the_last_bit(self) -> None:
        for optimizer in OPTIMIZERS:
            model = new_model(seed=1)
            before = model.parameters
            model.freeze_parameters([0, 1])
            asyncio.run(QuantumTrainer(settings(optimizer=optimizer, weight_decay=0.1)).train(model, loader()))
            assert (model.parameters == before).tolist() == [True, True, False, False]

    def test_decay_shrinks_the_parameters_but_not_the_scale_of_the_loss(self, tmp_path: Path) -> None:
        scales = []
        for decay in (0.0, 0.5):
            model = new_model()
            model.parameters = np.zeros(model.n_parameters)  # nothing to shrink in the one step
            config = settings(epochs=1, optimizer="sgd", weight_decay=decay, run_directory=tmp_path / str(decay))
            asyncio.run(QuantumTrainer(config).train(model, [(X, Y)]))
            scales.append(load_checkpoint(tmp_path / str(decay) / "checkpoint.npz").loss_parameters.tolist())
        assert scales[0] == scales[1] != [4.0]
        loose, tight = (trained(settings(weight_decay=decay)).parameters for decay in (0.0, 2.0))
        assert np.linalg.norm(tight) < np.linalg.norm(loose)

    def test_gradients_are_clipped_unless_told_otherwise(self) -> None:
        config = settings(
            epochs=1, optimizer="sgd", learning_rate=0.01, loss=lambda outputs, targets: float(100 * np.mean(outputs))
        )
        moves = []
        for changes in ({}, {"gradient_clip_value": 0.5}, {"use_gradient_clipping": False}):
            model = new_model(seed=1)
            before = model.parameters
            asyncio.run(QuantumTrainer(replace(config, **changes)).train(model, [(X, Y)]))
            moves.append(np.linalg.norm(model.parameters - before))
        assert moves[0] == pytest.approx(0.01)
        assert moves[1] == pytest.approx(0.005)
        assert moves[2] > 0.02

    @pytest.mark.parametrize(
        ("method", "shots"),
        [
            ("adaptive", None),
            ("adaptive", 100),
            ("spsa", None),
            ("spsa_parallel", 100),
            ("spsa_subsampled", None),
            ("parameter_shift", None),
            ("parameter_shift", 100),
            ("finite_difference", None),
            ("finite_difference", 100),
            ("adjoint", None),
        ],
    )
    def test_every_method_brings_the_loss_down(self, method: str, shots: int | None) -> None:
        config = settings(gradient_method=method, shots_per_circuit=shots, epochs=12)
        exact, model = QuantumTrainer(settings()), new_model(seed=1)
        before = exact.evaluate(model, X, Y)
        QuantumTrainer(config).fit(model, X, Y)
        after = exact.evaluate(model, X, Y)
        assert after["loss"] < before["loss"] - 0.05

    def test_spsa_parallel_is_spsa(self) -> None:
        np.testing.assert_array_equal(
            trained(settings(gradient_method="spsa_parallel")).parameters,
            trained(settings(gradient_method="spsa")).parameters,
        )

    def test_the_settings_of_spsa_reach_it(self, tmp_path: Path) -> None:
        config = settings(
            gradient_method="spsa_subsampled", gradient_subsample_size=2, spsa_c_initial=0.3, run_directory=tmp_path
        )
        trained(config)
        assert {(line["c"], line["samples"], line["circuits"]) for line in lines(tmp_path, "step")} == {(0.3, 2, 4)}

    def test_compiled_circuits_are_kept_unless_told_otherwise(self) -> None:
        for enabled, compiled in ((True, 1), (False, 9)):
            backend = Watched()
            trained(settings(gradient_method="spsa", enable_circuit_cache=enabled), backend=backend)
            assert len(backend.compiled) == compiled

    def test_every_circuit_can_have_a_job_of_its_own(self) -> None:
        backend = Watched()
        trained(settings(gradient_method="spsa", enable_batch_execution=False), backend=backend)
        assert {job.n_circuits for job in backend.jobs} == {1}
        assert len(backend.jobs) == 3 * 2 * len(X)


class Lab(Watched):
    """What the name `lab` stands for; takes a key as a provider would."""

    def __init__(self, api_key: str = "", target: str = "") -> None:
        super().__init__()
        self.fingerprint = f"lab({target})"
        self.api_key, self.target = api_key, target
        self.events: list[str] = []

    async def open(self) -> None:
        self.events.append("open")


class TestBackends:
    @pytest.fixture
    def installed(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Only the backends `lab` and `ionq.qpu` are installed, beside what was made before."""

        class LabPlugin:
            @hookimpl
            def register_backends(self, register: Register) -> None:
                register("lab", f"{__name__}:Lab")

        class QPUPlugin:
            @hookimpl
            def register_backends(self, register: Register) -> None:
                register("ionq.qpu", f"{__name__}:Lab")

        inner = get_backend("mock")
        alone = Registry(lambda: ())
        alone.register(LabPlugin(), name="lab")
        alone.register(QPUPlugin(), name="ionq")
        monkeypatch.setattr(registry, "_default", alone)
        monkeypatch.setattr("fake_backends.get_backend", lambda name: inner)

    def test_the_models_own_comes_first(self) -> None:
        own, default = Watched(), Watched()
        manager = BackendManager()
        manager.register_backend("default", default)
        asyncio.run(QuantumTrainer(settings(quantum_sdk="no.such"), manager).train(new_model(own), loader()))
        assert own.jobs
        assert not default.jobs

    def test_then_the_managers_default(self) -> None:
        first, default = Watched(), Watched()
        manager = BackendManager()
        manager.register_backend("first", first)
        manager.register_backend("second", default)
        manager.set_default_backend("second")
        model = new_model()
        asyncio.run(QuantumTrainer(settings(quantum_sdk="no.such"), manager).train(model, loader()))
        assert default.jobs
        assert not first.jobs
        assert model.backend is default

    @pytest.mark.usefixtures("installed")
    def test_then_the_configurations_which_is_opened(self, tmp_path: Path) -> None:
        model = new_model()
        config = settings(quantum_sdk="lab", quantum_api_key="hush", run_directory=tmp_path)
        asyncio.run(QuantumTrainer(config, BackendManager()).train(model, loader()))
        assert isinstance(model.backend, Lab)
        assert (model.backend.api_key, model.backend.events) == ("hush", ["open"])
        assert not any(b"hush" in path.read_bytes() for path in tmp_path.iterdir())

    @pytest.mark.usefixtures("installed")
    def test_a_target_reaches_the_backend_that_it_means(self) -> None:
        model = new_model()
        config = settings(quantum_sdk="ionq", quantum_target="qpu.forte-1")
        asyncio.run(QuantumTrainer(config).train(model, loader()))
        assert isinstance(model.backend, Lab)
        assert model.backend.target == "qpu.forte-1"

    def test_a_sampling_only_backend_needs_shots(self, tmp_path: Path) -> None:
        backend = Watched(exact=False, adjoint=False)
        with pytest.raises(CapabilityError, match="'mock' only samples: set shots_per_circuit to a number instead"):
            trained(settings(run_directory=tmp_path / "run"), backend=backend)
        assert backend.jobs == []
        assert not (tmp_path / "run").exists()
        trained(settings(gradient_method="spsa", shots_per_circuit=20), backend=backend)
        assert len(backend.jobs) == 9

    @pytest.mark.parametrize(
        ("options", "shots", "message"),
        [({}, 20, "'adjoint' is exact"), ({"adjoint": False}, None, "'adjoint' needs a noiseless simulator")],
        ids=["shots", "noise"],
    )
    def test_adjoint_is_refused_before_anything_is_written(
        self, tmp_path: Path, options: dict[str, Any], shots: int | None, message: str
    ) -> None:
        config = settings(gradient_method="adjoint", shots_per_circuit=shots, run_directory=tmp_path / "run")
        with pytest.raises(CapabilityError, match=message):
            trained(config, backend=Watched(**options))
        assert not (tmp_path / "run").exists()


def test_a_parameter_without_influence_keeps_its_value() -> None:
    circuit = QuantumCircuit(2).ry(0, Parameter("a")).rz(0, Parameter("b"))  # the last RZ is dead under Z
    model = new_model(ansatz=circuit, seed=1)
    before = model.parameters
    asyncio.run(QuantumTrainer(settings(gradient_method="parameter_shift")).train(model, loader()))
    assert abs(model.parameters - before)[1] < 1e-9 < abs(model.parameters - before)[0]


class TestBatchManager:
    def test_it_runs_circuits_on_the_backend_of_the_run(self) -> None:
        trainer = QuantumTrainer(settings(), progress=False)
        with pytest.raises(ConfigurationError, match="batch_manager belongs to a run: train first"):
            _ = trainer.batch_manager
        model = new_model()
        asyncio.run(trainer.train(model, loader()))
        before = trainer.spent
        manager = trainer.batch_manager
        assert manager is trainer.batch_manager
        (result,) = asyncio.run(manager.execute_batch([QuantumCircuit(2).x(0)], shots=10))
        assert result.counts == {"10": 10}
        assert (trainer.spent - before).circuits == 1
