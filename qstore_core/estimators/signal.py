"""What the steps of a run have shown of the gradients of single samples."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from typing import Any, Self

import numpy as np

from qstore_core.arrays import FloatArray
from qstore_core.problem import GradientResult

_MEMORY = 200
"""Samples that the averages reach back."""

_PRIOR = 50
"""Samples' worth of belief that `mean |h|^2` is as large as the variance of one shot, whose estimate is far better."""

_WEAKEST = 0.005
"""The least share of `mean |h|^2` that the gradient is taken to have: towards the end it drowns in its own error."""

_UNKNOWN = 0.1
"""That share while there is only one step to go by."""

_NOTHING = 1e-12


@dataclass(frozen=True, slots=True)
class Signal:
    """What is known of the gradients h of single samples.

    Attributes:
        square: `|mean h|^2`, what the steps go down by.
        spread: `mean |h - mean h|^2` over samples.
        one_shot: The mean over samples of the variance that one shot gives the loss of a sample.

    >>> Signal(square=1.0, spread=20.0, one_shot=20.0).second_moment
    21.0
    """

    square: float
    spread: float
    one_shot: float

    @property
    def second_moment(self) -> float:
        """`mean |h|^2`."""
        return self.square + self.spread


@dataclass(frozen=True, slots=True, eq=False)
class SignalAverages:
    """Averages over the steps so far, the last two hundred samples weighing most.

    The square of an averaged gradient holds the noise of each step, `w_t^2 |g_t|^2`. Products of different steps do
    not, so with weights `w_t` that sum to 1

        |mean h|^2  =  (|sum w_t g_t|^2 - sum w_t^2 |g_t|^2) / (1 - sum w_t^2).

    Attributes:
        samples: How many went in, up to the memory.
        second_moment: Average of `mean |h|^2`, shot noise subtracted.
        one_shot: Average of the variance from one shot.
        gradient: `sum w_t g_t`, `(n_parameters,)`.
        self_products: `sum w_t^2 |g_t|^2`.
        squared_weights: `sum w_t^2`.

    >>> averages = SignalAverages.empty(2)
    >>> step = GradientResult(np.ones(2), 0.0, metadata={"samples": 25, "second_moment": 9.0, "one_shot_variance": 5.0})
    >>> averages.after(step).after(step).signal
    Signal(square=2.0, spread=5.0, one_shot=5.0)
    """

    samples: int
    second_moment: float
    one_shot: float
    gradient: FloatArray
    self_products: float
    squared_weights: float

    @classmethod
    def empty(cls, n_parameters: int) -> Self:
        """Before the first step."""
        return cls(0, 0.0, 0.0, np.zeros(n_parameters), 0.0, 0.0)

    @classmethod
    def of(cls, state: Mapping[str, Any]) -> Self:
        """What `to_state` gave."""
        return cls(**state)

    def to_state(self) -> dict[str, Any]:
        """Plain values, for a checkpoint."""
        return {entry.name: getattr(self, entry.name) for entry in fields(self)}

    def after(self, result: GradientResult) -> Self:
        """With one more step."""
        told, gradient = result.metadata, result.gradients
        new = told["samples"] / (told["samples"] + self.samples)
        old = 1 - new
        return replace(
            self,
            samples=min(self.samples + told["samples"], _MEMORY),
            second_moment=old * self.second_moment + new * told["second_moment"],
            one_shot=old * self.one_shot + new * told["one_shot_variance"],
            gradient=old * self.gradient + new * gradient,
            self_products=old**2 * self.self_products + new**2 * float(gradient @ gradient),
            squared_weights=old**2 * self.squared_weights + new**2,
        )

    @property
    def informed(self) -> bool:
        """Whether the averages are of use: an unlucky first step may say that there is less than nothing."""
        return self.second_moment > 0 and self.one_shot > 0

    @property
    def signal(self) -> Signal:
        """What they say."""
        total = (self.samples * self.second_moment + _PRIOR * self.one_shot) / (self.samples + _PRIOR)
        total = max(total, _NOTHING)
        apart = 1 - self.squared_weights
        square = _UNKNOWN * total
        if apart > _NOTHING:
            square = (float(self.gradient @ self.gradient) - self.self_products) / apart
        square = min(max(square, _WEAKEST * total), total)
        return Signal(square, total - square, max(self.one_shot, _NOTHING))
