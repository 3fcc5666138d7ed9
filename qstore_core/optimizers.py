"""Optimisers as pure pairs: `init(parameters)` makes a state, `update(gradient, state, parameters)` the next of both.

They do no I/O and keep nothing themselves; a state is a dict of numbers and arrays that a checkpoint stores.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Any, Protocol

import numpy as np

from qstore_core.arrays import FloatArray
from qstore_core.errors import ConfigurationError, UnknownNameError
from qstore_core.problem import require_positive
from qstore_core.spall import Spall

OptimizerState = Mapping[str, Any]


class Optimizer(Protocol):
    """A step rule."""

    def init(self, parameters: FloatArray) -> OptimizerState:
        """The state before the first step."""
        ...

    def update(
        self, gradient: FloatArray, state: OptimizerState, parameters: FloatArray
    ) -> tuple[FloatArray, OptimizerState]:
        """The next parameters and state."""
        ...


@dataclass(frozen=True, slots=True)
class SGD:
    """`theta - lr (g + wd theta)`.

    >>> SGD(0.1).update(np.array([1.0]), {}, np.array([0.0]))[0]
    array([-0.1])
    """

    learning_rate: float
    weight_decay: float = 0.0

    def init(self, parameters: FloatArray) -> OptimizerState:
        """No state."""
        return {}

    def update(
        self, gradient: FloatArray, state: OptimizerState, parameters: FloatArray
    ) -> tuple[FloatArray, OptimizerState]:
        """One step down the gradient."""
        return parameters - self.learning_rate * (gradient + self.weight_decay * parameters), state


@dataclass(frozen=True, slots=True)
class Momentum:
    """`v = m v + g + wd theta`, then `theta - lr v` (Polyak 1964).

    >>> rule = Momentum(0.1, momentum=0.5)
    >>> parameters, state = rule.update(np.array([1.0]), rule.init(np.zeros(1)), np.zeros(1))
    >>> rule.update(np.array([1.0]), state, parameters)[0]
    array([-0.25])
    """

    learning_rate: float
    momentum: float = 0.9
    weight_decay: float = 0.0

    def init(self, parameters: FloatArray) -> OptimizerState:
        """A velocity of 0."""
        return {"velocity": np.zeros_like(parameters)}

    def update(
        self, gradient: FloatArray, state: OptimizerState, parameters: FloatArray
    ) -> tuple[FloatArray, OptimizerState]:
        """One step along the velocity."""
        velocity = self.momentum * state["velocity"] + gradient + self.weight_decay * parameters
        return parameters - self.learning_rate * velocity, {"velocity": velocity}


@dataclass(frozen=True, slots=True)
class Adam:
    """Adam (Kingma and Ba, arXiv 1412.6980) with decoupled weight decay (Loshchilov and Hutter, arXiv 1711.05101).

    With `m` and `v` the running means of `g` and `g^2`, corrected for their start at 0:
    `theta - lr (m / (sqrt(v) + eps) + wd theta)`.

    Attributes:
        learning_rate: The step size.
        weight_decay: Shrinks parameters by this rate times the learning rate.
        beta1: How much of `m` stays at each step.
        beta2: How much of `v` stays.
        epsilon: Keeps the division finite.
        amsgrad: Whether the largest `v` so far takes the place of `v`, so that a rare large gradient is not forgotten
            (Reddi, Kale and Kumar, arXiv 1904.09237). The largest is taken before the correction, as there; without a
            correction, which they leave out, the first steps would be far too long.

    >>> rule = Adam(0.1)
    >>> rule.update(np.array([5.0]), rule.init(np.zeros(1)), np.zeros(1))[0].round(6)
    array([-0.1])
    """

    learning_rate: float
    weight_decay: float = 0.0
    beta1: float = 0.9
    beta2: float = 0.999
    epsilon: float = 1e-8
    amsgrad: bool = False

    def __post_init__(self) -> None:
        require_positive("epsilon", self.epsilon)
        for name in ("beta1", "beta2"):
            value = getattr(self, name)
            if not isinstance(value, int | float) or isinstance(value, bool) or not 0 <= value < 1:
                raise ConfigurationError(f"{name} is a number from 0 to below 1, not {value!r}")
        if not isinstance(self.amsgrad, bool):
            raise ConfigurationError(f"amsgrad is True or False, not {self.amsgrad!r}")

    def init(self, parameters: FloatArray) -> OptimizerState:
        """Running means of 0."""
        names = ("mean", "square", "largest") if self.amsgrad else ("mean", "square")
        return {**{name: np.zeros_like(parameters) for name in names}, "steps": 0}

    def update(
        self, gradient: FloatArray, state: OptimizerState, parameters: FloatArray
    ) -> tuple[FloatArray, OptimizerState]:
        """One step."""
        steps = state["steps"] + 1
        mean = self.beta1 * state["mean"] + (1 - self.beta1) * gradient
        square = self.beta2 * state["square"] + (1 - self.beta2) * gradient**2
        largest = {"largest": np.maximum(state["largest"], square)} if self.amsgrad else {}
        unbiased = mean / (1 - self.beta1**steps)
        scale = np.sqrt(largest.get("largest", square) / (1 - self.beta2**steps)) + self.epsilon
        moved = parameters - self.learning_rate * (unbiased / scale + self.weight_decay * parameters)
        return moved, {"mean": mean, "square": square, **largest, "steps": steps}


@dataclass(frozen=True, slots=True)
class Decaying:
    """A rule whose learning rate at step k, from 0, is `learning_rate / (1 + decay k)`.

    >>> rule = Decaying(SGD(0.1), decay=1.0)
    >>> parameters, state = rule.update(np.array([1.0]), rule.init(np.zeros(1)), np.zeros(1))
    >>> rule.update(np.array([1.0]), state, parameters)[0].round(6)
    array([-0.15])
    """

    rule: SGD | Momentum | Adam
    decay: float

    def init(self, parameters: FloatArray) -> OptimizerState:
        """The rule's own state, and no step done."""
        return {"steps": 0, "rule": self.rule.init(parameters)}

    def update(
        self, gradient: FloatArray, state: OptimizerState, parameters: FloatArray
    ) -> tuple[FloatArray, OptimizerState]:
        """One step of the rule at the rate of this step."""
        rate = self.rule.learning_rate / (1 + self.decay * state["steps"])
        moved, inner = replace(self.rule, learning_rate=rate).update(gradient, state["rule"], parameters)
        return moved, {"steps": state["steps"] + 1, "rule": inner}


