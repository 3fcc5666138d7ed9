"""What a trainer is given, looked through before anything is run."""

from __future__ import annotations

import logging
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from qstore_core.array_input import data_array
from qstore_core.arrays import FloatArray
from qstore_core.cost import Cost
from qstore_core.errors import ConfigurationError, DataError
from qstore_core.losses import is_classes, make_targets
from qstore_core.model import QuantumModel
from qstore_core.training import check_kind

_MUCH = 0.25
"""The share of inputs out of range from which on something is wrong; of a normal distribution it is 0.2 %."""
_log = logging.getLogger("qstore")


def require_model(model: object) -> None:
    """Raise `ConfigurationError` for what is not a model, such as the data where arguments were swapped.

    >>> require_model(QuantumModel(2, 2, 1))
    """
    if isinstance(model, QuantumModel):
        return
    found = f"the class {model.__name__}: make one first" if isinstance(model, type) else type(model).__name__
    raise ConfigurationError(f"model is a QuantumModel, not {found}; the order is model, then data")


def check_arrays(model: QuantumModel, x: ArrayLike, y: ArrayLike, validation: object = None) -> None:
    """Raise what is wrong with the arguments of `fit`, as far as no scaler is needed to tell.

    >>> check_arrays(QuantumModel(2, 2, 2), [[0.0, 1.0], [1.0, 0.0]], [0, 1])
    """
    require_model(model)
    inputs, labels = data_array("inputs", x), data_array("labels", y)
    if not (len(np.atleast_1d(inputs)) and len(np.atleast_1d(labels))):
        raise DataError("there are no samples in the data")
    if is_classes(labels) and labels.min() == labels.max():
        raise DataError("all labels are of one class; there is nothing to learn from them")
    if validation is not None and not (isinstance(validation, tuple | list) and len(validation) == 2):
        raise ConfigurationError(f"validation is a pair (x, y), not {type(validation).__name__}")


def check_labelled(model: QuantumModel, x: ArrayLike, y: ArrayLike, *, regression: bool | None) -> FloatArray:
    """The targets of samples of which a loss is asked, or what is wrong with them.

    Args:
        model: The model.
        x: Inputs in radians.
        y: Their labels.
        regression: Whether it was trained on values rather than classes; None: either will do.

    >>> check_labelled(QuantumModel(2, 2, 1), [[0.0, 0.1]], [1], regression=None)
    array([[1.]])
    """
    if regression is not None:
        check_kind(y, regression=regression)
    inputs, targets = model.check_inputs(x), make_targets(y, model.output_dim)
    if len(inputs) != len(targets):
        raise DataError(f"a batch has {len(inputs)} samples and {len(targets)} labels; they must be as many")
    return targets


def kept_back(keep: object) -> Cost:
    """What training leaves of its budget; None: nothing.

    >>> kept_back(None) == Cost()
    True
    """
    if not (keep is None or isinstance(keep, Cost)):
        raise ConfigurationError(f"keep is a Cost, such as Cost(usd_high=5.0), not {keep!r}")
    return keep or Cost()


def angles_of(model: QuantumModel, x: ArrayLike) -> Any:
    """The angles of inputs as they are given to `fit`: scaled where the model has a scaler.

    >>> angles_of(QuantumModel(2, 2, 1), [0.0, 0.1])
    [0.0, 0.1]
    """
    require_model(model)
    if model.scaler is None:
        return x
    angles = model.scaler.transform(x)
    cut = float(np.mean(np.abs(angles) == np.pi)) if angles.size else 0.0
    if cut > _MUCH:
        _log.warning(
            "%.0f%% of the scaled inputs are beyond half a turn and were cut to it: model.scaler was fitted to other "
            "data; with model.scaler = None `fit` makes another",
            100 * cut,
        )
    return angles
