"""Losses against central differences, and how labels become targets."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from qstore_core.errors import ConfigurationError, DataError, UnknownNameError
from qstore_core.losses import (
    CallableLoss,
    CrossEntropy,
    Loss,
    MeanSquaredError,
    central_differences,
    finite_loss,
    is_classes,
    make_loss,
    make_targets,
)

NOTHING = np.empty(0)


def huber(outputs: NDArray[np.float64], targets: NDArray[np.float64]) -> float:
    return float(np.mean(np.sqrt(1 + (outputs - targets) ** 2)))


def differences(loss: Loss, outputs: NDArray[np.float64], targets: NDArray[np.float64]) -> NDArray[np.float64]:
    """The derivative by every output, by central differences with an error of about 1e-10."""
    gradient = np.empty_like(outputs)
    for index in np.ndindex(*outputs.shape):
        step = np.zeros_like(outputs)
        step[index] = 1e-5
        above = loss(outputs + step, targets, loss.initial_parameters).value
        gradient[index] = (above - loss(outputs - step, targets, loss.initial_parameters).value) / 2e-5
    return gradient


@pytest.mark.parametrize("n_outputs", [1, 2, 3])
@pytest.mark.parametrize(
    "loss", [MeanSquaredError(), CrossEntropy(), CallableLoss(huber)], ids=lambda x: type(x).__name__
)
def test_output_gradients_are_the_derivatives(loss: Loss, n_outputs: int, rng: np.random.Generator) -> None:
    outputs = rng.uniform(-1, 1, (5, n_outputs))
    targets = make_targets(rng.integers(0, max(2, n_outputs), 5), n_outputs)
    result = loss(outputs, targets, loss.initial_parameters)
    assert result.output_gradient.shape == outputs.shape
    np.testing.assert_allclose(result.output_gradient, differences(loss, outputs, targets), rtol=0, atol=1e-7)


class TestMeanSquaredError:
    def test_it_is_the_mean_over_samples_and_outputs(self) -> None:
        value = MeanSquaredError()(np.array([[0.5, 0.0], [1.0, 1.0]]), np.array([[1.0, -1.0], [1.0, 1.0]]), NOTHING)
        assert value.value == pytest.approx((0.25 + 1.0) / 4)
        assert value.parameter_gradient.shape == (0,)


class TestCrossEntropy:
    def test_it_is_softmax_of_scaled_outputs(self, rng: np.random.Generator) -> None:
        outputs, labels = rng.uniform(-1, 1, (6, 3)), np.array([0, 1, 2, 2, 1, 0])
        weights = np.exp(4.0 * outputs)
        expected = -np.mean(np.log(weights[np.arange(6), labels] / weights.sum(axis=1)))
        value = CrossEntropy()(outputs, make_targets(labels, 3), CrossEntropy.initial_parameters).value
        assert value == pytest.approx(expected, abs=1e-12)

    def test_the_scale_starts_at_four(self) -> None:
        assert CrossEntropy.initial_parameters.tolist() == [4.0]

    @pytest.mark.parametrize("n_outputs", [1, 2, 3])
    @pytest.mark.parametrize("scale", [4.0, 0.3, -1.0])
    def test_the_scale_gradient_is_the_derivative(self, n_outputs: int, scale: float, rng: np.random.Generator) -> None:
        outputs = rng.uniform(-1, 1, (5, n_outputs))
        targets = make_targets(rng.integers(0, max(2, n_outputs), 5), n_outputs)

        def value(at: float) -> float:
            return CrossEntropy()(outputs, targets, np.array([at])).value

        found = CrossEntropy()(outputs, targets, np.array([scale])).parameter_gradient
        np.testing.assert_allclose(found, [(value(scale + 1e-5) - value(scale - 1e-5)) / 2e-5], rtol=0, atol=1e-7)

    def test_one_output_stands_for_minus_itself_and_itself(self, rng: np.random.Generator) -> None:
        single = rng.uniform(-1, 1, (4, 1))
        labels = np.array([0, 1, 1, 0])
        pair = CrossEntropy()(np.hstack([-single, single]), make_targets(labels, 2), np.array([4.0]))
        alone = CrossEntropy()(single, make_targets(labels, 1), np.array([4.0]))
        assert alone.value == pair.value
        np.testing.assert_array_equal(alone.parameter_gradient, pair.parameter_gradient)

    def test_a_large_scale_does_not_overflow(self) -> None:
        value = CrossEntropy()(np.array([[1.0, -1.0]]), np.array([[-1.0, 1.0]]), np.array([1e4]))
        assert value.value == pytest.approx(2e4)
        assert np.isfinite(value.output_gradient).all()


class TestCallableLoss:
    def test_the_function_sees_outputs_and_targets(self) -> None:
        seen = []

        def function(outputs: NDArray[np.float64], targets: NDArray[np.float64]) -> float:
            seen.append((outputs.copy(), targets.copy()))
            return 1.5

        assert CallableLoss(function)(np.array([[0.25]]), np.array([[2.0]]), NOTHING).value == 1.5
        assert any(outputs == 0.25 and targets == 2.0 for outputs, targets in seen)

    @pytest.mark.parametrize("value", [float("nan"), float("inf")])
    def test_a_value_that_is_not_finite_is_refused(self, value: float) -> None:
        with pytest.raises(ConfigurationError, match=f"the loss function returned {value}; it must be finite"):
            CallableLoss(lambda outputs, targets: value)(np.zeros((1, 1)), np.zeros((1, 1)), NOTHING)

    @pytest.mark.parametrize("value", [None, "0.5", 0.5 + 0j])
    def test_a_value_that_is_no_real_number_is_refused(self, value: Any) -> None:
        with pytest.raises(ConfigurationError, match=r"the loss function returned .*; it must return one real number"):
            CallableLoss(lambda outputs, targets: value)(np.zeros((1, 1)), np.zeros((1, 1)), NOTHING)

    @pytest.mark.parametrize("value", [1, True, np.float32(1), np.array(1.0), Fraction(2, 2)])
    def test_any_kind_of_real_number_is_taken(self, value: Any) -> None:
        assert finite_loss(value) == 1.0
        assert type(finite_loss(value)) is float

    @pytest.mark.parametrize(
        "change",
        [
            lambda outputs, targets: np.subtract(outputs, targets, out=outputs),
            lambda outputs, targets: targets.fill(0),
            lambda outputs, targets: outputs.sort(),
            lambda outputs, targets: np.put(targets, 0, 5),
            lambda outputs, targets: outputs.__setitem__(0, 5),
        ],
        ids=["in place", "fill", "sort", "put", "item"],
    )
    def test_a_function_that_changes_its_arguments_is_refused(self, change: Any) -> None:
        def function(outputs: NDArray[np.float64], targets: NDArray[np.float64]) -> float:
            change(outputs, targets)
            return float(np.mean(outputs**2))

        outputs, targets = np.array([[0.25]]), np.array([[2.0]])
        with pytest.raises(ConfigurationError, match=r"the loss must not change its arguments.*outputs\.copy\(\)"):
            CallableLoss(function)(outputs, targets, NOTHING)
        assert outputs == 0.25
        assert targets == 2.0
        assert outputs.flags.writeable

    def test_another_error_of_the_function_is_the_callers(self) -> None:
        def function(outputs: NDArray[np.float64], targets: NDArray[np.float64]) -> float:
            raise ValueError("no such column")

        with pytest.raises(ValueError, match="no such column"):
            CallableLoss(function)(np.zeros((1, 1)), np.zeros((1, 1)), NOTHING)

    def test_differences_are_the_derivatives(self, rng: np.random.Generator) -> None:
        at = rng.normal(size=(2, 3))
        found = central_differences(lambda values: float(np.sum(np.sin(values) ** 2)), at)
        np.testing.assert_allclose(found, np.sin(2 * at), rtol=0, atol=1e-9)


class TestMakeLoss:
    def test_without_a_choice_the_labels_decide(self) -> None:
        assert isinstance(make_loss(None, labels_are_classes=True), CrossEntropy)
        assert isinstance(make_loss(None, labels_are_classes=False), MeanSquaredError)

    def test_names_and_functions_are_taken(self) -> None:
        assert isinstance(make_loss("mse", labels_are_classes=True), MeanSquaredError)
        own = make_loss(huber, labels_are_classes=False)
        assert isinstance(own, CallableLoss)
        assert own.function is huber

    def test_cross_entropy_needs_classes(self) -> None:
        with pytest.raises(DataError, match="needs integer class labels; these are floats: use loss='mse'"):
            make_loss("cross_entropy", labels_are_classes=False)

    def test_an_unknown_name_lists_the_known_ones(self) -> None:
        with pytest.raises(
            UnknownNameError, match=r"unknown loss 'hinge'.*Known: cross_entropy, mse. or give a function"
        ):
            make_loss("hinge", labels_are_classes=True)


class TestTargets:
    @pytest.mark.parametrize("labels", [[0, 1], np.array([0, 1], dtype=np.uint8), [False, True]], ids=repr)
    def test_integers_and_booleans_are_classes(self, labels: Any) -> None:
        assert is_classes(labels)
        assert make_targets(labels, 2).tolist() == [[1.0, -1.0], [-1.0, 1.0]]

    def test_one_output_is_plus_one_for_class_one(self) -> None:
        assert make_targets([0, 1, 1], 1).tolist() == [[-1.0], [1.0], [1.0]]

    def test_a_class_that_does_not_occur_has_its_output(self) -> None:
        assert make_targets([0, 2], 3).tolist() == [[1.0, -1.0, -1.0], [-1.0, -1.0, 1.0]]

    @pytest.mark.parametrize(("labels", "n_outputs"), [([0.5, 2.0], 1), ([[0.5], [2.0]], 1), ([[0.5, 2.0]], 2)])
    def test_floats_are_taken_as_they_are(self, labels: Any, n_outputs: int) -> None:
        assert not is_classes(labels)
        targets = make_targets(labels, n_outputs)
        assert targets.shape[1] == n_outputs
        assert targets.ravel().tolist() == [0.5, 2.0]

    @pytest.mark.parametrize(
        ("labels", "n_outputs", "message"),
        [
            ([0, 1, 2], 2, "labels run from 0 to 2, but output_dim=2 takes classes 0 to 1"),
            ([0, 1, 2], 1, "labels run from 0 to 2, but output_dim=1 takes classes 0 to 1"),
            ([-1, 1], 2, r"labels run from -1 to 1, but .* takes classes 0 to 1; .* floats: y\.astype\(float\)"),
            ([[0], [1]], 2, r"class labels are one number a sample, shape \(n_samples,\), not \(2, 1\)"),
            (1, 2, r"class labels are one number a sample.*not \(\)"),
            (["cat", "dog"], 2, r"labels are integers \(classes\) or floats \(targets\), not <U3; number the classes"),
            ([None, None], 2, "labels hold what is no number, such as None"),
            ([1j], 1, "labels must be real numbers, not complex128"),
            (
                [0.5, 1.0],
                2,
                r"targets have 1 column\(s\) and the model output_dim=2; .*classes of them with y\.astype\(int\)",
            ),
            ([[0.5, 1.0]], 1, r"targets have 2 column\(s\) and the model output_dim=1"),
            (0.5, 1, r"targets need shape \(n_samples,\) or \(n_samples, 1\), not \(\)"),
            ([0.5, float("nan")], 1, "targets must be finite; found nan or inf"),
            ([], 1, "there are no labels in the data"),
            (np.empty(0, dtype=np.int64), 2, "there are no labels in the data"),
        ],
        ids=repr,
    )
    def test_labels_that_do_not_fit_are_refused(self, labels: Any, n_outputs: int, message: str) -> None:
        with pytest.raises(DataError, match=message):
            make_targets(labels, n_outputs)


def test_the_scale_of_a_cross_entropy_counts_as_one_where_it_is_less() -> None:
    outputs, targets = np.array([[0.5, -0.5]]), np.array([[-1.0, 1.0]])
    least = CrossEntropy()(outputs, targets, np.array([1.0]))
    for scale in (0.9, 0.0, -7.0):
        wrong = CrossEntropy()(outputs, targets, np.array([scale]))
        right = CrossEntropy()(outputs, -targets, np.array([scale]))
        assert wrong.value == least.value
        assert wrong.parameter_gradient.tolist() == [0.0]  # which would make it smaller
        assert right.parameter_gradient[0] < 0  # it may grow
