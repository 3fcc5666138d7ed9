"""Optimisers as pure pairs: `init(parameters)` makes a state, `update(gradient, state, parameters)` the next of both.

They do no I/O and keep nothing themselves; a state is a dict of numbers and arrays that a checkpoint stores.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from qstore_core.arrays import FloatArray
from qstore_core.errors import UnknownNameError

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

    >>> rule = Adam(0.1)
    >>> rule.update(np.array([5.0]), rule.init(np.zeros(1)), np.zeros(1))[0].round(6)
    array([-0.1])
    """

    learning_rate: float
    weight_decay: float = 0.0
    beta1: float = 0.9
    beta2: float = 0.999
    epsilon: float = 1e-8

    def init(self, parameters: FloatArray) -> OptimizerState:
        """Running means of 0."""
        return {"mean": np.zeros_like(parameters), "square": np.zeros_like(parameters), "steps": 0}

    def update(
        self, gradient: FloatArray, state: OptimizerState, parameters: FloatArray
    ) -> tuple[FloatArray, OptimizerState]:
        """One step."""
        steps = state["steps"] + 1
        mean = self.beta1 * state["mean"] + (1 - self.beta1) * gradient
        square = self.beta2 * state["square"] + (1 - self.beta2) * gradient**2
        unbiased = mean / (1 - self.beta1**steps)
        scale = np.sqrt(square / (1 - self.beta2**steps)) + self.epsilon
        moved = parameters - self.learning_rate * (unbiased / scale + self.weight_decay * parameters)
        return moved, {"mean": mean, "square": square, "steps": steps}


OPTIMIZERS = ("adam", "momentum", "sgd")
"""The optimisers by name."""


def make_optimizer(name: str, *, learning_rate: float, momentum: float, weight_decay: float) -> Optimizer:
    """The optimiser called `name`.

    >>> make_optimizer("sgd", learning_rate=0.1, momentum=0.9, weight_decay=0.0)
    SGD(learning_rate=0.1, weight_decay=0.0)
    """
    if name == "sgd":
        return SGD(learning_rate, weight_decay)
    if name == "momentum":
        return Momentum(learning_rate, momentum, weight_decay)
    if name == "adam":
        return Adam(learning_rate, weight_decay)
    raise UnknownNameError.of("optimizer", name, OPTIMIZERS)


def clip_by_norm(gradient: FloatArray, limit: float) -> FloatArray:
    """`gradient`, shortened to a Euclidean norm of at most `limit`.

    >>> clip_by_norm(np.array([3.0, 4.0]), 1.0)
    array([0.6, 0.8])
    """
    norm = float(np.linalg.norm(gradient))
    return gradient if norm <= limit else gradient * (limit / norm)
