"""The exponential average of the iterates: steadier than the last of them when gradients are noisy."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from qstore_core.arrays import FloatArray


def next_average(
    average: Mapping[str, Any], weight: float, parameters: FloatArray, loss_parameters: FloatArray
) -> Mapping[str, Any]:
    """The average with one more iterate in it: `m_k = w m_(k-1) + (1 - w) theta_k`, divided by `1 - w^k`.

    That division corrects for the start at 0 (as in Adam). It is done as `m + (1 - w) / (1 - w^k) (theta_k - m)` on the
    corrected average, which leaves a parameter that never moves as it is to the last bit.

    Args:
        average: The last one; empty before the first iterate.
        weight: `w`, the weight of the past; 0 keeps no average.
        parameters: The circuit's parameters now.
        loss_parameters: The loss's own.

    >>> import numpy as np
    >>> first = next_average({}, 0.5, np.array([1.0]), np.empty(0))
    >>> next_average(first, 0.5, np.array([4.0]), np.empty(0))["parameters"]
    array([3.])
    """
    if not weight:
        return {}
    total = weight * average.get("total", 0.0) + (1 - weight)
    share = (1 - weight) / total
    mean, loss_mean = average.get("parameters", parameters), average.get("loss_parameters", loss_parameters)
    return {
        "parameters": mean + share * (parameters - mean),
        "loss_parameters": loss_mean + share * (loss_parameters - loss_mean),
        "total": total,
    }
