"""The store at Pinecone."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from typing import Any

from numpy.typing import ArrayLike

from qstore_core.errors import ConfigurationError, StoreError, StoreUnavailableError
from qstore_core.store import (
    Metric,
    StoreEntry,
    StoreInfo,
    StoreMatch,
    Where,
    check_dimension,
    check_metric,
    check_query,
    check_size,
)
from qstore_core.store_filter import checked
from qstore_core.threaded_store import ThreadedStore, latest
from qstore_pinecone.service import IndexOptions, Service

DEFAULT_INDEX = "quantum-ml-training"
"""The index of Q-Store v3.2."""

KEY_VARIABLE = "PINECONE_API_KEY"

_MOST_ENTRIES, _MOST_BYTES = 1000, 1_500_000  # of a request; Pinecone's limits are 1000 and 2 MB
_MOST_IDS = 100  # of a request that has them in its URL
_MOST_DELETED = 1000


class PineconeStore(ThreadedStore):
    """An index at Pinecone, found by its name and made at the first writing if there is none.

    Requests run in threads. Pinecone's client sends a request again, up to three times, when the service is busy or
    the connection breaks; the same entries sent twice are there once. What was written may be found only after some
    seconds.

    Args:
        index_name: The name of the index.
        api_key: The key; None: the environment variable PINECONE_API_KEY.
        environment: The region of an index that is made.
        cloud: Its cloud.
        dimension: The length of the vectors; None: that of the index, for a new one that of the first vector.
        metric: "cosine", "dotproduct" or "euclidean"; None: the index's, for a new one "cosine".
        create: Whether the index is made when there is none; if not, that is an error.
        host: The URL of the service; None: Pinecone's, or what PINECONE_CONTROLLER_HOST says.
        timeout: Seconds for an answer.

    Raises:
        ConfigurationError: There is no key, or an option that is not permitted.

    >>> PineconeStore("runs", api_key="...").index_name
    'runs'
    """

    def __init__(
        self,
        index_name: str = DEFAULT_INDEX,
        *,
        api_key: str | None = None,
        environment: str = "us-east-1",
        cloud: str = "aws",
        dimension: int | None = None,
        metric: Metric | None = None,
        create: bool = True,
        host: str | None = None,
        timeout: float = 30.0,
    ) -> None:
        key = api_key or os.environ.get(KEY_VARIABLE, "")
        if not (key and key.isascii() and key.isprintable() and key == key.strip()):
            raise ConfigurationError(
                f"the store 'pinecone' needs a key{' in plain ASCII' if key else ''}: set {KEY_VARIABLE}, or "
                "pinecone_api_key in TrainingConfig"
            )
        self.index_name = index_name
        self._service = Service(
            IndexOptions(
                name=index_name,
                cloud=cloud,
                region=environment,
                dimension=check_size(dimension),
                metric=None if metric is None else check_metric(metric),
                create=create,
                host=host,
                timeout=timeout,
            ),
            key,
        )

    def __repr__(self) -> str:
        return f"PineconeStore({self.index_name!r})"

    def _upsert(self, entries: list[StoreEntry], namespace: str) -> None:
        found = self._service.find_or_make(len(entries[0].values))
        for entry in entries:
            check_dimension(f"entry {entry.id!r}", len(entry.values), found.dimension)
        kept, done = latest(entries), 0
        for batch in _batches(list(kept.values())):
            try:
                with self._service.explained("keep entries"):
                    found.index.upsert(vectors=batch, namespace=namespace)
            except StoreError as error:
                raise type(error)(
                    f"{error}; {done} of {len(kept)} entries were written, each of them whole, and to send them "
                    "again is safe"
                ) from error
            done += len(batch)

    def _query(self, vector: ArrayLike, top_k: int, where: Where | None, namespace: str) -> list[StoreMatch]:
        condition = checked(where)
        found = self._service.find()
        wanted = check_query(vector, top_k, None if found is None else found.dimension)
        if found is None:
            return []
        with self._service.explained("find the nearest"):
            answer = found.index.query(
                vector=wanted.tolist(),
                top_k=top_k,
                filter=condition or None,
                namespace=namespace,
                include_metadata=True,
            )
        return [StoreMatch(match.id, float(match.score), _plain(match.metadata)) for match in answer.matches]

    def _fetch(self, ids: list[str], namespace: str) -> dict[str, StoreEntry]:
        found = self._service.find()
        fetched: dict[str, StoreEntry] = {}
        for first in range(0, len(ids) if found is not None else 0, _MOST_IDS):
            assert found is not None
            with self._service.explained("fetch entries"):
                answer = found.index.fetch(ids=ids[first : first + _MOST_IDS], namespace=namespace)
            for key, vector in answer.vectors.items():
                fetched[key] = StoreEntry.kept(key, vector.values, _plain(vector.metadata))
        return fetched

    def _delete(self, ids: list[str] | None, where: Where | None, namespace: str) -> None:
        condition = checked(where)
        found = self._service.find()
        if found is None or not self._has(namespace):
            return
        with self._service.explained("delete entries"):
            if ids is not None:
                for first in range(0, len(ids), _MOST_DELETED):
                    found.index.delete(ids=ids[first : first + _MOST_DELETED], namespace=namespace)
            elif condition:
                found.index.delete(filter=condition, namespace=namespace)
            else:
                found.index.delete(delete_all=True, namespace=namespace)

    def _list_ids(self, prefix: str, namespace: str) -> list[str]:
        found = self._service.find()
        if found is None:
            return []
        with self._service.explained("list entries"):
            pages = list(found.index.list(prefix=prefix or None, namespace=namespace))
        return sorted(str(item.id) for page in pages for item in page.vectors)

    def _describe(self) -> StoreInfo:
        found, options = self._service.find(), self._service.options
        if found is None:
            return StoreInfo(options.dimension, options.metric or "cosine", {})
        return StoreInfo(found.dimension, found.metric, self._counts())

    def _close(self) -> None:
        self._service.close()

    def _has(self, namespace: str) -> bool:
        """Whether there is anything in a namespace: to delete from one that is not there is an error at Pinecone."""
        return namespace in self._counts()

    def _counts(self) -> dict[str, int]:
        found = self._service.find()
        if found is None:
            raise StoreUnavailableError(f"Pinecone has no index {self.index_name!r} any more")
        with self._service.explained("count entries"):
            stats = found.index.describe_index_stats()
        counts = {name: summary.vector_count for name, summary in stats.namespaces.items()}
        return {"" if name == "__default__" else name: count for name, count in counts.items() if count}


def _batches(entries: list[StoreEntry]) -> Iterator[list[dict[str, Any]]]:
    """The entries as requests that Pinecone takes."""
    batch: list[dict[str, Any]] = []
    size = 0
    for entry in entries:
        document = {"id": entry.id, "values": entry.values.tolist()}
        if entry.metadata:  # an empty object is refused
            document["metadata"] = dict(entry.metadata)
        length = len(json.dumps(document))
        if batch and (len(batch) == _MOST_ENTRIES or size + length > _MOST_BYTES):
            yield batch
            batch, size = [], 0
        batch.append(document)
        size += length
    if batch:
        yield batch


def _plain(metadata: Any) -> dict[str, Any]:
    """Metadata as Python's own values; Pinecone keeps every number as a float."""
    return {
        name: int(value) if isinstance(value, float) and value.is_integer() and abs(value) < 2**63 else value
        for name, value in dict(metadata or {}).items()
    }
