"""One request and its answer: what a backend is asked, and what is known without asking it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from qstore_core.backend import LocalBackend
from qstore_core.batch import BatchResult, CircuitBatch, VectorJacobianProduct
from qstore_core.errors import CapabilityError
from qstore_core.lightcone import reduce_circuit
from qstore_core.problem import Request


def batch_of(request: Request) -> CircuitBatch:
    """The circuits of a request."""
    return request.batch if isinstance(request, VectorJacobianProduct) else request


def plain_batch(request: Request, backend: str) -> CircuitBatch:
    """A request to a backend that has no derivatives.

    Raises:
        CapabilityError: It asks for derivatives.
    """
    if isinstance(request, VectorJacobianProduct):
        raise CapabilityError(f"backend {backend!r} has no adjoint gradient; use gradient_method='parameter_shift'")
    return request


def passes(request: Request) -> int:
    """How many simulations of its rows a request counts as: expectation values with their derivatives are two."""
    return 2 if isinstance(request, VectorJacobianProduct) and callable(request.cotangents) else 1


async def ask(backend: LocalBackend, request: Request, rows: slice, piece: CircuitBatch, compiled: Any) -> BatchResult:
    """What the backend says to the rows of a request that are in `piece`."""
    if not isinstance(request, VectorJacobianProduct):
        return await backend.execute(piece, compiled)
    if callable(request.cotangents):
        return await backend.value_and_gradient(piece, compiled, request.cotangents)
    return BatchResult(angle_gradients=await backend.gradient(piece, compiled, request.cotangents[rows]))


def is_constant(request: Request) -> bool:
    """Whether every observable is a multiple of the identity, so that there is nothing to measure."""
    plan = batch_of(request).plan
    return plan is not None and not plan.groups


def constant_answer(request: Request) -> BatchResult:
    """The answer to a request that `is_constant`.

    >>> from qstore_core import QuantumCircuit
    >>> circuit = QuantumCircuit(1).x(0)
    >>> constant_answer(CircuitBatch(circuit.structure, circuit.angles(), ("I",))).expectations
    array([[1.]])
    """
    batch = batch_of(request)
    assert batch.plan is not None
    values = np.tile(batch.plan.constants, (batch.n_rows, 1))
    if not isinstance(request, VectorJacobianProduct):
        return BatchResult(expectations=values)
    gradients = np.zeros_like(batch.angles)
    if not callable(request.cotangents):
        return BatchResult(angle_gradients=gradients)
    request.cotangents(values)  # whoever asks may keep what it is called with
    return BatchResult(expectations=values, angle_gradients=gradients)


def as_asked(asked: Request, ran: Request, result: BatchResult) -> BatchResult:
    """The result of a smaller request as that of the one asked for: angles that did not run have derivative 0."""
    batch = batch_of(asked)
    if result.angle_gradients is None or batch.observables is None or batch is batch_of(ran):
        return result
    reduction = reduce_circuit(batch.structure, batch.observables, "light_cone")
    return replace(result, angle_gradients=reduction.spread(result.angle_gradients))
