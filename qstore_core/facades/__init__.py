"""The gradient estimators of Q-Store v3.3: a function that builds a circuit, a loss, and the parameters."""

from __future__ import annotations

from qstore_core.facades.adaptive import AdaptiveGradientEstimator
from qstore_core.facades.parameter_shift import ParameterShiftGradientEstimator
from qstore_core.facades.spsa import SPSAGradientEstimator

__all__ = ["AdaptiveGradientEstimator", "ParameterShiftGradientEstimator", "SPSAGradientEstimator"]
