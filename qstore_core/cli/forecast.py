"""What a run of `qstore train` will take, beside what it may take."""

from __future__ import annotations

from dataclasses import dataclass, fields
from math import floor

from qstore_core.account import words_of
from qstore_core.config import TrainingConfig
from qstore_core.cost import Budget, Cost
from qstore_core.data import Split
from qstore_core.errors import BudgetExceededError
from qstore_core.model import QuantumModel
from qstore_core.trainer import QuantumTrainer


@dataclass(frozen=True, slots=True)
class Forecast:
    """The price of a run, in its parts.

    Attributes:
        step: One step of training.
        n_steps: Steps of the run.
        epochs: Epochs of the run.
        training: All of them.
        test: The test of the trained model.

    >>> run = Forecast(Cost(usd_high=1.0), 100, 10, Cost(usd_high=100.0), Cost(usd_high=9.0))
    >>> run.against(Budget(usd=200.0))
    'It fits the budget: 109.00 USD of 200.00 USD.'
    >>> print(run.against(Budget(usd=30.0)).partition(";")[0])
    It does not fit the budget: 30.00 USD is enough for about 21 of 100 steps, 2.1 of 10 epochs, and the test
    """

    step: Cost
    n_steps: int
    epochs: int
    training: Cost
    test: Cost

    @classmethod
    def of(cls, model: QuantumModel, config: TrainingConfig, parts: Split) -> Forecast:
        """The forecast of training and testing on these parts."""
        found = QuantumTrainer(config).estimate_cost(model, len(parts.x_train))
        return cls(found.step, found.n_steps, config.epochs, found.total, price_of_test(model, config, parts))

    @property
    def total(self) -> Cost:
        """Training and test."""
        return self.training + self.test

    def against(self, budget: Budget) -> str:
        """Whether the run fits a budget, and if not how far it gets, on the dearer reading of prices."""
        try:
            check_test_fits(self.test, budget)
        except BudgetExceededError as error:
            return f"It does not fit the budget: {error}."
        shares = {}
        for name, limit, training, test in _limits(budget, self.training, self.test):
            if training:
                shares[name] = ((limit - test) / training, limit, training + test)
        if not shares:
            return "It fits the budget, which limits nothing that it takes."
        name = min(shares, key=lambda each: shares[each][0])
        share, limit, whole = shares[name]
        if share >= 1:
            told = " and ".join(f"{_words(n, all_)} of {_words(n, most)}" for n, (_, most, all_) in shares.items())
            return f"It fits the budget: {told}."
        steps = floor(share * self.n_steps)
        return (
            f"It does not fit the budget: {_words(name, limit)} is enough for about {steps:,} of {self.n_steps:,} "
            f"steps, {share * self.epochs:.2g} of {self.epochs} epochs, and the test; all of it takes "
            f"{_words(name, whole)}."
        )


def price_of_test(model: QuantumModel, config: TrainingConfig, parts: Split) -> Cost:
    """What the test of the trained model will cost."""
    return QuantumTrainer(config).estimate_cost(model, 1, n_validation=len(parts.x_test), epochs=1).validation


def check_test_fits(test: Cost, budget: Budget | None) -> None:
    """Refuse a run that could not be tested within its budget, before anything is spent.

    Raises:
        BudgetExceededError: The test alone could pass the cap.
    """
    for name, limit, _, needed in _limits(budget or Budget(), Cost(), test):
        if needed > limit:
            raise BudgetExceededError(
                f"the test of the trained model takes {_words(name, needed)}, and the budget is "
                f"{_words(name, limit)}: raise it, or hold out fewer samples by --test-fraction"
            )


def _limits(budget: Budget, training: Cost, test: Cost) -> list[tuple[str, float, float, float]]:
    """Each limit that there is, with what training and the test take of it."""
    rows = []
    for entry in fields(budget):
        limit = getattr(budget, entry.name)
        name = "usd_high" if entry.name == "usd" else entry.name
        if limit is not None:
            rows.append((entry.name, limit, getattr(training, name), getattr(test, name)))
    return rows


def _words(name: str, amount: float) -> str:
    return f"{amount:,.2f} USD" if name == "usd" else words_of(name, amount)
