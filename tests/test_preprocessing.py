"""The scalers: that of inputs against scikit-learn, and at its edges."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from qstore_core.errors import ConfigurationError, DataError
from qstore_core.preprocessing import FeatureScaler, TargetScaler


@pytest.fixture
def data(rng: np.random.Generator) -> NDArray[np.float64]:
    """Correlated columns of very different sizes."""
    return rng.normal(size=(60, 5)) @ rng.normal(size=(5, 5)) * [1, 10, 1e-3, 1e4, 1] + [0, 5, 1, -1e4, 3]


def test_with_every_column_it_is_scikit_learns_standard_scaler(data: NDArray[np.float64]) -> None:
    from sklearn.preprocessing import StandardScaler

    wanted = StandardScaler().fit(data[:40]).transform(data)
    found = FeatureScaler.fit(data[:40], 5).transform(data)
    np.testing.assert_allclose(found, np.clip(wanted, -np.pi, np.pi), rtol=0, atol=1e-12)


def test_with_fewer_it_is_standardised_pca_up_to_sign(data: NDArray[np.float64]) -> None:
    from sklearn.decomposition import PCA
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    reference = make_pipeline(StandardScaler(), PCA(3), StandardScaler()).fit(data[:40])
    wanted = np.clip(reference.transform(data), -np.pi, np.pi)
    found = FeatureScaler.fit(data[:40], 3).transform(data)
    signs = np.sign(np.sum(found * wanted, axis=0))
    np.testing.assert_allclose(found * signs, wanted, rtol=0, atol=1e-9)


def test_the_sign_of_a_component_does_not_depend_on_the_order_of_the_rows(
    data: NDArray[np.float64], rng: np.random.Generator
) -> None:
    shuffled = FeatureScaler.fit(data[rng.permutation(len(data))], 3)
    np.testing.assert_allclose(shuffled.components, FeatureScaler.fit(data, 3).components, rtol=0, atol=1e-9)


def test_a_standard_deviation_is_as_many_radians_as_asked_for(data: NDArray[np.float64]) -> None:
    for n_features in (5, 2):
        angles = FeatureScaler.fit(data, n_features, radians_per_deviation=0.5).transform(data)
        np.testing.assert_allclose(angles.std(axis=0), 0.5)
        np.testing.assert_allclose(angles.mean(axis=0), 0, atol=1e-12)


def test_angles_stay_within_a_full_turn() -> None:
    scaler = FeatureScaler.fit([[0.0], [1.0]], 1)
    assert scaler.transform([[100.0], [-100.0], [0.5]]).ravel().tolist() == [np.pi, -np.pi, 0.0]


@pytest.mark.parametrize("value", [0.0, 0.1, 1 / 3, 1e6 + 0.1, -1e-9])
@pytest.mark.parametrize("n_samples", [2, 7, 10, 30])
def test_a_constant_column_becomes_zero_and_is_not_magnified(
    value: float, n_samples: int, rng: np.random.Generator
) -> None:
    # the mean of equal numbers is off by rounding: the deviation is not quite 0
    data = np.column_stack([rng.normal(size=n_samples), np.full(n_samples, value)])
    scaler = FeatureScaler.fit(data, 2)
    np.testing.assert_allclose(scaler.transform(data)[:, 1], 0, atol=1e-9)
    moved = data + np.array([0, 1e-6 * max(1.0, abs(value))])
    assert np.abs(scaler.transform(moved)[:, 1]).max() < 2e-6 * max(1.0, abs(value))


def test_a_component_without_variance_becomes_zero_and_is_not_magnified(rng: np.random.Generator) -> None:
    independent = rng.normal(size=(30, 2))
    data = np.hstack([independent, independent @ rng.normal(size=(2, 3))])  # five columns, two directions
    np.testing.assert_allclose(FeatureScaler.fit(data, 4).transform(data)[:, 2:], 0, atol=1e-9)


def test_a_small_column_is_not_taken_for_a_constant_one(rng: np.random.Generator) -> None:
    column = 1.0 + 1e-10 * rng.normal(size=(20, 1))
    assert FeatureScaler.fit(column, 1).transform(column).std() == pytest.approx(1.0)


def test_its_arrays_restore_it_to_the_last_bit(data: NDArray[np.float64]) -> None:
    scaler = FeatureScaler.fit(data, 3)
    again = FeatureScaler.from_arrays(scaler.to_arrays())
    np.testing.assert_array_equal(again.transform(data), scaler.transform(data))


@pytest.mark.parametrize("unit", [1e160, 2.0**900, 1e-160, 2.0**-900])
@pytest.mark.parametrize("n_features", [5, 2])
def test_columns_in_any_unit_give_the_same_angles(data: NDArray[np.float64], unit: float, n_features: int) -> None:
    wanted = FeatureScaler.fit(data, n_features).transform(data)
    found = FeatureScaler.fit(data * unit, n_features).transform(data * unit)
    np.testing.assert_allclose(found, wanted, rtol=0, atol=1e-9)


@pytest.mark.parametrize("unit", [1e-320, 1e305])
def test_a_column_that_float64_cannot_tell_apart_is_refused(unit: float) -> None:
    with pytest.raises(DataError, match=r"column 1 holds numbers up to .*, which cannot be scaled; give it in a unit"):
        FeatureScaler.fit(np.array([[0.0, -1.0], [0.0, 1.0]]) * unit, 2)


def test_later_samples_far_out_are_at_the_end_of_the_range() -> None:
    scaler = FeatureScaler.fit([[0.0, 1e-150], [1.0, 0.0]], 2)
    assert scaler.transform([[1e308, -1e308]]).tolist() == [[np.pi, -np.pi]]


@pytest.mark.parametrize("options", [{"n_features": 0}, {"n_features": -1}, {"n_features": 1.0}])
def test_a_number_of_features_that_cannot_be_is_refused(options: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError, match="n_features is a whole number of at least 1, not"):
        FeatureScaler.fit([[0.0], [1.0]], **options)


@pytest.mark.parametrize("angle", [float("nan"), float("inf"), 0.0, -1.0])
def test_an_angle_that_cannot_be_is_refused(angle: float) -> None:
    with pytest.raises(ConfigurationError, match="radians_per_deviation is a number above 0, not"):
        FeatureScaler.fit([[0.0], [1.0]], 1, radians_per_deviation=angle)


@pytest.mark.parametrize(
    ("x", "n_features", "message"),
    [
        ([[1.0, 2.0]], 3, r"the data has 2 column\(s\) and the model input_dim=3"),
        ([1.0, 2.0], 1, r"inputs need shape \(n_samples, n_columns\) with at least one of each, not \(2,\)"),
        (np.zeros((0, 3)), 3, r"at least one of each, not \(0, 3\)"),
        ([[1.0, float("nan")]], 2, "inputs must be finite; row 0, column 1 holds nan"),
        ([[1.0], [float("-inf")]], 1, "row 1, column 0 holds -inf"),
        ([["a", "b"]], 2, "inputs must be numbers: could not convert"),
        ([[1.0, 2.0], [3.0]], 2, "inputs must be numbers"),
        ([[1.0, 2.0, 3.0], [3.0, 1.0, 2.0]][:1], 2, "1 samples cannot give 2 principal components; use fewer features"),
    ],
    ids=repr,
)
def test_data_that_cannot_be_scaled_is_refused(x: Any, n_features: int, message: str) -> None:
    with pytest.raises(DataError, match=message):
        FeatureScaler.fit(x, n_features)


def test_other_columns_than_it_was_fitted_to_are_refused() -> None:
    scaler = FeatureScaler.fit([[0.0, 1.0], [1.0, 0.0]], 2)
    with pytest.raises(DataError, match=r"the data has 3 column\(s\); the scaler was fitted to 2"):
        scaler.transform([[1.0, 2.0, 3.0]])


class TestTargets:
    def test_each_column_has_a_range_of_its_own(self, rng: np.random.Generator) -> None:
        y = rng.normal(size=(20, 3)) * [1, 1e3, 1e-6] + [0, 5, 1]
        scaler = TargetScaler.fit(y)
        scaled = scaler.transform(y)
        np.testing.assert_allclose([scaled.min(axis=0), scaled.max(axis=0)], [[-0.5] * 3, [0.5] * 3], atol=1e-9)
        np.testing.assert_allclose(scaler.inverse(scaled), y, rtol=1e-9)

    @pytest.mark.parametrize("y", [[1, 3, 2], [[1.0], [3.0], [2.0]]], ids=["row", "column"])
    def test_of_one_column_there_are_two_numbers(self, y: Any) -> None:
        scaler = TargetScaler.fit(y)
        assert scaler == TargetScaler(2.0, 2.0)
        assert scaler.inverse([0.5]).tolist() == [3.0]
        np.testing.assert_array_equal(scaler.transform(y), (np.asarray(y) - 2) / 2)

    @pytest.mark.parametrize(
        ("y", "message"),
        [
            ([], r"targets need shape \(n_samples,\) or \(n_samples, n_columns\), not \(0,\)"),
            (3.0, r"targets need shape .* not \(\)"),
            (["a"], "targets must be numbers: could not convert"),
            ([1j, 2], "targets must be real numbers, not complex128"),
            (np.ma.masked_less([1.0, 2.0], 1.5), "targets have masked entries"),
            ([1.0, float("nan")], "target values from nan to nan cannot be learned"),
            ([2.0, 2.0], "target values from 2.0 to 2.0 cannot be learned; they must be finite and differ"),
            ([[1.0, 5.0], [2.0, 5.0]], "target values from 5.0 to 5.0 in column 1 cannot be learned"),
        ],
        ids=str,
    )
    def test_targets_that_cannot_be_scaled_are_refused(self, y: Any, message: str) -> None:
        with pytest.raises(DataError, match=message):
            TargetScaler.fit(y)

    def test_another_number_of_columns_is_refused(self) -> None:
        scaler = TargetScaler.fit([[0.0, 1.0], [1.0, 0.0]])
        for convert in (scaler.transform, scaler.inverse):
            with pytest.raises(DataError, match=r"the scaler was fitted to 2 columns; these \w+ have shape \(3,\)"):
                convert([1.0, 2.0, 3.0])
