"""The cap that holds."""

from __future__ import annotations

from dataclasses import replace

import pytest

from qstore_core.account import Account
from qstore_core.cost import Budget, Cost
from qstore_core.errors import BudgetExceededError

BATCH = Cost(usd_low=0.1, usd_high=0.3, circuits=10, shots=1000, jobs=1, seconds=2.0)


@pytest.mark.parametrize(
    ("budget", "words"),
    [
        (Budget(usd=0.5), "the budget is 0.5 USD: 0.3 spent or reserved, and the next batch needs 0.3"),
        (Budget(circuits=19), "the budget is 19 circuits: 10 spent or reserved, and the next batch needs 10"),
        (Budget(shots=1999), "the budget is 1,999 shots: 1,000 spent or reserved, and the next batch needs 1,000"),
        (Budget(jobs=1), "the budget is 1 jobs: 1 spent or reserved, and the next batch needs 1"),
        (Budget(seconds=3), "the budget is 3 s on the backend: 2 spent or reserved, and the next batch needs 2"),
    ],
)
def test_what_could_pass_a_limit_is_refused_and_nothing_is_reserved(budget: Budget, words: str) -> None:
    account = Account(budget)
    account.reserve(BATCH)
    with pytest.raises(BudgetExceededError, match=words):
        account.reserve(BATCH)
    assert account.spent == BATCH


def test_a_limit_may_be_reached_exactly() -> None:
    account = Account(Budget(circuits=20))
    account.reserve(BATCH)
    account.reserve(BATCH)
    assert account.spent.circuits == 20


def test_dollars_are_counted_on_the_dearer_reading_until_the_real_cost_is_known() -> None:
    account = Account(Budget(usd=0.5))
    account.reserve(BATCH)
    account.settle(BATCH, replace(BATCH, usd_low=0.1, usd_high=0.1))
    account.reserve(BATCH)
    assert account.spent.usd_high == pytest.approx(0.4)


def test_a_price_that_is_not_known_stays_reserved() -> None:
    account = Account()
    account.reserve(BATCH)
    account.settle(BATCH, None)
    assert account.spent == BATCH


def test_what_costs_nothing_passes_a_budget_that_is_used_up() -> None:
    account = Account(Budget(usd=0.0))
    account.reserve(Cost(circuits=5, jobs=1))
    assert account.spent.circuits == 5


def test_what_no_price_foretells_is_refused_once_the_limit_is_reached() -> None:
    account, unknown = Account(Budget(seconds=10)), Cost(jobs=1)
    for seconds in (4.0, 7.0):
        account.reserve(unknown)
        account.settle(unknown, Cost(jobs=1, seconds=seconds))
    with pytest.raises(BudgetExceededError, match="11 spent or reserved, and what the next batch takes"):
        account.reserve(unknown)


def test_what_takes_nothing_of_a_limit_that_was_reached_may_be_run() -> None:
    account = Account(Budget(usd=0.3, shots=1000))
    account.reserve(BATCH)
    account.reserve(Cost(circuits=1))
    account.settle(Cost(), Cost(usd_high=0.1))
    with pytest.raises(BudgetExceededError, match="spent or reserved, and what the next batch takes"):
        account.reserve(Cost(circuits=1))


def test_what_is_free_may_be_run_with_a_budget_of_nothing() -> None:
    account = Account(Budget(usd=0))
    account.reserve(Cost(circuits=10))
    assert account.spent.circuits == 10


@pytest.mark.parametrize("nonsense", [float("nan"), float("inf"), -1000.0])
def test_a_cost_that_cannot_be_one_leaves_the_reservation(nonsense: float) -> None:
    account = Account(Budget(usd=0.5))
    account.reserve(BATCH)
    account.settle(BATCH, replace(BATCH, usd_high=nonsense))
    assert account.spent == BATCH
    with pytest.raises(BudgetExceededError):
        account.reserve(BATCH)
    with pytest.raises(BudgetExceededError):
        Account(Budget(usd=0.5)).reserve(replace(BATCH, usd_high=float("nan")))
