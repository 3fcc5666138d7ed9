"""Losses: classical functions of a model's outputs, with their derivatives by those outputs.

Labels become targets of +1 for the right output and -1 for the others; with one output, +1 for class 1 and -1 for
class 0.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from math import isfinite
from numbers import Real
from typing import ClassVar, Protocol

import numpy as np
from numpy.typing import ArrayLike

from qstore_core.array_input import data_array
from qstore_core.arrays import FloatArray
from qstore_core.errors import ConfigurationError, DataError, UnknownNameError

_EMPTY = np.empty(0)


@dataclass(frozen=True, slots=True, eq=False)
class LossValue:
    """A loss and its derivatives.

    Attributes:
        value: The loss of the batch.
        output_gradient: `(n_samples, n_outputs)`, its derivative by each output.
        parameter_gradient: Its derivative by the loss's own trained parameters.
        curvature: `(n_samples, n_outputs, n_outputs)`, its second derivatives by the outputs of one sample; None where
            they are not known.
    """

    value: float
    output_gradient: FloatArray
    parameter_gradient: FloatArray
    curvature: FloatArray | None = None

    @classmethod
    def mean(cls, parts: Sequence[LossValue]) -> LossValue:
        """The mean of several; its curvature is left out.

        >>> parts = [LossValue(value, np.zeros((1, 1)), np.empty(0)) for value in (1.0, 3.0)]
        >>> LossValue.mean(parts).value
        2.0
        """
        if len(parts) == 1:
            return parts[0]
        return cls(
            float(np.mean([part.value for part in parts])),
            np.mean([part.output_gradient for part in parts], axis=0),
            np.mean([part.parameter_gradient for part in parts], axis=0),
        )


class Loss(Protocol):
    """A loss that training can follow."""

    @property
    def initial_parameters(self) -> FloatArray:
        """The start of the numbers that the loss trains along with the circuit; often none."""
        ...

    def __call__(self, outputs: FloatArray, targets: FloatArray, parameters: FloatArray) -> LossValue:
        """The loss of outputs `(n_samples, n_outputs)` against targets of the same shape."""
        ...


@lru_cache(maxsize=64)
def _square_curvature(n_samples: int, n_outputs: int) -> FloatArray:
    """The curvature of a mean squared error, the same at every step; read-only, because it is kept."""
    shape = (n_samples, n_outputs, n_outputs)
    return np.broadcast_to(2 / (n_samples * n_outputs) * np.eye(n_outputs), shape)


@dataclass(frozen=True, slots=True, eq=False)
class MeanSquaredError:
    """`mean((f - y)**2)` over samples and outputs.

    >>> MeanSquaredError()(np.array([[0.5]]), np.array([[1.0]]), np.empty(0)).value
    0.25
    """

    initial_parameters: ClassVar[FloatArray] = _EMPTY

    def __call__(self, outputs: FloatArray, targets: FloatArray, parameters: FloatArray) -> LossValue:
        error = outputs - targets
        curvature = _square_curvature(*error.shape)
        value = float(np.vdot(error, error)) / error.size
        return LossValue(value, error * (2 / error.size), _EMPTY, curvature)


_LEAST_SCALE = 1.0


@dataclass(frozen=True, slots=True, eq=False)
class CrossEntropy:
    """`-mean(log softmax(s f)[class])`, the scale `s` of the outputs trained along, from 4.

    A single output f stands for the pair (-f, f). The scale counts as 1 where it is less: an untrained model is pushed
    towards 0, where no output matters, and a negative scale would turn every prediction round.

    >>> CrossEntropy()(np.array([[0.0, 0.0]]), np.array([[1.0, -1.0]]), np.array([4.0])).value.__round__(4)
    0.6931
    """

    initial_parameters: ClassVar[FloatArray] = np.array([4.0])

    def __call__(self, outputs: FloatArray, targets: FloatArray, parameters: FloatArray) -> LossValue:
        if outputs.shape[1] == 1:
            pair = self(_pair(outputs), _pair(targets), parameters)
            single = pair.output_gradient[:, 1:] - pair.output_gradient[:, :1]
            assert pair.curvature is not None
            along = np.array([-1.0, 1.0])
            curvature = np.einsum("a,sab,b->s", along, pair.curvature, along)[:, None, None]
            return LossValue(pair.value, single, pair.parameter_gradient, curvature)
        scale = max(_LEAST_SCALE, float(parameters[0]))
        logits = scale * (outputs - outputs.max(axis=1, keepdims=True))
        log_total = np.log(np.exp(logits).sum(axis=1, keepdims=True))
        right = targets.argmax(axis=1)[:, None]
        value = float(np.mean(log_total - np.take_along_axis(logits, right, axis=1)))
        by_logit = np.exp(logits - log_total)
        spread = -by_logit[:, :, None] * by_logit[:, None, :]
        classes = np.arange(outputs.shape[1])
        spread[:, classes, classes] += by_logit
        np.put_along_axis(by_logit, right, np.take_along_axis(by_logit, right, axis=1) - 1, axis=1)
        by_logit /= len(outputs)
        curvature = scale**2 / len(outputs) * spread
        by_scale = float(np.sum(by_logit * outputs))
        if parameters[0] < _LEAST_SCALE:
            by_scale = min(by_scale, 0.0)  # it may grow
        return LossValue(value, by_logit * scale, np.array([by_scale]), curvature)


@dataclass(frozen=True, slots=True, eq=False)
class CallableLoss:
    """A user's `function(outputs, targets) -> float`, differentiated by central differences in the outputs.

    The differences are classical and run no circuit; their error is about 1e-9 for a smooth function. The function gets
    read-only arrays, because one that changed them would be differentiated at other outputs.

    >>> loss = CallableLoss(lambda outputs, targets: float(np.mean((outputs - targets) ** 4)))
    >>> loss(np.array([[1.0]]), np.array([[0.0]]), np.empty(0)).output_gradient.round(6)
    array([[4.]])
    """

    function: Callable[[FloatArray, FloatArray], float]
    initial_parameters: ClassVar[FloatArray] = _EMPTY

    def __call__(self, outputs: FloatArray, targets: FloatArray, parameters: FloatArray) -> LossValue:
        def value(moved: FloatArray) -> float:
            return self._value(moved, targets)

        return LossValue(value(outputs), central_differences(value, outputs), _EMPTY)

    def _value(self, outputs: FloatArray, targets: FloatArray) -> float:
        try:
            value = self.function(_read_only(outputs), _read_only(targets))
        except TypeError as error:
            raise ConfigurationError(f"the loss is called as loss(outputs, targets), which failed: {error}") from error
        except ValueError as error:
            if "read-only" not in str(error):
                raise
            raise ConfigurationError(
                f"the loss must not change its arguments, and they are read-only ({error}): make new arrays, as in "
                "`outputs - targets`, or work on outputs.copy()"
            ) from error
        return finite_loss(value, advice=" for outputs in [-1, 1]")


def central_differences(function: Callable[[FloatArray], float], at: FloatArray, step: float = 1e-5) -> FloatArray:
    """The derivatives of a function of an array by each of its entries, in the shape of the array.

    >>> central_differences(lambda values: float(values[0] * values[1]), np.array([2.0, 3.0])).round(6)
    array([3., 2.])
    """
    gradient = np.empty_like(at)
    for index in np.ndindex(*at.shape):
        above, below = at.copy(), at.copy()
        above[index] += step
        below[index] -= step
        gradient[index] = (function(above) - function(below)) / (2 * step)
    return gradient


def finite_loss(value: object, *, advice: str = "") -> float:
    """What a user's loss function returned, if it is one finite number.

    >>> finite_loss(np.float32(0.5))
    0.5
    """
    array = np.asarray(value)
    if array.ndim:
        raise ConfigurationError(
            f"the loss function returned an array of shape {array.shape}; it must return one number, e.g. its mean"
        )
    if array.dtype.kind not in "biuf" and not isinstance(value, Real):
        raise ConfigurationError(f"the loss function returned {value!r:.60}; it must return one real number")
    number = float(array)
    if not isfinite(number):
        raise ConfigurationError(f"the loss function returned {number}; it must be finite{advice}")
    return number


LOSSES: dict[str, Callable[[], Loss]] = {"cross_entropy": CrossEntropy, "mse": MeanSquaredError}
"""The losses by name."""

LossLike = str | Callable[[FloatArray, FloatArray], float] | None
"""What a configuration may say: a name, a function of (outputs, targets), or None to go by the labels."""


def make_loss(loss: LossLike, *, labels_are_classes: bool) -> Loss:
    """The loss that a configuration asks for; None is cross-entropy for classes and mean squared error for numbers.

    >>> type(make_loss(None, labels_are_classes=True)).__name__
    'CrossEntropy'
    """
    if loss is None:
        loss = "cross_entropy" if labels_are_classes else "mse"
    if callable(loss):
        return CallableLoss(loss)
    if loss not in LOSSES:
        raise UnknownNameError.of("loss", loss, LOSSES, advice="or give a function (outputs, targets) -> float")
    if loss == "cross_entropy" and not labels_are_classes:
        raise DataError(
            "loss='cross_entropy' needs integer class labels; these are floats: use loss='mse' or y.astype(int)"
        )
    return LOSSES[loss]()


def is_classes(labels: ArrayLike) -> bool:
    """Whether labels are class numbers rather than target values: integers or booleans, not floats.

    >>> is_classes([0, 1]), is_classes([0.0, 1.0])
    (True, False)
    """
    return data_array("labels", labels).dtype.kind in "iub"


def make_targets(labels: ArrayLike, output_dim: int) -> FloatArray:
    """Targets `(n_samples, output_dim)` float64: +-1 for class labels `(n_samples,)`, floats as they are.

    Raises:
        DataError: Labels that do not match `output_dim`, or are not finite.

    >>> make_targets([1, 0], 2)
    array([[-1.,  1.],
           [ 1., -1.]])
    >>> make_targets([1, 0], 1)
    array([[ 1.],
           [-1.]])
    """
    array = data_array("labels", labels)
    if array.ndim and not array.size:
        raise DataError("there are no labels in the data")
    if is_classes(array):
        return _class_targets(array, output_dim)
    if array.dtype.kind != "f":
        raise DataError(
            f"labels are integers (classes) or floats (targets), not {array.dtype}; number the classes first"
        )
    if array.ndim not in (1, 2):
        raise DataError(f"targets need shape (n_samples,) or (n_samples, {output_dim}), not {array.shape}")
    targets = array.astype(np.float64).reshape(len(array), -1)
    if targets.shape[1] != output_dim:
        advice = "; float labels are values to be predicted: make classes of them with y.astype(int)"
        raise DataError(
            f"targets have {targets.shape[1]} column(s) and the model output_dim={output_dim}"
            + advice * (array.ndim == 1)
        )
    if not np.isfinite(targets).all():
        raise DataError("targets must be finite; found nan or inf")
    return targets


def _class_targets(labels: np.ndarray[tuple[int, ...], np.dtype[np.int64]], output_dim: int) -> FloatArray:
    if labels.ndim != 1:
        raise DataError(f"class labels are one number a sample, shape (n_samples,), not {labels.shape}")
    n_classes = max(2, output_dim)
    low, high = int(labels.min()), int(labels.max())
    if low < 0 or high >= n_classes:
        raise DataError(
            f"labels run from {low} to {high}, but output_dim={output_dim} takes classes 0 to {n_classes - 1}; "
            "renumber the labels or change output_dim; values to be predicted are floats: y.astype(float)"
        )
    targets = np.where(labels[:, None] == np.arange(n_classes), 1.0, -1.0)
    return targets[:, 1:] if output_dim == 1 else targets


def _read_only(values: FloatArray) -> FloatArray:
    view = values.view()
    view.flags.writeable = False
    return view


def _pair(values: FloatArray) -> FloatArray:
    return np.concatenate([-values, values], axis=1)
