"""What `qstore_core` promises to a program: its names, and that each is shown at work."""

from __future__ import annotations

import ast
import inspect
import subprocess
import sys

import pytest

import qstore_core
from qstore_core import errors

CONTRACT = """
    BackendManager get_backend plugins hookimpl register QuantumModel QuantumTrainer TrainingConfig TrainingMetrics
    ArrayLoader Budget Cost QuantumCircuit Parameter CircuitBatch BatchResult PauliString Backend LocalBackend
    RemoteBackend BackendCapabilities ExecutionResult HardwareEfficientQuantumLayer QuantumLayer PerformanceTracker
    GradientResult QStoreError CircuitBatchManager QuantumCircuitCache SPSAGradientEstimator
    ParameterShiftGradientEstimator AdaptiveGradientEstimator
""".split()

# Interfaces are shown at work by what implements them, and a marker by the plugin guide.
INTERFACES = {"Ansatz", "Backend", "Encoding", "GradientEstimator", "LocalBackend", "RemoteBackend", "hookimpl"}


def public() -> list[str]:
    return [name for name in qstore_core.__all__ if not name.startswith("__")]


@pytest.mark.parametrize("name", CONTRACT)
def test_the_contract_is_kept(name: str) -> None:
    assert name in qstore_core.__all__


def test_what_is_imported_on_first_use_is_what_type_checkers_are_told() -> None:
    (told,) = [node for node in ast.parse(inspect.getsource(qstore_core)).body if isinstance(node, ast.If)]
    imports = [node for node in told.body if isinstance(node, ast.ImportFrom)]
    homes = {alias.name: node.module for node in imports for alias in node.names}
    assert homes == {name: f"qstore_core.{module}" for name, module in qstore_core._HOMES.items()}
    assert sorted(homes) == sorted(qstore_core.__all__)
    assert set(homes) <= set(dir(qstore_core))


def test_a_name_that_there_is_not_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="module 'qstore_core' has no attribute 'Trainer'"):
        qstore_core.Trainer  # noqa: B018


@pytest.mark.parametrize("name", ["_trainer", "__wrapped__", "no_such_module"])
def test_no_module_is_made_up(name: str) -> None:
    assert not hasattr(qstore_core, name)


def test_modules_are_attributes_and_names_of_modules_that_fail_say_so() -> None:
    program = """
import sys, qstore_core
print(qstore_core.errors.__name__, qstore_core.trainer.QuantumTrainer is qstore_core.QuantumTrainer)
sys.modules["sqlite3"] = None
try:
    qstore_core.sqlite_cache
except ImportError as error:
    print(error.name)
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["qstore_core.errors", "True", "sqlite3"]


def test_threads_may_use_different_names_first() -> None:
    program = """
import threading, qstore_core
names, failed = [name for name in qstore_core.__all__], []
start = threading.Barrier(len(names))
def use(name):
    start.wait()
    try:
        getattr(qstore_core, name)
    except BaseException as error:
        failed.append(error)
threads = [threading.Thread(target=use, args=(name,)) for name in names]
for thread in threads: thread.start()
for thread in threads: thread.join()
print(failed)
"""
    for _ in range(3):
        done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
        assert done.stdout == "[]\n"


def test_importing_the_package_alone_imports_next_to_nothing() -> None:
    program = "import sys, qstore_core; print({'numpy', 'asyncio', 'pluggy', 'click'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout == "set()\n"


def test_every_error_is_public() -> None:
    defined = {
        name for name, value in vars(errors).items() if inspect.isclass(value) and value.__module__ == errors.__name__
    }
    assert defined <= set(qstore_core.__all__)


@pytest.mark.parametrize("name", [name for name in public() if name not in INTERFACES])
def test_every_public_name_has_an_example_that_runs(name: str) -> None:
    value = getattr(qstore_core, name)
    if inspect.isclass(value) and issubclass(value, Exception):
        return
    assert ">>>" in (inspect.getdoc(value) or ""), f"{name} has no doctest"


@pytest.mark.parametrize("name", public())
def test_every_public_method_is_documented(name: str) -> None:
    value = getattr(qstore_core, name)
    if not inspect.isclass(value):
        return
    for attribute, member in vars(value).items():
        if not attribute.startswith("_") and callable(member):
            assert inspect.getdoc(getattr(value, attribute)), f"{name}.{attribute} has no docstring"