@dataclass(frozen=True, slots=True)
class NoStep:
    """For methods that move the parameters themselves, such as rotosolve: no step beside theirs.

    >>> NoStep().update(np.array([1.0]), {}, np.array([0.5]))[0]
    array([0.5])
    """

    def init(self, parameters: FloatArray) -> OptimizerState:
        """No state."""
        return {}

    def update(
        self, gradient: FloatArray, state: OptimizerState, parameters: FloatArray
    ) -> tuple[FloatArray, OptimizerState]:
        """The parameters as they are."""
        return parameters, state


OPTIMIZERS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "adam": ("amsgrad", "beta1", "beta2", "epsilon"),
        "momentum": (),
        "rotosolve": (),
        "sgd": (),
        "spall": ("exponent", "first_move", "stability"),
    }
)
"""The optimisers by name, with the options that each takes beside the settings that have names of their own."""

RATED = ("adam", "momentum", "sgd")
"""Those that go by the learning rate."""


def make_optimizer(
    name: str,
    *,
    learning_rate: float = 0.01,
    momentum: float = 0.9,
    weight_decay: float = 0.0,
    learning_rate_decay: float = 0.0,
    first_move: float = 0.01,
    n_steps: int | None = None,
    options: Mapping[str, Any] = MappingProxyType({}),
) -> Optimizer:
    """The optimiser called `name`.

    Args:
        name: One of `OPTIMIZERS`.
        learning_rate: For those in `RATED`.
        momentum: For "momentum".
        weight_decay: For all but "rotosolve".
        learning_rate_decay: For those in `RATED`.
        first_move: For "spall", radians.
        n_steps: For "spall": how many steps are expected, where that is known.
        options: What else the optimiser takes.

    Raises:
        ConfigurationError: An option that it does not take, or a value that is not permitted.

    >>> make_optimizer("sgd", learning_rate=0.1)
    SGD(learning_rate=0.1, weight_decay=0.0)
    """
    _check_options(name, options)
    if name == "rotosolve":
        return NoStep()
    if name == "spall":
        stability = None if n_steps is None else 0.1 * n_steps
        return Spall(**{"first_move": first_move, "stability": stability, "weight_decay": weight_decay, **options})
    rule: SGD | Momentum | Adam
    if name == "sgd":
        rule = SGD(learning_rate, weight_decay)
    elif name == "momentum":
        rule = Momentum(learning_rate, momentum, weight_decay)
    else:
        rule = Adam(learning_rate, weight_decay, **options)
    return Decaying(rule, learning_rate_decay) if learning_rate_decay else rule


def _check_options(name: str, options: Mapping[str, Any]) -> None:
    if name not in OPTIMIZERS:
        raise UnknownNameError.of("optimizer", name, OPTIMIZERS)
    for option in options:
        if option not in OPTIMIZERS[name]:
            accepted = ", ".join(OPTIMIZERS[name]) or "no options"
            raise ConfigurationError(f"optimizer {name!r} has no option {option!r}; it accepts: {accepted}")


def clip_by_norm(gradient: FloatArray, limit: float) -> FloatArray:
    """`gradient`, shortened to a Euclidean norm of at most `limit`.

    >>> clip_by_norm(np.array([3.0, 4.0]), 1.0)
    array([0.6, 0.8])
    """
    norm = float(np.linalg.norm(gradient))
    return gradient if norm <= limit else gradient * (limit / norm)
