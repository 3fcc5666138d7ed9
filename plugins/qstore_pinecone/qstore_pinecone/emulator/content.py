"""What the emulator keeps: indexes, their namespaces and vectors, and the rules that Pinecone has for them."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from qstore_core.errors import StoreError
from qstore_core.store import MOST_METADATA, Metric, Vectors, scores_of
from qstore_core.store_filter import matches

MOST_VECTORS = 1000
MOST_IDS = 1000
PAGE = 100


class RefusedError(Exception):
    """A request is answered with an error status and a reason."""

    def __init__(self, status: int, reason: str) -> None:
        super().__init__(reason)
        self.status = status


@dataclass(slots=True, eq=False)
class Namespace:
    """The vectors of one namespace by id, in single precision, and their metadata."""

    vectors: dict[str, Vectors] = field(default_factory=dict)
    metadata: dict[str, dict[str, Any]] = field(default_factory=dict)

    def document(self, key: str, *, values: bool = True) -> dict[str, Any]:
        """An entry as answers have it; numbers in metadata are floats, as at Pinecone."""
        found: dict[str, Any] = {"id": key, "values": self.vectors[key].tolist() if values else []}
        if self.metadata[key]:
            found["metadata"] = {name: _stored(value) for name, value in self.metadata[key].items()}
        return found

    def passing(self, where: Mapping[str, Any] | None) -> list[str]:
        """The ids that a filter lets through."""
        try:
            return [key for key, metadata in self.metadata.items() if matches(where, metadata)]
        except StoreError as error:
            raise RefusedError(400, str(error)) from error

    def drop(self, keys: Sequence[str]) -> None:
        """Forget entries."""
        for key in keys:
            self.vectors.pop(key, None)
            self.metadata.pop(key, None)


@dataclass(slots=True, eq=False)
class EmulatedIndex:
    """An index.

    Attributes:
        document: What the control plane tells of it.
        dimension: The length of its vectors.
        metric: What "near" means.
        namespaces: Its content.
    """

    document: dict[str, Any]
    dimension: int
    metric: Metric
    namespaces: dict[str, Namespace] = field(default_factory=dict)

    def upsert(self, vectors: Any, namespace: str) -> int:
        """Keep vectors, all or none."""
        if not isinstance(vectors, list) or not 0 < len(vectors) <= MOST_VECTORS:
            raise RefusedError(400, f"The number of vectors must be between 1 and {MOST_VECTORS}")
        parsed = [self._parsed(vector) for vector in vectors]
        space = self.namespaces.setdefault(namespace, Namespace())
        for key, values, metadata in parsed:
            space.vectors[key], space.metadata[key] = values, metadata
        return len(parsed)

    def query(self, request: Mapping[str, Any]) -> list[dict[str, Any]]:
        """The nearest, each with its score."""
        space = self.namespaces.get(request.get("namespace", ""), Namespace())
        wanted = self._checked("query", request.get("vector"))
        top_k = request.get("topK", 0)
        if not 1 <= top_k <= 10_000:
            raise RefusedError(400, f"topK must be between 1 and 10000, not {top_k}")
        keys = space.passing(request.get("filter"))
        if not keys:
            return []
        scores = scores_of(np.stack([space.vectors[key] for key in keys]), wanted, self.metric)
        order = np.argsort(scores if self.metric == "euclidean" else -scores, kind="stable")[:top_k]
        found = []
        for place in order:
            document = space.document(keys[place], values=bool(request.get("includeValues")))
            if not request.get("includeMetadata"):
                document.pop("metadata", None)
            found.append({**document, "score": float(scores[place])})
        return found

    def delete(self, request: Mapping[str, Any]) -> None:
        """Drop vectors by id, by filter, or all of a namespace."""
        space = self.namespaces.get(request.get("namespace", ""))
        if space is None:
            raise RefusedError(404, "Namespace not found")
        if request.get("deleteAll"):
            del self.namespaces[request.get("namespace", "")]
            return
        keys = request.get("ids")
        if keys is not None and len(keys) > MOST_IDS:
            raise RefusedError(400, f"at most {MOST_IDS} ids can be deleted at once")
        space.drop(space.passing(request.get("filter")) if keys is None else keys)

    def _parsed(self, vector: Any) -> tuple[str, Vectors, dict[str, Any]]:
        key, metadata = vector.get("id"), vector.get("metadata", {})
        if not isinstance(key, str) or not 0 < len(key) <= 512:
            raise RefusedError(400, f"Vector ID must be 1 to 512 characters, not {key!r:.60}")
        if len(json.dumps(metadata)) > MOST_METADATA:
            raise RefusedError(400, f"Metadata size exceeds the limit of {MOST_METADATA} bytes per vector")
        return key, self._checked(key, vector.get("values")), metadata

    def _checked(self, key: str, values: Any) -> Vectors:
        found = np.asarray(values, dtype=np.float32)
        if found.shape != (self.dimension,):
            raise RefusedError(
                400,
                f"Vector dimension {found.size} does not match the dimension of the index {self.dimension} ({key})",
            )
        return found


def _stored(value: Any) -> Any:
    return float(value) if isinstance(value, int) and not isinstance(value, bool) else value
