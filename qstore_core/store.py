"""Stores of vectors: what a store promises, and the filters on metadata that it understands.

A store keeps vectors with an id and metadata, and finds the nearest to a given one. Runs are recorded in one, so that a
later run can start from the parameters of an earlier one like it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from math import isfinite
from typing import Any, Literal, Protocol, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from qstore_core.errors import ConfigurationError, StoreError
from qstore_core.store_values import check_kept

Vectors: TypeAlias = NDArray[np.float32]
Metric: TypeAlias = Literal["cosine", "dotproduct", "euclidean"]
Where: TypeAlias = Mapping[str, Any]
"""A filter on metadata; see `qstore_core.store_filter`."""

METRICS: tuple[Metric, ...] = ("cosine", "dotproduct", "euclidean")
MOST_METADATA = 40_960
"""Bytes of an entry's metadata as JSON: the limit of Pinecone, which every store keeps to, so that runs can move."""

MOST_MATCHES = 10_000
"""The most that a query may ask for."""

_MOST_NAME = 512


@dataclass(frozen=True, slots=True, eq=False)
class StoreEntry:
    """A vector with its name and what is known of it.

    Attributes:
        id: Its name: 1 to 512 printable ASCII characters.
        vector: `(dimension,)` float32.
        metadata: Text, numbers, booleans and lists of text, by name; 40 KiB as JSON at the most. Text, names too, has
            no NUL and no lone surrogates, and whole numbers have 64 bits.

    >>> StoreEntry("run-1", [0.5, 1.0], {"loss": "mse"}).vector.dtype
    dtype('float32')
    """

    id: str
    vector: ArrayLike
    metadata: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        check_id(self.id)
        try:
            vector = np.array(self.vector, dtype=np.float32)
        except (TypeError, ValueError) as error:
            raise StoreError(f"entry {self.id!r}: a vector is a list of numbers: {error}") from error
        if vector.ndim != 1 or not vector.size or not np.isfinite(vector).all():
            raise StoreError(
                f"entry {self.id!r}: a vector is a list of finite numbers, not one of shape {vector.shape}"
            )
        vector.setflags(write=False)
        object.__setattr__(self, "vector", vector)
        object.__setattr__(self, "metadata", dict(self.metadata))
        _check_metadata(self)

    @classmethod
    def kept(cls, name: str, vector: ArrayLike, metadata: Mapping[str, Any]) -> StoreEntry:
        """An entry out of a store, which is given as it is, whatever a store was once made to keep.

        >>> StoreEntry.kept("a", np.zeros(2, dtype=np.float32), {"n": 2**64}).metadata
        {'n': 18446744073709551616}
        """
        entry, values = object.__new__(cls), np.array(vector, dtype=np.float32)
        values.setflags(write=False)
        for attribute, value in (("id", name), ("vector", values), ("metadata", dict(metadata))):
            object.__setattr__(entry, attribute, value)
        return entry

    @property
    def values(self) -> Vectors:
        """The vector as an array."""
        assert isinstance(self.vector, np.ndarray)
        return self.vector


@dataclass(frozen=True, slots=True)
class StoreMatch:
    """What a query found.

    Attributes:
        id: The entry's name.
        score: By the store's metric: the cosine, the dot product, or the squared distance.
        metadata: The entry's.

    >>> StoreMatch("run-1", 0.9).metadata
    {}
    """

    id: str
    score: float
    metadata: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class StoreInfo:
    """What a store holds.

    Attributes:
        dimension: The length of its vectors; None until there is one.
        metric: What "near" means.
        counts: Entries by namespace.

    >>> StoreInfo(64, "cosine", {"runs": 3}).counts["runs"]
    3
    """

    dimension: int | None
    metric: Metric
    counts: Mapping[str, int]


class Store(Protocol):
    """Keeps vectors with metadata in namespaces, and finds the nearest.

    All vectors of a store have one dimension. Calls may come from several threads and event loops, one after another or
    at once, so nothing is bound to one; making a store reaches for nothing, its first use does. An entry is there whole
    or not at all, and to write the same entries again changes nothing.

    >>> import asyncio, tempfile
    >>> from qstore_core import SqliteStore
    >>> with tempfile.TemporaryDirectory() as place:
    ...     store: Store = SqliteStore(f"{place}/store.sqlite")
    ...     asyncio.run(store.upsert([StoreEntry("a", [1.0, 0.0], {"n": 1}), StoreEntry("b", [0.6, 0.8], {"n": 2})]))
    ...     asyncio.run(store.query([1.0, 0.0], where={"n": {"$gt": 1}}))
    [StoreMatch(id='b', score=0.6000000238418579, metadata={'n': 2})]
    """

    async def upsert(self, entries: Sequence[StoreEntry], *, namespace: str = "") -> None:
        """Keep entries, in place of those with the same ids.

        Raises:
            StoreError: A vector of another dimension, or a namespace that is no Unicode text; nothing was written.
            StoreUnavailableError: The store cannot be reached; the message says how much was written.
        """
        ...

    async def query(
        self, vector: ArrayLike, *, top_k: int = 10, where: Where | None = None, namespace: str = ""
    ) -> list[StoreMatch]:
        """The entries nearest to a vector, the nearest first, of those that a filter on metadata lets through."""
        ...

    async def fetch(self, ids: Sequence[str], *, namespace: str = "") -> dict[str, StoreEntry]:
        """The entries with these ids, those that there are."""
        ...

    async def delete(
        self, ids: Sequence[str] | None = None, *, where: Where | None = None, namespace: str = ""
    ) -> None:
        """Drop the entries with these ids or that a filter lets through; with neither every one of the namespace.

        Raises:
            StoreError: Both were given.
        """
        ...

    async def list_ids(self, *, prefix: str = "", namespace: str = "") -> list[str]:
        """The ids in a namespace that begin with `prefix`, sorted."""
        ...

    async def describe(self) -> StoreInfo:
        """The dimension, the metric, and how much there is."""
        ...

    async def close(self) -> None:
        """Give up connections; the next use opens them again."""
        ...


