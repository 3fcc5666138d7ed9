"""What is to be learned, and how far the loss has to come down."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, partial

import numpy as np
from numpy.typing import NDArray

from qstore_core import FeatureScaler, QuantumModel
from qstore_core.datasets import Dataset, load_bundled


@dataclass(frozen=True, slots=True)
class Task:
    """A data set, a model, and how far its loss has to come down.

    Attributes:
        name: What tables call it.
        kind: "easy", "hard" or "wide".
        load: The data.
        n_features: Features, after PCA where there are more.
        n_qubits: The width of the model.
        depth: Its layers.
        reuploading: Whether the features enter before each layer.
        reference_steps: The target is the mean loss after so many steps with exact gradients.
        look_every: The loss is looked at when so many circuits were run since the last look.
        most_circuits: A run that used so many without reaching the target has missed it.
    """

    name: str
    kind: str
    load: Callable[[], Dataset]
    n_features: int
    n_qubits: int
    depth: int
    reuploading: bool
    reference_steps: int = 30
    look_every: int = 20
    most_circuits: int = 40_000

    def model(self) -> QuantumModel:
        """A fresh model; the run's seed chooses its initial parameters."""
        n_classes = int(self.data[1].max()) + 1
        return QuantumModel(self.n_features, self.n_qubits, n_classes, depth=self.depth, reuploading=self.reuploading)

    @property
    def data(self) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
        """Inputs in radians, and class numbers."""
        return _scaled(self)


@cache
def _scaled(task: Task) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    table = task.load()
    return FeatureScaler.fit(table.x, task.n_features).transform(table.x), table.y


def _moons() -> Dataset:
    from sklearn.datasets import make_moons  # here, as in the package: importing it takes a second

    x, y = make_moons(120, noise=0.15, random_state=3)
    return Dataset("moons", x, y.astype(np.int64), ("upper", "lower"))


def _digits(count: int) -> Dataset:
    """The first threes and eights."""
    table = load_bundled("digits").only(["3", "8"])
    return Dataset("digits 3-8", table.x[:count], table.y[:count], table.classes)


def _iris() -> Dataset:
    """The two classes that overlap."""
    return load_bundled("iris").only(["versicolor", "virginica"])


def _breast_cancer() -> Dataset:
    table = load_bundled("breast_cancer")
    return Dataset(table.name, table.x[:200], table.y[:200], table.classes)


TASKS = (
    Task("wine", "easy", partial(load_bundled, "wine"), 4, 4, 3, reuploading=True),
    Task("moons", "easy", _moons, 2, 4, 3, reuploading=True),
    Task("digits 3-8", "easy", partial(_digits, 160), 6, 6, 2, reuploading=True),
    Task(
        "iris 1-2",
        "hard",
        _iris,
        4,
        4,
        3,
        reuploading=True,
        reference_steps=60,
        look_every=100,
        most_circuits=80_000,
    ),
    Task("breast cancer", "wide", _breast_cancer, 8, 8, 2, reuploading=False, most_circuits=60_000),
    Task(
        "digits 3-8, 12 qubits",
        "wide",
        partial(_digits, 80),
        12,
        12,
        2,
        reuploading=False,
        look_every=100,
        most_circuits=60_000,
    ),
)
"""Every task: 3 easy ones, a hard one, and 8 and 12 qubits."""
