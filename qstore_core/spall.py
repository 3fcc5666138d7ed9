"""Spall's gain sequence for SPSA, calibrated by the first gradient."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from qstore_core.arrays import FloatArray
from qstore_core.errors import ConfigurationError
from qstore_core.problem import require_positive

DIFFERENCE_DECAY = 0.101
"""The step of the differences goes with it, as `c / (k + 1)**0.101`."""

CALIBRATION_DIRECTIONS = 10
"""Directions of the first gradient: enough for its mean size to be that of the gradient, not that of one direction."""


@dataclass(frozen=True, slots=True)
class Spall:
    """`theta - a_k (g + wd theta)` with `a_k = a / (A + k + 1)**exponent` (Spall, IEEE Trans. AES 34, 817, 1998).

    `a` is chosen at the first gradient that is not 0: such that the step it makes moves the parameters that it moves by
    `first_move` radians on average. That gradient should be a good one, so SPSA takes more directions for it.

    Attributes:
        first_move: How far the first step goes in each parameter, on average, radians.
        stability: Spall's `A`, about a tenth of the expected number of steps; None where that is not known.
        weight_decay: As for other rules.
        exponent: How fast the gains fall; Spall's practical value is 0.602, and 1 is optimal after very many steps.

    >>> rule = Spall(0.5, stability=0.0)
    >>> parameters, state = rule.update(np.array([2.0, -4.0, 0.0]), rule.init(np.zeros(3)), np.zeros(3))
    >>> parameters.round(4)
    array([-0.3333,  0.6667,  0.    ])
    """

    first_move: float
    stability: float | None = None
    weight_decay: float = 0.0
    exponent: float = 0.602

    def __post_init__(self) -> None:
        require_positive("first_move", self.first_move)
        require_positive("exponent", self.exponent)
        if self.stability != 0 and self.stability is not None:
            require_positive("stability", self.stability)

    def init(self, parameters: FloatArray) -> Mapping[str, Any]:
        """No step done and no gain yet.

        Raises:
            ConfigurationError: Nothing says how many steps there will be.
        """
        if self.stability is None:
            raise ConfigurationError(
                "optimizer='spall' goes by the number of steps, and this loader has no length: give it one (__len__), "
                "or optimizer_options={'stability': a tenth of the steps}"
            )
        return {"steps": 0, "stability": float(self.stability), "gain": None}

    def update(
        self, gradient: FloatArray, state: Mapping[str, Any], parameters: FloatArray
    ) -> tuple[FloatArray, Mapping[str, Any]]:
        """One step, with the gain that its number gives."""
        size = np.abs(gradient[gradient != 0])
        falling = float((state["stability"] + state["steps"] + 1) ** self.exponent)
        gain = state["gain"]
        if gain is None and len(size):
            gain = self.first_move * falling / float(np.mean(size))
        rate = 0.0 if gain is None else gain / falling
        moved = parameters - rate * (gradient + self.weight_decay * parameters)
        return moved, {**state, "steps": state["steps"] + 1, "gain": gain}
