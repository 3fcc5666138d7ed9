"""The suite of backends passes what is right, and says by name what is wrong with each of many wrong backends."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any, ClassVar

import mutants
import pytest
import size_mutants  # noqa: F401  (they add themselves to mutants.LOCAL)
from qstore_postbox.backend import PostboxBackend

from qstore_core.backend import BackendCapabilities
from qstore_core.testing import BackendSuite, Outcome, ReferenceBackend, run_suite
from qstore_core.testing.runner import checks_of, iterate_suite


class Rich(BackendSuite):
    max_usd = 1e6
    patience = 20.0


class TestReference(BackendSuite):
    @pytest.fixture
    def make_backend(self) -> type[ReferenceBackend]:
        return ReferenceBackend


class NoisySampler(ReferenceBackend):
    """Only samples, only a few gates, and a line of qubits: most is skipped or loose."""

    fingerprint = "few"
    capabilities = BackendCapabilities(
        max_qubits=5,
        gates=frozenset({"rx", "rz", "cz", "h", "sdg"}),
        connectivity=frozenset({(0, 1), (1, 2), (2, 3), (3, 4)}),
        max_shots=2000,
        exact=False,
        noisy=True,
        seedable=False,
    )


class TestFewGates(BackendSuite):
    shots: ClassVar[int] = 2000

    @pytest.fixture
    def make_backend(self) -> type[NoisySampler]:
        return NoisySampler


def by_name(outcomes: list[Outcome]) -> dict[str, Outcome]:
    return {outcome.name: outcome for outcome in outcomes}


def verdict(check: str, make_backend: Any) -> Outcome:
    """What one check says of a backend."""
    (outcome,) = iterate_suite(Rich(), only=check, make_backend=make_backend)
    return outcome


@pytest.mark.parametrize("name", mutants.LOCAL)
def test_a_wrong_simulator_is_caught_by_the_check_of_its_fault(name: str) -> None:
    mutant: Any = mutants.LOCAL[name]
    assert verdict(mutant.caught_by, mutant).state == "failed"
    assert verdict(mutant.caught_by, ReferenceBackend).state in ("passed", "skipped")


@pytest.mark.parametrize("name", mutants.REMOTE)
def test_a_wrong_remote_backend_is_caught_by_the_check_of_its_fault(name: str, tmp_path: Path) -> None:
    mutant: Any = mutants.REMOTE[name]
    assert verdict(mutant.caught_by, partial(mutant, folder=tmp_path, queue=0.1)).state == "failed"


def test_there_are_mutants_of_every_fault_that_the_issue_names() -> None:
    assert len(mutants.LOCAL) + len(mutants.REMOTE) >= 12
    every: list[Any] = [*mutants.LOCAL.values(), *mutants.REMOTE.values()]
    assert {mutant.caught_by for mutant in every} <= {name for name, _ in checks_of(BackendSuite())}


def test_nothing_is_spent_that_was_not_allowed(tmp_path: Path) -> None:
    outcomes = by_name(run_suite(BackendSuite(), make_backend=partial(PostboxBackend, folder=tmp_path)))
    assert {outcome.state for outcome in outcomes.values()} == {"passed", "skipped"}
    assert "USD, and max_usd=0 is all" in outcomes["test_rows_come_back_whole_and_in_their_order"].reason
    assert not list(tmp_path.glob("*.json"))


def test_what_is_skipped_says_which_capability_rules_it_out() -> None:
    skipped = [each for each in run_suite(TestFewGates(), make_backend=NoisySampler) if each.state == "skipped"]
    assert any("capabilities.seedable is False" in outcome.reason for outcome in skipped)
    assert all(outcome.reason for outcome in skipped)


def test_something_else_than_a_backend_is_named() -> None:
    outcomes = run_suite(BackendSuite(), make_backend=dict)
    assert {outcome.state for outcome in outcomes} == {"failed"}
    assert "make_backend made a dict; a backend derives from LocalBackend" in outcomes[0].reason
