"""Data sets by name, and tables from CSV files."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from qstore_core.arrays import FloatArray
from qstore_core.errors import ConfigurationError, DataError, UnknownNameError

BUNDLED = ("breast_cancer", "digits", "iris", "wine")
"""The data sets that come with scikit-learn and need no download."""


@dataclass(frozen=True, slots=True, eq=False)
class Dataset:
    """A table of numbers and what is to be learned from it.

    Attributes:
        name: What it is called.
        x: `(n_samples, n_columns)` float64.
        y: `(n_samples,)`: class numbers (int64), or target values (float64).
        classes: The name of each class number; empty for target values.
        columns: The names of the columns of `x`, where they have some.
    """

    name: str
    x: FloatArray
    y: NDArray[Any]
    classes: tuple[str, ...]
    columns: tuple[str, ...] = ()

    def only(self, classes: Sequence[str]) -> Dataset:
        """The samples of some classes, renumbered in the order given.

        >>> data = Dataset("toy", np.zeros((3, 1)), np.array([0, 1, 2]), ("a", "b", "c"))
        >>> data.only(["c", "a"]).y
        array([1, 0])
        """
        if not self.classes:
            raise ConfigurationError(f"{self.name} has target values, not classes to choose from")
        if len(set(classes)) < len(classes):
            raise ConfigurationError(f"each class once, not {', '.join(classes)!r}")
        if len(classes) < 2:
            raise ConfigurationError(f"choose at least two different classes, not {', '.join(classes)!r}")
        for name in classes:
            if name not in self.classes:
                raise UnknownNameError.of(f"class of {self.name}", name, self.classes)
        numbers = [self.classes.index(name) for name in classes]
        kept = np.isin(self.y, numbers)
        renumbered = np.array([numbers.index(number) for number in self.y[kept]], dtype=np.int64)
        return Dataset(self.name, self.x[kept], renumbered, tuple(classes), self.columns)


def load_bundled(name: str) -> Dataset:
    """A data set of scikit-learn's.

    Raises:
        UnknownNameError: There is none of that name.
        ConfigurationError: scikit-learn is not installed.

    >>> load_bundled("iris").x.shape
    (150, 4)
    """
    if name not in BUNDLED:
        raise UnknownNameError.of("data set", name, BUNDLED, advice="For a file of yours: --data FILE --target COLUMN")
    try:
        from sklearn import datasets  # here, because it is heavy and only the extra `data` installs it
    except ImportError:
        raise ConfigurationError(
            'bundled data sets need scikit-learn: pip install "qstore-core[data]" (in a checkout: ".[data]")'
        ) from None
    bunch = getattr(datasets, f"load_{name}")()
    classes = tuple(str(target) for target in bunch.target_names)
    return Dataset(name, np.asarray(bunch.data, dtype=np.float64), np.asarray(bunch.target, dtype=np.int64), classes)


def load_csv(path: Path, target: str, *, drop: Iterable[str] = (), task: str | None = None) -> Dataset:
    """A table from a CSV file with a header line.

    Args:
        path: The file.
        target: The column to learn: text or whole numbers are classes, other numbers are target values.
        drop: Columns to leave out.
        task: "classification" or "regression", where the target column does not tell.

    Raises:
        DataError: No such file or column, an empty table, or a cell that is missing or not a number; says which.
    """
    header, rows = _read(path)
    dropped = set(drop)
    for column in (target, *dropped):
        if column not in header:
            hint = "; it seems to be separated by ';': write it with commas" if ";" in header[0] else ""
            raise DataError(f"{path} has no column {column!r}; its columns are {', '.join(header)}{hint}")
    used = [name for name in header if name != target and name not in dropped]
    if not used:
        raise DataError(f"{path} has no column left besides the target {target!r}")
    x = np.array([[_number(path, line, name, row[header.index(name)]) for name in used] for line, row in rows])
    y, classes = _labels(path, [(line, row[header.index(target)]) for line, row in rows], target, task)
    return Dataset(path.stem, x, y, classes, tuple(used))


def load_table(path: Path, columns: Sequence[str] | None = None) -> FloatArray:
    """Numbers from a CSV file with a header line, `(n_rows, n_columns)`.

    Args:
        path: The file.
        columns: Which columns, in this order; None: all of them, as they come.

    Raises:
        DataError: No such file or column, an empty table, or a cell that is missing or not a number; says which.
    """
    header, rows = _read(path)
    wanted = header if columns is None else list(columns)
    missing = [name for name in wanted if name not in header]
    if missing:
        raise DataError(f"{path} has no column {missing[0]!r}; its columns are {', '.join(header)}")
    places = [(name, header.index(name)) for name in wanted]
    return np.array([[_number(path, line, name, row[place]) for name, place in places] for line, row in rows])


def _read(path: Path) -> tuple[list[str], list[tuple[int, list[str]]]]:
    try:
        with path.open(newline="", encoding="utf-8-sig") as stream:
            reader = csv.reader(stream)
            header = [name.strip() for name in next(reader, [])]
            rows = [(reader.line_num, row) for row in reader if row]
    except OSError as error:
        raise DataError(f"cannot read {path}: {error.strerror or error}") from error
    except (UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"{path} is not a CSV file in UTF-8: {error}") from error
    if not rows:
        raise DataError(f"{path} has no rows below its header line")
    if len(set(header)) != len(header):
        raise DataError(f"{path} names a column twice in its header line: {', '.join(header)}")
    for line, row in rows:
        if len(row) != len(header):
            raise DataError(f"{path}, line {line}: {len(row)} cells for {len(header)} columns")
    return header, rows


def _number(path: Path, line: int, column: str, cell: str) -> float:
    try:
        value = float(cell)
    except ValueError:
        value = float("nan")
    if not np.isfinite(value):
        what = "is empty" if not cell.strip() else f"holds {cell!r}, which is not a finite number"
        raise DataError(f"{path}, line {line}: column {column!r} {what}; fill it, or leave the column out (--drop)")
    return value


def _labels(
    path: Path, cells: list[tuple[int, str]], target: str, task: str | None
) -> tuple[NDArray[Any], tuple[str, ...]]:
    """Class numbers with their names, or target values without."""
    texts = [cell.strip() for _, cell in cells]
    if not all(texts):
        line = cells[texts.index("")][0]
        raise DataError(f"{path}, line {line}: the target column {target!r} is empty")
    fractional = all(_is_float(text) for text in texts) and not all(_is_whole(text) for text in texts)
    if task == "regression" or (task is None and fractional):
        return np.array([_number(path, line, target, cell) for line, cell in cells]), ()
    whole = all(_is_whole(text) for text in texts)
    if whole:
        texts = [str(int(float(text))) for text in texts]  # 1 and 1.0 are one class
    classes = sorted(set(texts), key=int if whole else str)
    if len(classes) < 2:
        raise DataError(f"{path}: the target column {target!r} has only one class, {classes[0]!r}")
    return np.array([classes.index(text) for text in texts], dtype=np.int64), tuple(classes)


def _is_float(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _is_whole(text: str) -> bool:
    return _is_float(text) and float(text).is_integer()
