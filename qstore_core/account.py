"""What a run has spent, and the cap that holds: money is reserved before anything is sent."""

from __future__ import annotations

from dataclasses import dataclass, field, fields

from qstore_core.cost import Budget, Cost
from qstore_core.errors import BudgetExceededError

_ROUNDING = 1e-9  # sums of prices in floating point may miss a limit that they reach exactly
_UNITS = {"usd": "USD", "circuits": "circuits", "shots": "shots", "jobs": "jobs", "seconds": "s on the backend"}


@dataclass(slots=True)
class Account:
    """The spendings of a run.

    Attributes:
        budget: The limits; None: none.
        spent: What was spent before and since, reservations included, on the dearer reading.

    >>> account = Account(Budget(circuits=10))
    >>> account.reserve(Cost(circuits=10))
    >>> account.reserve(Cost(circuits=1))
    Traceback (most recent call last):
        ...
    qstore_core.errors.BudgetExceededError: the budget is 10 circuits: 10 spent or reserved, and the next batch needs 1
    """

    budget: Budget | None = None
    spent: Cost = field(default_factory=Cost)

    def reserve(self, cost: Cost) -> None:
        """Set `cost` aside.

        Raises:
            BudgetExceededError: It could pass the cap; nothing is reserved.
        """
        self.check(cost)
        self.spent += cost

    def check(self, cost: Cost) -> None:
        """Raise `BudgetExceededError` if `cost` could pass the cap."""
        if self.budget is None:
            return
        for entry in fields(self.budget):
            limit = getattr(self.budget, entry.name)
            name = "usd_high" if entry.name == "usd" else entry.name
            spent, needed = getattr(self.spent, name), getattr(cost, name)
            if limit is not None and needed and spent + needed > limit + _ROUNDING:
                raise BudgetExceededError(
                    f"the budget is {_words(entry.name, limit)}: {_amount(entry.name, spent)} spent or reserved, and "
                    f"the next batch needs {_amount(entry.name, needed)}"
                )

    @property
    def remaining(self) -> Budget | None:
        """What may still be spent; None: no limit."""
        return None if self.budget is None else self.budget.after(self.spent)

    def settle(self, reserved: Cost, real: Cost | None) -> None:
        """Replace a reservation by what it really cost; None leaves it, for a price that is not known."""
        if real is not None:
            self.spent = self.spent - reserved + real


def _amount(name: str, value: float) -> str:
    return f"{value:.4f}".rstrip("0").rstrip(".") if name in ("usd", "seconds") else f"{int(value):,}"


def _words(name: str, value: float) -> str:
    return f"{_amount(name, value)} {_UNITS[name]}"