def check_id(name: object) -> str:
    """`name`, if it can be an id.

    >>> check_id("run-1")
    'run-1'
    """
    if not (isinstance(name, str) and 0 < len(name) <= _MOST_NAME and name.isascii() and name.isprintable()):
        raise StoreError(f"an id is 1 to {_MOST_NAME} printable ASCII characters, not {name!r:.80}")
    return name


def check_metric(metric: object) -> Metric:
    """`metric`, if there is one of that name.

    >>> check_metric("cosine")
    'cosine'
    """
    for known in METRICS:
        if metric == known:
            return known
    raise ConfigurationError(f"metric is one of {', '.join(METRICS)}, not {metric!r}")


def check_size(dimension: object) -> int | None:
    """`dimension`, if a store's vectors can have it; None leaves it to the first vector.

    >>> check_size(64)
    64
    """
    if dimension is None or (isinstance(dimension, int) and not isinstance(dimension, bool) and dimension >= 1):
        return dimension
    raise ConfigurationError(f"dimension is a whole number of at least 1 or None, not {dimension!r}")


def check_query(vector: ArrayLike, top_k: int, dimension: int | None) -> Vectors:
    """The vector of a query as float32.

    >>> check_query([1.0, 2.0], 5, 2)
    array([1., 2.], dtype=float32)
    """
    wanted = StoreEntry("query", vector).values
    if not isinstance(top_k, int) or isinstance(top_k, bool) or not 1 <= top_k <= MOST_MATCHES:
        raise StoreError(f"top_k is a whole number from 1 to {MOST_MATCHES}, not {top_k!r}")
    check_dimension("the query", len(wanted), dimension)
    return wanted


def check_dimension(what: str, found: int, dimension: int | None) -> None:
    """Raise `StoreError` when a vector has another dimension than the store.

    >>> check_dimension("entry 'a'", 2, 2)
    """
    if dimension is not None and found != dimension:
        raise StoreError(
            f"{what} has {found} dimensions and the store's vectors {dimension}; nothing was written: give vectors of "
            f"{dimension}, or use another store"
        )


def scores_of(matrix: Vectors, query: Vectors, metric: Metric) -> Vectors:
    """The score of each row `(n, dimension)` against a query; a zero vector has cosine 0 with every other.

    >>> rows = np.eye(2, dtype=np.float32)
    >>> scores_of(rows, rows[0], "cosine"), scores_of(rows, rows[0], "euclidean")
    (array([1., 0.], dtype=float32), array([0., 2.], dtype=float32))
    """
    if metric == "euclidean":
        difference = matrix - query
        squared: Vectors = np.einsum("ij,ij->i", difference, difference)
        return squared
    # not `matrix @ query`: BLAS would use every core, and wait a hundred times as long where another program has one
    products: Vectors = np.einsum("ij,j->i", matrix, query)
    if metric == "dotproduct":
        return products
    norms = np.sqrt(np.einsum("ij,ij->i", matrix, matrix)) * np.linalg.norm(query)
    cosines: Vectors = np.divide(products, norms, out=np.zeros_like(products), where=norms > 0)
    return cosines


def normalised(matrix: Vectors) -> Vectors:
    """Rows of norm 1, in single precision; a zero row stays.

    >>> normalised(np.array([[3.0, 4.0], [0.0, 0.0]], dtype=np.float32)).tolist()
    [[0.6000000238418579, 0.800000011920929], [0.0, 0.0]]
    """
    norms = np.sqrt(np.einsum("ij,ij->i", matrix, matrix))[:, None]
    rows: Vectors = np.divide(matrix, norms, out=np.zeros_like(matrix), where=norms > 0)
    return rows


def _check_metadata(entry: StoreEntry) -> None:
    for name, value in entry.metadata.items():
        texts = isinstance(value, list | tuple) and all(isinstance(part, str) for part in value)
        plain = isinstance(value, str | int) or (isinstance(value, float) and isfinite(value))
        if not (isinstance(name, str) and (texts or plain)):
            raise StoreError(
                f"entry {entry.id!r}: metadata are text, finite numbers, booleans or lists of text, not "
                f"{name!r}: {value!r:.60}"
            )
        if isinstance(value, int) and value.bit_length() > 62:
            _check_each_kept(entry.id, name, value)
    text = json.dumps(dict(entry.metadata))
    if "\\u" in text:  # how NUL and lone surrogates are written, and most that is no ASCII
        for name, value in entry.metadata.items():
            _check_each_kept(entry.id, name, *(value if isinstance(value, list | tuple) else [value]))
    size = len(text)
    if size > MOST_METADATA:
        raise StoreError(f"entry {entry.id!r} has {size} bytes of metadata, and at most {MOST_METADATA} are kept")


def _check_each_kept(key: str, name: str, *parts: Any) -> None:
    for part in (name, *parts):
        check_kept(f"entry {key!r}: metadata {name!r:.60}", part)
