"""From the settings of a run to what makes its steps: the gradient estimator and the optimisers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from typing import Any

from qstore_core.config import SPSA_STEP, TrainingConfig
from qstore_core.errors import ConfigurationError
from qstore_core.estimators.spsa import SPSA
from qstore_core.optimizers import RATED, Optimizer, make_optimizer
from qstore_core.problem import GradientEstimator
from qstore_core.registry import default_registry
from qstore_core.spall import CALIBRATION_DIRECTIONS, DIFFERENCE_DECAY


def make_parameter_optimizer(config: TrainingConfig, n_steps: int | None = None) -> Optimizer:
    """The rule of the circuit's parameters, for a run of so many steps where that is known.

    >>> make_parameter_optimizer(TrainingConfig(optimizer="sgd"))
    SGD(learning_rate=0.01, weight_decay=0.0)
    """
    return make_optimizer(
        config.optimizer,
        learning_rate=config.learning_rate,
        momentum=config.momentum,
        weight_decay=config.weight_decay,
        learning_rate_decay=config.learning_rate_decay,
        first_move=config.spsa_a_initial,
        n_steps=n_steps,
        options=config.optimizer_options,
    )


def make_loss_optimizer(config: TrainingConfig) -> Optimizer:
    """The rule of the loss's own parameters, whose gradient is classical: the same if it goes by gradients, else Adam.

    A scale is not pulled towards 0.

    >>> make_loss_optimizer(TrainingConfig(optimizer="sgd", weight_decay=0.1))
    SGD(learning_rate=0.01, weight_decay=0.0)
    """
    if config.optimizer not in RATED:
        return make_optimizer("adam", learning_rate=config.learning_rate)
    return make_parameter_optimizer(replace(config, weight_decay=0.0))


def make_estimator(config: TrainingConfig) -> GradientEstimator:
    """The gradient estimator that a configuration asks for; Q-Store's names for kinds of SPSA are translated.

    >>> make_estimator(TrainingConfig(gradient_method="spsa_subsampled", gradient_subsample_size=3)).subsample
    3
    """
    if config.optimizer == "rotosolve":
        return _create("rotosolve", {})
    if config.optimizer == "spall" and config.gradient_method == "adaptive":
        return _named(config, "spsa", config.gradient_options)
    return _named(config, config.gradient_method, config.gradient_options)


def _named(config: TrainingConfig, method: str, options: Mapping[str, Any]) -> GradientEstimator:
    """The estimator that a name means with these settings, and further options."""
    c = None if config.spsa_c_initial == SPSA_STEP else config.spsa_c_initial
    spsa: dict[str, Any] = {"c": c}
    if config.optimizer == "spall":
        spsa = {"c": config.spsa_c_initial, "decay": DIFFERENCE_DECAY, "first_directions": CALIBRATION_DIRECTIONS}
    translated: dict[str, tuple[str, dict[str, Any]]] = {
        "spsa": ("spsa", spsa),
        "spsa_parallel": ("spsa", spsa),
        "spsa_subsampled": ("spsa", {**spsa, "subsample": config.gradient_subsample_size}),
        "adaptive": ("adaptive", {"spsa": SPSA(c=c), "learning_rate": config.learning_rate}),
    }
    name, settings = translated.get(method, (method, {}))
    if name == "rotosolve":
        raise ConfigurationError("rotosolve makes steps, not gradients: use TrainingConfig(optimizer='rotosolve')")
    if name == "schedule":
        from qstore_core.estimators.schedule import with_estimators  # here, because few runs have one

        options = with_estimators(options, partial(_named, config))
    return _create(name, {**settings, **options})


def _create(name: str, options: Mapping[str, Any]) -> GradientEstimator:
    estimator: GradientEstimator = default_registry().create("gradient_estimator", name, **options)
    return estimator
