"""Costs and budgets."""

from __future__ import annotations

from typing import Any

import pytest

from qstore_core.cost import Budget, Cost
from qstore_core.errors import ConfigurationError


def test_costs_are_added_and_subtracted_entry_by_entry() -> None:
    first = Cost(usd_low=1.0, usd_high=2.0, circuits=3, shots=400, jobs=1, seconds=0.5)
    second = Cost(usd_low=0.25, usd_high=0.5, circuits=2, shots=100, jobs=2, seconds=1.0)
    assert first + second == Cost(usd_low=1.25, usd_high=2.5, circuits=5, shots=500, jobs=3, seconds=1.5)
    assert (first + second) - second == first


def test_no_cost_is_neutral() -> None:
    cost = Cost(usd_low=1.0, circuits=3)
    assert cost + Cost() == cost
    assert sum([cost, cost], Cost()).circuits == 6


def test_a_budget_is_without_limits_until_they_are_set() -> None:
    assert Budget() == Budget(usd=None, circuits=None, shots=None, jobs=None, seconds=None)
    assert Budget(usd=0, circuits=0).usd == 0


@pytest.mark.parametrize("name", ["usd", "circuits", "shots", "jobs", "seconds"])
@pytest.mark.parametrize("value", [-1, float("inf"), float("nan"), "5", True], ids=repr)
def test_a_limit_that_is_no_amount_is_refused_by_name(name: str, value: Any) -> None:
    with pytest.raises(
        ConfigurationError, match=rf"Budget\({name}=...\) is a number of at least 0 or None, not {value!r}"
    ):
        Budget(**{name: value})
