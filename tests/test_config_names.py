"""Names in a configuration that nothing installed answers to: refused when it is made, before anything is spent."""

from __future__ import annotations

import subprocess
import sys

import pytest

from qstore_core import ConfigurationError, TrainingConfig, UnknownNameError


def test_an_unknown_gradient_method_is_refused_with_those_that_there_are() -> None:
    with pytest.raises(UnknownNameError) as caught:
        TrainingConfig(gradient_method="spas")

    assert str(caught.value).startswith(
        "TrainingConfig(gradient_method='spas'): unknown gradient estimator 'spas'; did you mean 'spsa'? Known: "
        "adaptive, adjoint, finite_difference, parameter_shift"
    )


@pytest.mark.parametrize("name", ["spsa_parallel", "spsa_subsampled", "adaptive", "schedule", "finite_difference"])
def test_the_names_of_q_store_and_of_the_core_are_known(name: str) -> None:
    assert TrainingConfig(gradient_method=name).gradient_method == name


def test_an_unknown_cache_is_refused_with_those_that_there_are() -> None:
    with pytest.raises(UnknownNameError, match=r"TrainingConfig\(cache='sqllite'\): .* did you mean 'sqlite'"):
        TrainingConfig(cache="sqllite")


@pytest.mark.parametrize("setting", ["gradient_method", "cache"])
def test_a_name_is_text(setting: str) -> None:
    with pytest.raises(ConfigurationError):
        TrainingConfig(**{setting: 3})  # type: ignore[arg-type]


def test_checking_names_imports_no_estimator_of_a_plugin() -> None:
    program = (
        "import sys; from qstore_core import TrainingConfig; TrainingConfig();"
        "print([name for name in sys.modules if name.startswith(('qstore_mock.', 'qstore_aer.', 'cirq', 'sqlite3'))])"
    )
    shown = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True)
    assert shown.stdout == "[]\n"
