"""The built-in names, registered through the same hooks as a plugin's."""

from __future__ import annotations

from qstore_core.hookspecs import Register, hookimpl


@hookimpl
def register_gradient_estimators(register: Register) -> None:
    """Register the estimators that ship with the core."""
    package = "qstore_core.estimators"
    register("spsa", f"{package}.spsa:SPSA", summary="Simultaneous perturbation: two circuits, however many parameters")
    register(
        "parameter_shift",
        f"{package}.parameter_shift:ParameterShift",
        summary="Parameter-shift rule on gate angles: unbiased, two circuits per angle",
    )
    register(
        "finite_difference",
        f"{package}.finite_difference:FiniteDifference",
        summary="Central differences: for checks, not for hardware",
    )
    register(
        "adaptive", f"{package}.adaptive:Adaptive", summary="The cheapest right method for the backend and the shots"
    )
    register("adjoint", f"{package}.adjoint:Adjoint", summary="Exact gradient on backends that offer it")
    register(
        "schedule",
        f"{package}.schedule:Schedule",
        summary="Other methods in turn: from given steps on, or every so often",
    )
    register(
        "rotosolve",
        f"{package}.rotosolve:Rotosolve",
        summary="One parameter a step, moved to where the loss is least (an optimizer, no gradient method)",
    )


@hookimpl
def register_caches(register: Register) -> None:
    """Register the caches that ship with the core."""
    register("memory", "qstore_core.cache:MemoryCache", summary="In this process: the least recently used go first")
    register(
        "sqlite",
        "qstore_core.sqlite_cache:SqliteCache",
        summary="In a file that processes share and that outlives them",
    )


@hookimpl
def register_stores(register: Register) -> None:
    """Register the stores that ship with the core."""
    register(
        "sqlite",
        "qstore_core.sqlite_store:SqliteStore",
        summary="In a file that processes share: exact search, no server",
    )


@hookimpl
def register_ansatze(register: Register) -> None:
    """Register the ansatze that ship with the core."""
    module = "qstore_core.ansatz"
    register(
        "hardware_efficient", f"{module}:HardwareEfficientAnsatz", summary="RY and RZ on each qubit, then entanglers"
    )
    register("rotations", f"{module}:RotationAnsatz", summary="RX, RY and RZ on each qubit, then entanglers")
