"""`qstore train`: what it prints, what it leaves in the run directory, and how it ends."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner, Result
from run_files import steps_of

from qstore_core import cli
from qstore_core.checkpoint import load_checkpoint

SPSA = ("--gradient-method", "spsa")
FAST = ("--qubits", "2", "--depth", "1", "--epochs", "2", "--batch-size", "16")


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The directory in which the command runs."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def flowers(here: Path) -> Path:
    """Forty flowers with an id, two columns, a kind and a height that follow from them."""
    x = np.random.default_rng(3).normal(size=(40, 2))
    rows = [f"{i},{a},{b},{'iris' if a > 0 else 'rose'},{np.tanh(a):.3f}5" for i, (a, b) in enumerate(x)]
    path = here / "flowers.csv"
    path.write_text("\n".join(["id,width,length,kind,height", *rows]), encoding="utf-8")
    return path


CLASSES = ("--data", "flowers.csv", "--target", "kind", "--drop", "id", "--drop", "height")
VALUES = ("--data", "flowers.csv", "--target", "height", "--drop", "id", "--drop", "kind")


def qstore(*arguments: str) -> Result:
    return CliRunner().invoke(cli.main, arguments)


def trained(*arguments: str) -> list[str]:
    """The lines that a successful command printed."""
    shown = qstore("train", *arguments)
    assert (shown.exit_code, shown.stderr) == (0, ""), shown.output
    return shown.stdout.splitlines()


def config_of(directory: Path) -> dict[str, Any]:
    document: dict[str, Any] = json.loads((directory / "config.json").read_text(encoding="utf-8"))
    return document


class TestDataSets:
    def test_iris_on_four_qubits(self, here: Path) -> None:
        shown = trained("iris", "--qubits", "4", "--epochs", "5", "--learning-rate", "0.1")
        assert shown[:2] == [
            "iris: 150 samples, 4 columns, 3 classes",
            "4 qubits, depth 2, 16 parameters, backend mock",
        ]
        assert "exact expectation values" in shown
        (split,) = (line for line in shown if line.startswith("  split 1: "))
        accuracy = float(re.match(r"  split 1: test accuracy (\d\.\d{3})   \d+\.\d s of training$", split)[1])  # type: ignore[index]
        assert accuracy > 0.6
        assert not any("median" in line for line in shown)
        (directory,) = (here / "runs").iterdir()
        assert re.fullmatch(r"iris-\d{8}-\d{6}", directory.name)
        assert f"run directory: runs/{directory.name}" in shown
        assert {"checkpoint.npz", "config.json", "metrics.jsonl"} <= {path.name for path in directory.iterdir()}

    def test_chosen_classes_of_a_data_set_with_pca_and_a_baseline(self) -> None:
        shown = trained("digits", "--classes", "3,8", *FAST, "--baseline", "--epochs", "1")
        assert shown[0] == "digits: 357 samples, 64 columns reduced to 2 features by PCA, 2 classes"
        (split,) = (line for line in shown if line.startswith("  split 1: "))
        assert re.search(r"test accuracy \d\.\d{3}   logistic regression \d\.\d{3}   ", split)

    @pytest.mark.usefixtures("flowers")
    def test_a_file_with_text_classes(self, here: Path) -> None:
        shown = trained(*CLASSES, *FAST, "--run-directory", "run")
        assert shown[0] == "flowers: 40 samples, 2 columns, 2 classes"
        assert load_checkpoint(here / "run" / "checkpoint.npz").settings["loss"] == "cross_entropy"

    @pytest.mark.usefixtures("flowers")
    def test_a_file_with_target_values(self, here: Path) -> None:
        shown = trained(*VALUES, *FAST, "--run-directory", "run", "--baseline")
        assert shown[0] == "flowers: 40 samples, 2 columns, target values"
        (split,) = (line for line in shown if line.startswith("  split 1: "))
        assert re.match(r"  split 1: test R\^2 -?\d\.\d{3}   linear regression 0\.\d{3}   \d", split)
        assert load_checkpoint(here / "run" / "checkpoint.npz").settings["loss"] == "mse"


@pytest.mark.usefixtures("flowers")
class TestRuns:
    def test_shots_are_sampled_and_counted(self, here: Path) -> None:
        shown = trained(*CLASSES, *FAST, *SPSA, "--shots", "20", "--run-directory", "run")
        assert "20 shots a circuit" in shown
        steps = steps_of(here / "run")
        assert {step["method"] for step in steps} == {"spsa"}
        circuits = sum(step["circuits"] for step in steps)
        assert circuits == 2 * 2 * 32  # two circuits a sample and epoch
        totals = re.fullmatch(r"circuits: (\d+)   shots: ([\d,]+)   jobs: (\d+)   cost: 0.00 USD", shown[-1])
        assert totals is not None
        assert int(totals[1]) == circuits + 8  # and the eight test samples
        assert int(totals[2].replace(",", "")) == 20 * (circuits + 8)
        assert int(totals[3]) == len(steps) + 1

    def test_the_default_method_chooses_the_samples_of_a_step_and_shots_up_to_those_asked_for(self, here: Path) -> None:
        shown = trained(*CLASSES, *FAST, "--shots", "200", "--run-directory", "run")
        steps = steps_of(here / "run")
        for epoch in (1, 2):
            assert sum(step["samples"] for step in steps if step["epoch"] == epoch) == 32
        assert [step["epoch"] for step in steps] == sorted(step["epoch"] for step in steps)
        circuits, shots = (sum(step[name] for step in steps) for name in ("circuits", "shots"))
        assert {step["method"] for step in steps} <= {"spsa", "parameter_shift"}
        assert all(step["shots"] <= 200 * step["circuits"] for step in steps)
        totals = re.fullmatch(r"circuits: (\d+)   shots: ([\d,]+)   jobs: (\d+)   cost: 0.00 USD", shown[-1])
        assert totals is not None
        assert int(totals[1]) == circuits + 8
        assert int(totals[2].replace(",", "")) == shots + 200 * 8
        assert int(totals[3]) == len(steps) + 1

    def test_splits_have_a_directory_each_and_a_median(self, here: Path) -> None:
        shown = trained(*CLASSES, *FAST, "--splits", "2", "--baseline", "--run-directory", "run")
        splits = [line for line in shown if line.startswith("  split ")]
        assert [line[:9] for line in splits] == ["  split 1", "  split 2"]
        assert all("logistic regression" in line for line in splits)
        values = [float(re.search(r"accuracy (\d\.\d+)", line)[1]) for line in splits]  # type: ignore[index]
        (median,) = (line for line in shown if line.startswith("  median : "))
        assert f"test accuracy {np.median(values):.3f}   logistic regression" in median
        assert sorted(path.name for path in (here / "run").iterdir() if path.is_dir()) == ["split-1", "split-2"]
        assert [config_of(here / "run" / f"split-{number}")["seed"] for number in (1, 2)] == [0, 1]

    def test_several_numbers_of_shots_are_compared(self, here: Path) -> None:
        shown = trained(*CLASSES, *FAST, "--shots", "exact", "--shots", "5", "--run-directory", "run")
        assert shown.index("exact expectation values") < shown.index("5 shots a circuit")
        assert sorted(path.name for path in (here / "run").iterdir() if path.is_dir()) == ["shots-5", "shots-exact"]
        assert config_of(here / "run" / "shots-5")["shots_per_circuit"] == 5

    def test_the_options_reach_the_run(self, here: Path) -> None:
        trained(
            *(*CLASSES, "--qubits", "3", "--depth", "2", "--epochs", "1", "--batch-size", "8", "--encoding", "zz"),
            *("--reuploading", "--entanglement", "circular", "--optimizer", "momentum", "--learning-rate", "0.02"),
            *("--gradient-method", "parameter_shift", "--loss", "mse", "--seed", "9", "--run-directory", "run"),
            *("--option", "readout_error=0.01", "--shots", "10", "--gradient-option", "coordinates=2"),
            *("--learning-rate-decay", "0.1", "--parameter-averaging", "0.5", "--warm-start", "simulator"),
        )
        config = config_of(here / "run")
        wanted = {
            "n_qubits": 3,
            "circuit_depth": 2,
            "epochs": 1,
            "batch_size": 8,
            "entanglement": "circular",
            "optimizer": "momentum",
            "learning_rate": 0.02,
            "learning_rate_decay": 0.1,
            "parameter_averaging": 0.5,
            "warm_start": "simulator",
            "gradient_method": "parameter_shift",
            "gradient_options": {"coordinates": 2},
            "loss": "mse",
            "seed": 9,
            "shots_per_circuit": 10,
            "quantum_sdk": "mock",
        }
        assert {name: config[name] for name in wanted} == wanted
        assert config["backend"].startswith("mock(")
        assert "0.01" in config["backend"]

    def test_options_of_the_optimizer_are_read_as_what_they_are(self, here: Path) -> None:
        options = ("--optimizer-option", "amsgrad=true", "--optimizer-option", "beta1=0.8")
        trained(*CLASSES, *FAST, *options, "--epochs", "1", "--run-directory", "run")
        assert config_of(here / "run")["optimizer_options"] == {"amsgrad": True, "beta1": 0.8}
        assert qstore("resume", "run", "--epochs", "2").exit_code == 0

    def test_a_seed_repeats_the_run_to_the_last_bit(self, here: Path) -> None:
        for name, seed in (("one", "3"), ("same", "3"), ("other", "4")):
            trained(*CLASSES, *FAST, "--shots", "10", "--seed", seed, "--run-directory", name)
        one, same, other = (load_checkpoint(here / name / "checkpoint.npz") for name in ("one", "same", "other"))
        np.testing.assert_array_equal(one.parameters, same.parameters)
        assert not (one.parameters == other.parameters).any()

    def test_resuming_trains_the_epochs_that_are_left(self, here: Path) -> None:
        options = (*CLASSES, *FAST, *SPSA, "--shots", "10")
        whole = trained(*options, "--epochs", "4", "--run-directory", "whole")
        trained(*options, "--epochs", "1", "--run-directory", "parts")
        parts = trained(*options, "--epochs", "4", "--run-directory", "parts", "--resume")
        np.testing.assert_array_equal(
            load_checkpoint(here / "parts" / "checkpoint.npz").parameters,
            load_checkpoint(here / "whole" / "checkpoint.npz").parameters,
        )
        accuracy = [re.search(r"test accuracy \S+", "\n".join(shown)) for shown in (whole, parts)]
        assert accuracy[0] is not None
        assert accuracy[1] is not None
        assert accuracy[0][0] == accuracy[1][0]
        assert [step["step"] for step in steps_of(here / "parts")] == list(range(1, 9))

    def test_resuming_finished_splits_goes_on_with_the_others(self, here: Path) -> None:
        whole = trained(*CLASSES, *FAST, "--splits", "2", "--run-directory", "run")
        first, second = (here / "run" / f"split-{number}" / "checkpoint.npz" for number in (1, 2))
        kept, wanted = first.read_bytes(), load_checkpoint(second).parameters
        for path in second.parent.iterdir():
            path.unlink()
        again = trained(*CLASSES, *FAST, "--splits", "2", "--run-directory", "run", "--resume")
        assert first.read_bytes() == kept
        np.testing.assert_array_equal(load_checkpoint(second).parameters, wanted)
        accuracies = [re.findall(r"split \d: test accuracy \S+", "\n".join(shown)) for shown in (whole, again)]
        assert accuracies[0] == accuracies[1]

    def test_a_run_is_resumed_by_its_directory_alone(self, here: Path) -> None:
        trained(*CLASSES, *FAST, "--shots", "10", "--epochs", "1", "--run-directory", "run")
        shown = qstore("resume", "run", "--epochs", "3")
        assert (shown.exit_code, shown.stderr) == (0, "")
        trained(*CLASSES, *FAST, "--shots", "10", "--epochs", "3", "--run-directory", "whole")
        run, whole = (load_checkpoint(here / name / "checkpoint.npz") for name in ("run", "whole"))
        np.testing.assert_array_equal(run.parameters, whole.parameters)


@pytest.mark.usefixtures("flowers")
class TestMistakes:
    @pytest.mark.parametrize(
        ("arguments", "message"),
        [
            ((), "name one data set (breast_cancer, digits, iris, wine), or give --data FILE --target COLUMN"),
            (("iris", *CLASSES), "name one data set (breast_cancer, digits, iris, wine), or give --data FILE"),
            (("iris", "--task", "regression"), "--task belongs to --data; the columns of iris are what they are"),
            (("iris", "--drop", "petal"), "--drop belongs to --data"),
            (("iris", "--qubits", "2"), "use --qubits 3, or --classes to choose some"),
            (("irsi",), "unknown data set 'irsi'; did you mean 'iris'? Known: breast_cancer, digits, iris, wine"),
            (("--data", "flowers.csv"), "--data needs --target: the column to learn"),
            (("--data", "none.csv", "--target", "kind"), "cannot read none.csv: No such file or directory"),
            (("--data", "flowers.csv", "--target", "colour"), "flowers.csv has no column 'colour'; its columns are id"),
            (
                ("--data", "flowers.csv", "--target", "height"),
                "which is not a finite number; fill it, or leave the column out (--drop)",
            ),
            (
                (*CLASSES, "--qubits", "1"),
                "flowers has 2 classes, and each needs a qubit: use --qubits 2, --classes",
            ),
            ((*CLASSES, "--qubits", "0"), "flowers has 2 classes, and each needs a qubit"),
            ((*CLASSES, "--classes", "iris,tulip"), "unknown class of flowers 'tulip'; Known: iris, rose"),
            ((*VALUES, "--classes", "1,2"), "flowers has target values, not classes to choose from"),
            ((*CLASSES, "--qubits", "99"), "n_qubits=99, and backend 'mock' has at most "),
            ((*CLASSES, "--depth", "0"), "QuantumModel(depth=0): must be a whole number of at least 1"),
            ((*CLASSES, "--backend", "mok"), "unknown backend 'mok'; did you mean 'mock'?"),
            (
                (*CLASSES, "--option", "noise=1"),
                "backend 'mock' got an unexpected keyword argument 'noise'; it accepts",
            ),
            ((*CLASSES, "--option", "noise"), "'noise' is not of the form NAME=VALUE"),
            ((*CLASSES, "--gradient-method", "spas"), "unknown gradient estimator 'spas'; did you mean 'spsa'?"),
            (
                (*CLASSES, "--gradient-method", "adjoint", "--shots", "5"),
                "'adjoint' is exact: set shots_per_circuit=None",
            ),
            ((*CLASSES, "--shots", "0"), "'0' is neither 'exact' nor a whole number of at least 1"),
            ((*CLASSES, "--shots", "many"), "'many' is neither 'exact' nor a whole number of at least 1"),
            ((*CLASSES, "--optimizer", "lion"), "'lion' is not one of 'adam', 'momentum', 'rotosolve', 'sgd', 'spall'"),
            ((*CLASSES, "--optimizer-option", "beta=1"), "optimizer 'adam' has no option 'beta'; it accepts: amsgrad"),
            ((*CLASSES, "--parameter-averaging", "1"), "(parameter_averaging=1.0): must be a number from 0 to below 1"),
            (
                (*CLASSES, "--gradient-option", "directions=2"),
                "gradient estimator 'adaptive' got an unexpected keyword argument 'directions'; it accepts",
            ),
            ((*CLASSES, "--learning-rate", "0"), "TrainingConfig(learning_rate=0.0): must be a number above 0"),
            ((*CLASSES, "--batch-size", "0"), "TrainingConfig(batch_size=0): must be a whole number of at least 1"),
            ((*CLASSES, "--epochs", "-1"), "TrainingConfig(epochs=-1): must be a whole number of at least 0"),
            ((*CLASSES, "--splits", "0"), "Invalid value for '--splits': 0 is not in the range x>=1."),
            ((*CLASSES, "--test-fraction", "1"), "Invalid value for '--test-fraction': 1.0 is not in the range 0<x<1."),
            ((*VALUES, "--loss", "cross_entropy"), "'cross_entropy' needs integer class labels; these are floats"),
            ((*CLASSES, "--resume"), "--resume needs --run-directory: the run to go on with"),
            ((*CLASSES, "--run-directory", "flowers.csv"), "cannot make the run directory flowers.csv: File exists"),
            ((*CLASSES, "--run-directory", "flowers.csv/run"), "the run directory flowers.csv/run: Not a directory"),
        ],
        ids=lambda value: " ".join(value[-2:]) if isinstance(value, tuple) else "",
    )
    def test_each_is_one_line_and_status_two_and_leaves_nothing(
        self, here: Path, arguments: tuple[str, ...], message: str
    ) -> None:
        before = sorted(here.rglob("*"))
        shown = qstore("train", *arguments)
        assert shown.exit_code == 2, shown.output
        (line,) = shown.stderr.splitlines()
        assert line.startswith("qstore: error: ")
        assert message in line
        assert sorted(here.rglob("*")) == before

    def test_a_directory_that_holds_a_run_is_left_alone(self, here: Path) -> None:
        trained(*CLASSES, *FAST, "--run-directory", "run")
        before = {path: path.read_bytes() for path in (here / "run").iterdir()}
        shown = qstore("train", *CLASSES, *FAST, "--run-directory", "run")
        assert shown.exit_code == 2
        assert shown.stderr.startswith("qstore: error: run already holds a run: go on with it by ")
        assert {path: path.read_bytes() for path in (here / "run").iterdir()} == before

    def test_a_damaged_checkpoint_is_told(self, here: Path) -> None:
        trained(*CLASSES, *FAST, "--run-directory", "run")
        (here / "run" / "checkpoint.npz").write_bytes(b"PK")
        shown = qstore("train", *CLASSES, *FAST, "--run-directory", "run", "--resume")
        assert shown.exit_code == 2
        (line,) = shown.stderr.splitlines()
        assert line.startswith("qstore: error: the checkpoint run/checkpoint.npz is damaged (")

    def test_debug_shows_the_traceback_too(self) -> None:
        shown = qstore("--debug", "train", *CLASSES, "--resume")
        assert shown.exit_code == 2
        lines = shown.stderr.splitlines()
        assert lines[0] == "Traceback (most recent call last):"
        assert lines[-1] == "qstore: error: --resume needs --run-directory: the run to go on with"

    def test_without_scikit_learn_it_says_how_to_get_it(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setitem(sys.modules, "sklearn", None)
        shown = qstore("train", "iris")
        assert (shown.exit_code, shown.stderr.count("\n")) == (2, 1)
        assert 'pip install "qstore-core[data]"' in shown.stderr


@pytest.mark.usefixtures("flowers")
def test_ctrl_c_keeps_a_checkpoint_from_which_resuming_ends_as_if_uninterrupted(here: Path) -> None:
    options = (*CLASSES, *FAST[:4], "--batch-size", "4", "--shots", "10")
    running = subprocess.Popen(
        [sys.executable, "-m", "qstore_core", "train", *options, "--epochs", "1000000", "--run-directory", "parts"],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        # a suite that was started in the background ignores SIGINT, and its children would too
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )
    try:
        metrics, patience = here / "parts" / "metrics.jsonl", time.monotonic() + 60
        while not metrics.exists() or metrics.read_text(encoding="utf-8").count("\n") < 11:
            assert running.poll() is None
            assert time.monotonic() < patience
            time.sleep(0.01)
        running.send_signal(signal.SIGINT)
        _, errors = running.communicate(timeout=60)
    finally:
        running.kill()
        running.communicate()
    assert running.returncode == 130
    assert errors.splitlines() == [
        "",
        "checkpoint kept in parts; go on with `qstore resume parts`",
        "qstore: interrupted",
    ]
    kept = load_checkpoint(here / "parts" / "checkpoint.npz")
    assert kept.step == len(steps_of(here / "parts")) > 0
    epochs = str(kept.epoch + 2)
    trained(*options, "--epochs", epochs, "--run-directory", "parts", "--resume")
    trained(*options, "--epochs", epochs, "--run-directory", "whole")
    parts, whole = (load_checkpoint(here / name / "checkpoint.npz") for name in ("parts", "whole"))
    assert (parts.step, parts.parameters.tobytes()) == (whole.step, whole.parameters.tobytes())
    assert [step["step"] for step in steps_of(here / "parts")] == list(range(1, whole.step + 1))
