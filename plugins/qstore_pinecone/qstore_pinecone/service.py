"""Pinecone's own client: how an index is found or made, and what its errors mean."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from qstore_core.errors import ConfigurationError, StoreError, StoreUnavailableError
from qstore_core.store import Metric, check_metric

if TYPE_CHECKING:
    from pinecone import Index, Pinecone

_READY_SECONDS = 180
_VECTORS = "_values"
"""The field that Pinecone's vector requests write to; an index with this one alone is one of vectors."""


@dataclass(frozen=True, slots=True)
class IndexOptions:
    """Which index, and how it is made when there is none.

    Attributes:
        name: Its name.
        cloud: Where it is made: the cloud,
        region: and the region.
        dimension: The length of its vectors; None: that of the index, or of the first vector.
        metric: What "near" means; None: that of the index, or "cosine".
        create: Whether it is made when there is none.
        host: The URL of the service; None: Pinecone's, or PINECONE_CONTROLLER_HOST.
        timeout: Seconds for an answer.
    """

    name: str
    cloud: str
    region: str
    dimension: int | None
    metric: Metric | None
    create: bool
    host: str | None
    timeout: float


@dataclass(frozen=True, slots=True, eq=False)
class Connection:
    """An index that can be asked."""

    index: Index
    dimension: int
    metric: Metric


@dataclass(slots=True, eq=False)
class Service:
    """The service with one key; it is asked when an index is first needed."""

    options: IndexOptions
    key: str = field(repr=False)
    _client: Pinecone | None = field(default=None, init=False, repr=False)
    _connection: Connection | None = field(default=None, init=False, repr=False)
    _lock: threading.RLock = field(default_factory=threading.RLock, init=False, repr=False)

    def find(self) -> Connection | None:
        """The index; None where there is none yet and it may be made.

        Raises:
            StoreError: There is none, or it is one of other vectors; the key is refused.
            StoreUnavailableError: The service cannot be reached.
        """
        with self._lock:
            if self._connection is None:
                with self.explained("find the index"):
                    model = self._describe()
                    self._connection = None if model is None else self._connected(model)
            return self._connection

    def find_or_make(self, dimension: int) -> Connection:
        """The index, made for vectors of this length if there is none."""
        with self._lock:
            found = self.find()
            if found is None:
                with self.explained("make the index"):
                    self._make(self.options.dimension or dimension)
                found = self.find()
            if found is None:
                raise StoreUnavailableError(f"Pinecone made the index {self.options.name!r} and does not find it; wait")
            return found

    def forget(self) -> None:
        """Ask for the index anew the next time."""
        with self._lock:
            if self._connection is not None:
                self._connection.index.close()
            self._connection = None

    def close(self) -> None:
        """Close the connections."""
        with self._lock:
            self.forget()
            if self._client is not None:
                self._client.close()
            self._client = None

    @contextmanager
    def explained(self, doing: str) -> Iterator[None]:
        """Raise the client's errors as ours: what failed and what to do, without the key."""
        from pinecone import errors  # here, as everything of the client's: the manifest must stay light

        try:
            yield
        except errors.PineconeError as error:
            text = " ".join(str(error).split()).replace(self.key, "***")
            if isinstance(error, _away(errors)):
                raise StoreUnavailableError(f"Pinecone cannot be reached to {doing}: {text}") from error
            if isinstance(error, errors.UnauthorizedError | errors.ForbiddenError):
                raise StoreError(
                    f"Pinecone refuses the key, asked to {doing}: {text}; check pinecone_api_key or PINECONE_API_KEY"
                ) from error
            if isinstance(error, errors.NotFoundError):
                self.forget()
                raise StoreError(f"Pinecone has no index {self.options.name!r} any more, asked to {doing}") from error
            raise StoreError(f"Pinecone refuses to {doing}: {text}") from error

    def _describe(self) -> Any:
        from pinecone import errors

        options = self.options
        try:
            return self._control().indexes.describe(options.name)
        except errors.NotFoundError:
            if options.create:
                return None
            raise StoreError(
                f"Pinecone has no index {options.name!r} for this key; check the name, or let a run make it"
            ) from None

    def _make(self, dimension: int) -> None:
        from pinecone import errors

        options = self.options
        vectors = {"type": "dense_vector", "dimension": dimension, "metric": options.metric or "cosine"}
        try:
            self._control().indexes.create(
                name=options.name,
                schema={"fields": {_VECTORS: vectors}},
                deployment={"deployment_type": "managed", "cloud": options.cloud, "region": options.region},
                timeout=_READY_SECONDS,
            )
        except errors.ConflictError:
            return  # another process was faster

    def _connected(self, model: Any) -> Connection:
        options = self.options
        try:
            dimension, metric = int(model.dimension), check_metric(model.metric)
        except (AttributeError, TypeError, ConfigurationError):
            raise StoreError(
                f"Pinecone's index {options.name!r} is not one of dense vectors; use another pinecone_index_name"
            ) from None
        pairs = (("metric", metric, options.metric), ("dimension", dimension, options.dimension))
        for name, found, wanted in pairs:
            if wanted is not None and found != wanted:
                raise StoreError(
                    f"Pinecone's index {options.name!r} was made with {name}={found!r}, not {wanted!r}; use that, or "
                    "another pinecone_index_name"
                )
        if model.host is None or not model.status.ready:
            raise StoreUnavailableError(f"Pinecone's index {options.name!r} is not ready yet ({model.status.state})")
        return Connection(self._control().index(host=model.host), dimension, metric)

    def _control(self) -> Pinecone:
        from pinecone import Pinecone

        if self._client is None:
            self._client = Pinecone(
                api_key=self.key, host=self.options.host, timeout=self.options.timeout, source_tag="qstore"
            )
        return self._client


def _away(errors: Any) -> tuple[type[Exception], ...]:
    """The errors after which asking again may succeed."""
    return (errors.PineconeConnectionError, errors.PineconeTimeoutError, errors.ServiceError, errors.RateLimitError)
