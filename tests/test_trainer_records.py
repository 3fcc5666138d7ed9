"""What training tells: validation, metrics, the run directory and the log."""

from __future__ import annotations

import asyncio
import json
import logging
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from fake_backends import Watched
from run_files import lines
from training_runs import BATCHES, Stopped, X, Y, loader, new_model, settings, trained

from qstore_core.checkpoint import Checkpoint, load_checkpoint
from qstore_core.errors import RunDirectoryError
from qstore_core.losses import CrossEntropy
from qstore_core.registry import get_backend
from qstore_core.run_directory import RunDirectory
from qstore_core.trainer import QuantumTrainer


class TestValidation:
    def test_it_is_the_loss_and_accuracy_of_the_outputs(self) -> None:
        model = new_model(get_backend("mock"), seed=3)
        found = asyncio.run(QuantumTrainer(settings(loss="mse")).validate(model, BATCHES))
        outputs = asyncio.run(model.forward(X))
        targets = np.where(Y[:, None] == [0, 1], 1.0, -1.0)
        assert found["loss"] == pytest.approx(np.mean((outputs - targets) ** 2), abs=1e-12)
        assert found["accuracy"] == pytest.approx(np.mean(outputs.argmax(axis=1) == Y))

    def test_float_targets_have_no_accuracy(self) -> None:
        model = new_model(output_dim=1)
        found = asyncio.run(QuantumTrainer(settings()).validate(model, [(X, X[:, 0] / 5)]))
        assert set(found) == {"loss"}

    def test_history_has_it_after_each_epoch(self) -> None:
        model = new_model()
        trainer = QuantumTrainer(settings())
        history = asyncio.run(trainer.train(model, loader(), val_loader=BATCHES))
        now = asyncio.run(trainer.validate(model, BATCHES))
        assert (history[-1].val_loss, history[-1].val_accuracy) == (now["loss"], now["accuracy"])
        assert len({metrics.val_loss for metrics in history}) == 3

    def test_it_uses_the_trained_scale_of_the_loss(self, tmp_path: Path) -> None:
        model = new_model()
        trainer = QuantumTrainer(settings(run_directory=tmp_path))
        asyncio.run(trainer.train(model, loader()))
        scale = load_checkpoint(tmp_path / "checkpoint.npz").loss_parameters
        outputs = asyncio.run(model.forward(X))
        wanted = CrossEntropy()(outputs, np.where(Y[:, None] == [0, 1], 1.0, -1.0), scale).value
        assert asyncio.run(trainer.validate(model, BATCHES))["loss"] == pytest.approx(wanted, abs=1e-12)

    def test_it_does_not_change_the_run(self) -> None:
        model = new_model()
        asyncio.run(QuantumTrainer(settings(shots_per_circuit=20)).train(model, loader(), val_loader=BATCHES))
        np.testing.assert_array_equal(model.parameters, trained(settings(shots_per_circuit=20)).parameters)

    def test_sampled_validation_repeats_with_the_seed(self) -> None:
        config, model = settings(shots_per_circuit=5), new_model(seed=3)
        one, same = (asyncio.run(QuantumTrainer(config).validate(model, BATCHES)) for _ in range(2))
        assert one == same
        batches = [batch for batch in BATCHES for _ in range(2)]  # equal batches have draws of their own
        backend = Watched()
        asyncio.run(QuantumTrainer(config).validate(new_model(backend, seed=3), batches))
        draws = np.concatenate([job.draws for job in backend.jobs if job.draws is not None])
        assert len(set(draws.tolist())) == len(draws) == 24

    def test_an_epoch_whose_validation_was_interrupted_is_still_in_the_metrics(self, tmp_path: Path) -> None:
        config = settings(run_directory=tmp_path, gradient_method="spsa")
        broken = new_model(Stopped(stop_at=3 + 1))  # three steps, then the first batch of validation
        with pytest.raises(KeyboardInterrupt):
            asyncio.run(QuantumTrainer(config).train(broken, loader(), val_loader=BATCHES))
        model = new_model()
        asyncio.run(QuantumTrainer(config).train(model, loader(), val_loader=BATCHES, resume=True))
        assert [line["epoch"] for line in lines(tmp_path, "epoch")] == [1, 2, 3]
        steps = [line for line in lines(tmp_path, "step") if line["epoch"] == 1]
        mean = np.average([line["loss"] for line in steps], weights=[line["samples"] for line in steps])
        assert lines(tmp_path, "epoch")[0]["loss"] == pytest.approx(mean)
        assert all(line["val_loss"] is not None for line in lines(tmp_path, "epoch"))
        np.testing.assert_array_equal(model.parameters, trained(settings(gradient_method="spsa")).parameters)


