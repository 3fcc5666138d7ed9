"""The plugin `pinecone`: runs and training vectors in an index at Pinecone."""

from __future__ import annotations

from qstore_core import hookimpl
from qstore_core.hookspecs import Register


@hookimpl
def register_stores(register: Register) -> None:
    """Register the store; Pinecone's client is imported when it first asks the service for something."""
    register("pinecone", "qstore_pinecone.store:PineconeStore", summary="An index at Pinecone, which machines share")
