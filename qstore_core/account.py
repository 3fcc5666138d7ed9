"""What a run has spent, and the cap that holds: money is reserved before anything is sent."""

from __future__ import annotations

import threading
from dataclasses import astuple, dataclass, field, fields
from math import isfinite

from qstore_core.cost import Budget, Cost
from qstore_core.errors import BudgetExceededError

_ROUNDING = 1e-9  # sums of prices in floating point may miss a limit that they reach exactly
_ONE_AT_A_TIME = threading.Lock()
_UNITS = {"usd": "USD", "circuits": "circuits", "shots": "shots", "jobs": "jobs", "seconds": "s on the backend"}


@dataclass(slots=True)
class Account:
    """The spendings of a run.

    Attributes:
        budget: The limits; None: none.
        spent: What was spent before and since, reservations included, on the dearer reading.
        kept: What must be left over for later, such as a test; it is in no sum of what was spent.

    >>> account = Account(Budget(circuits=10))
    >>> account.reserve(Cost(circuits=10))
    >>> account.reserve(Cost(circuits=1))
    Traceback (most recent call last):
        ...
    qstore_core.errors.BudgetExceededError: the budget is 10 circuits: 10 spent or reserved, and the next batch needs 1
    """

    budget: Budget | None = None
    spent: Cost = field(default_factory=Cost)
    kept: Cost = field(default_factory=Cost)

    def reserve(self, cost: Cost) -> None:
        """Set `cost` aside.

        Raises:
            BudgetExceededError: It could pass the cap; nothing is reserved.
        """
        with _ONE_AT_A_TIME:
            self.check(cost)
            self.spent += cost

    def check(self, cost: Cost) -> None:
        """Raise `BudgetExceededError` if `cost` could pass the cap."""
        if self.budget is None:
            return
        for entry in fields(self.budget):
            limit = getattr(self.budget, entry.name)
            name = "usd_high" if entry.name == "usd" else entry.name
            spent, kept, needed = (getattr(part, name) for part in (self.spent, self.kept, cost))
            if limit is None:
                continue
            # no price foretells seconds; of the rest nothing is needed where it says so
            most = limit - _ROUNDING if entry.name == "seconds" and spent else limit + _ROUNDING
            if not needed and not spent <= most:
                raise BudgetExceededError(
                    f"the budget is {words_of(entry.name, limit)}: {_amount(entry.name, spent)} spent or reserved, and "
                    "what the next batch takes of it is not known before it ran"
                )
            if needed and not spent + kept + needed <= limit + _ROUNDING:  # not a number passes every limit
                left = f"{_amount(entry.name, kept)} kept for the test, " if kept else ""
                raise BudgetExceededError(
                    f"the budget is {words_of(entry.name, limit)}: {_amount(entry.name, spent)} spent or reserved, "
                    f"{left}and the next batch needs {_amount(entry.name, needed)}"
                )

    @property
    def remaining(self) -> Budget | None:
        """What may still be spent; None: no limit."""
        return None if self.budget is None else self.budget.after(self.spent + self.kept)

    def settle(self, reserved: Cost, real: Cost | None) -> None:
        """Replace a reservation by what it really cost.

        None leaves it, for a price that is not known, and so does what cannot be a price.
        """
        if real is not None and is_possible(real):
            with _ONE_AT_A_TIME:
                self.spent = self.spent - reserved + real


def is_possible(cost: Cost) -> bool:
    """Whether these are amounts that something can cost: finite, and none below 0.

    >>> is_possible(Cost(usd_high=0.5)), is_possible(Cost(usd_high=float("nan")))
    (True, False)
    """
    return all(isfinite(value) and value >= 0 for value in astuple(cost))


def _amount(name: str, value: float) -> str:
    return f"{value:.4f}".rstrip("0").rstrip(".") if name in ("usd", "seconds") else f"{int(value):,}"


def words_of(name: str, value: float) -> str:
    """An amount of what a budget limits, such as "usd", with its unit.

    >>> words_of("usd", 5), words_of("shots", 1000)
    ('5 USD', '1,000 shots')
    """
    return f"{_amount(name, value)} {_UNITS[name]}"