class TestMetrics:
    @pytest.mark.parametrize("method", ["spsa", "parameter_shift", "finite_difference"])
    def test_their_lines_add_up_to_the_trackers_totals_and_to_what_the_backend_saw(
        self, tmp_path: Path, method: str
    ) -> None:
        backend = Watched()
        trainer = QuantumTrainer(settings(gradient_method=method, shots_per_circuit=20, run_directory=tmp_path))
        history = asyncio.run(trainer.train(new_model(backend), loader(), val_loader=BATCHES))
        steps, epochs = lines(tmp_path, "step"), lines(tmp_path, "epoch")
        statistics = trainer.performance_tracker.get_statistics()
        seen = {
            "circuits": sum(job.n_circuits for job in backend.jobs),
            "shots": sum(job.n_shots for job in backend.jobs),
            "jobs": len(backend.jobs),
        }
        for name, total in seen.items():
            assert statistics[f"total_{name}"] == total
            assert sum(line[name] for line in epochs) == total
            assert sum(getattr(metrics, name) for metrics in history) == total
        validated = 3 * len(X)
        assert sum(line["circuits"] for line in steps) == seen["circuits"] - validated
        assert sum(line["shots"] for line in steps) == seen["shots"] - validated * 20
        assert [line["step"] for line in steps] == list(range(1, 10)) == list(range(1, statistics["total_batches"] + 1))
        assert [line["epoch"] for line in steps] == [1] * 3 + [2] * 3 + [3] * 3
        assert {line["method"] for line in steps} == {method}
        assert steps[-1]["loss"] == statistics["final_loss"]

    def test_an_epochs_loss_is_weighted_by_samples(self, tmp_path: Path) -> None:
        (history,) = asyncio.run(QuantumTrainer(settings(run_directory=tmp_path, epochs=1)).train(new_model(), BATCHES))
        steps = lines(tmp_path, "step")
        assert history.loss == pytest.approx(np.average([line["loss"] for line in steps], weights=[5, 5, 2]))
        assert history.gradient_norm == pytest.approx(np.mean([line["gradient_norm"] for line in steps]))
        (line,) = lines(tmp_path, "epoch")
        assert (line["loss"], line["step"], line["val_loss"]) == (history.loss, 3, None)

    def test_what_a_run_cost_includes_earlier_processes(self, tmp_path: Path) -> None:
        config = settings(run_directory=tmp_path, gradient_method="spsa", shots_per_circuit=20)
        trained(replace(config, epochs=1))
        trainer = QuantumTrainer(config)
        asyncio.run(trainer.train(new_model(), loader(), resume=True))
        assert trainer.spent.circuits == 3 * 2 * len(X)
        assert trainer.performance_tracker.total.circuits == 2 * 2 * len(X)
        assert load_checkpoint(tmp_path / "checkpoint.npz").spent == trainer.spent

    def test_a_run_begun_where_a_checkpoint_was_removed_has_only_its_own_lines(self, tmp_path: Path) -> None:
        trained(settings(run_directory=tmp_path))
        (tmp_path / "checkpoint.npz").unlink()
        trained(settings(run_directory=tmp_path, epochs=1))
        assert [line["step"] for line in lines(tmp_path, "step")] == [1, 2, 3]

    def test_they_go_to_the_log_every_so_many_steps(self, caplog: pytest.LogCaptureFixture) -> None:
        with caplog.at_level(logging.INFO, logger="qstore"):
            trained(settings(log_interval=4))
        assert [record.getMessage().split(":")[0] for record in caplog.records] == ["step 4", "step 8"]

    def test_a_bar_shows_them_when_asked_for(self, capsys: pytest.CaptureFixture[str]) -> None:
        config = settings(gradient_method="spsa", shots_per_circuit=20)
        asyncio.run(QuantumTrainer(config, progress=True).train(new_model(), loader()))
        shown = capsys.readouterr().err
        assert "72 circuits, 1,440 shots, $0.00" in shown
        assert "9/9 [" in shown
        trained(settings())
        assert capsys.readouterr().err == ""

    @pytest.mark.parametrize(("shots", "known"), [(None, True), (20, False)], ids=["exact", "sampled"])
    def test_a_bar_has_an_end_where_steps_are_the_loaders_batches(
        self, capsys: pytest.CaptureFixture[str], shots: int | None, known: bool
    ) -> None:
        trainer = QuantumTrainer(settings(shots_per_circuit=shots), progress=True)
        asyncio.run(trainer.train(new_model(), loader()))
        steps = trainer.performance_tracker.get_statistics()["total_batches"]
        last = capsys.readouterr().err.rstrip().split("\r")[-1]
        assert f"{steps}/9 [" in last if known else f"{steps}step [" in last


class TestRunDirectory:
    def test_it_holds_config_metrics_and_checkpoint(self, tmp_path: Path) -> None:
        model = trained(settings(run_directory=tmp_path, quantum_api_key=None))
        assert sorted(path.name for path in tmp_path.iterdir()) == [
            "checkpoint.npz",
            "config.json",
            "metrics.jsonl",
            "run.lock",
        ]
        config = json.loads((tmp_path / "config.json").read_text(encoding="utf-8"))
        assert (config["seed"], config["backend"], config["epochs"]) == (5, "mock", 3)
        assert config["model"] == model.fingerprint
        checkpoint = load_checkpoint(tmp_path / "checkpoint.npz")
        assert (checkpoint.step, checkpoint.epoch, checkpoint.settings["loss"]) == (9, 3, "cross_entropy")
        np.testing.assert_array_equal(checkpoint.parameters, model.parameters)

    @pytest.mark.parametrize(("interval", "saved"), [(1, [0, 3, 6, 9, 12, 15]), (2, [0, 6, 12, 15]), (10, [0, 15])])
    def test_checkpoints_come_every_so_many_epochs_and_at_the_end(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, interval: int, saved: list[int]
    ) -> None:
        steps = []
        save = RunDirectory.save

        def noted(self: RunDirectory, checkpoint: Checkpoint) -> None:
            steps.append(checkpoint.step)
            save(self, checkpoint)

        monkeypatch.setattr(RunDirectory, "save", noted)
        trained(settings(run_directory=tmp_path, checkpoint_interval=interval, epochs=5))
        assert steps == saved

    def test_only_one_may_write_to_it_at_a_time(self, tmp_path: Path) -> None:
        backend = Watched()
        with (
            RunDirectory(tmp_path).locked(),
            pytest.raises(RunDirectoryError, match="another process is writing to the run in"),
        ):
            trained(settings(run_directory=tmp_path), backend=backend)
        assert backend.jobs == []
        trained(settings(run_directory=tmp_path))

    def test_lines_of_steps_and_epochs_that_will_be_done_again_are_dropped(self, tmp_path: Path) -> None:
        directory = RunDirectory(tmp_path)
        for line in (
            {"kind": "step", "step": 3},
            {"kind": "epoch", "step": 3, "epoch": 1},
            {"kind": "step", "step": 4},
        ):
            directory.append_metrics(line)
        with directory.metrics_path.open("a", encoding="utf-8") as stream:
            stream.write('{"kind": "st')  # the process died here
        assert [line["epoch"] for line in directory.epochs()] == [1]
        directory.drop_metrics_after(3, 1)
        assert [line["kind"] for line in map(json.loads, directory.metrics_path.read_text("utf-8").splitlines())] == [
            "step",
            "epoch",
        ]
        directory.drop_metrics_after(3, 0)  # the epoch's last step is done, its validation is not
        assert lines(tmp_path, "epoch") == []
        assert len(lines(tmp_path, "step")) == 1

    def test_without_one_nothing_is_written(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.chdir(tmp_path)
        trained(settings())
        assert list(tmp_path.iterdir()) == []

    def test_the_last_epochs_scale_of_the_loss_is_kept(self, tmp_path: Path) -> None:
        trained(settings(run_directory=tmp_path))
        scale = load_checkpoint(tmp_path / "checkpoint.npz").loss_parameters
        assert scale.shape == (1,)
        assert scale[0] != 4.0


class TestPerformanceLog:
    def test_a_summary_is_written_at_the_end(self, tmp_path: Path) -> None:
        trainer = QuantumTrainer(settings(performance_log_dir=tmp_path / "logs"))
        asyncio.run(trainer.train(new_model(), loader()))
        document = json.loads((tmp_path / "logs" / "performance.json").read_text(encoding="utf-8"))
        assert document["statistics"] == trainer.performance_tracker.get_statistics()
        assert len(document["convergence"]["loss"]) == 9
        assert {"execute", "plan", "fold", "optimise", "compile"} == {
            entry["phase"] for entry in document["bottlenecks"]
        }

    def test_it_can_be_left_out(self, tmp_path: Path) -> None:
        trained(settings(performance_log_dir=tmp_path / "logs", enable_performance_tracking=False))
        assert not (tmp_path / "logs").exists()

    def test_a_place_that_cannot_be_written_is_told(self, tmp_path: Path) -> None:
        (tmp_path / "file").touch()
        with pytest.raises(RunDirectoryError, match=r"cannot write performance_log_dir .*file.logs: Not a directory"):
            trained(settings(performance_log_dir=tmp_path / "file" / "logs"))
