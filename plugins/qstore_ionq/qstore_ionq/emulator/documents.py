"""The JSON documents that the service answers with."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from qstore_ionq.emulator.ledger import CANCELED, COMPLETED, FAILED, LedgerEntry
from qstore_ionq.emulator.request import MULTI, SIMULATOR, SINGLE
from qstore_ionq.prices import GatePrices
from qstore_ionq.targets import TargetTable

_FAILURES = {FAILED: "QuantumComputerError", CANCELED: "SystemCancel"}


def job_document(entry: LedgerEntry, sent: Mapping[str, Any]) -> dict[str, Any]:
    """A job, as GET /jobs/{id} shows it; `sent` is its JSON body."""
    several = sent.get("type") == MULTI
    failed = entry.state in _FAILURES and entry.reason != "canceled by the user"
    return {
        "id": entry.id,
        "status": entry.state,
        "type": sent.get("type"),
        "backend": entry.backend,
        "name": sent.get("name"),
        "metadata": sent.get("metadata"),
        "shots": sent.get("shots"),
        "session_id": entry.session,
        "parent_job_id": None,
        "child_job_ids": list(entry.children) if several else None,
        "dry_run": bool(sent.get("dry_run")),
        "failure": {"code": _FAILURES[entry.state], "message": entry.reason} if failed else None,
        "settings": sent.get("settings") or {},
        "noise": sent.get("noise"),
        "stats": {
            "qubits": (sent.get("input") or {}).get("qubits"),
            "circuits": entry.circuits,
            "gate_counts": {"1q": entry.one_qubit_gates, "2q": entry.two_qubit_gates},
        },
        "submitted_at": _moment(entry.accepted),
        "started_at": _moment(entry.starts if entry.state in ("started", COMPLETED) else None),
        "completed_at": _moment(entry.ended),
        "execution_duration_ms": round(1000 * entry.seconds) if entry.state == COMPLETED else None,
    }


def child_documents(entry: LedgerEntry, sent: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """The circuits of a job as jobs of their own, which carry its name and metadata."""
    parent = job_document(entry, sent)
    for child in entry.children if sent.get("type") == MULTI else ():
        yield parent | {"id": child, "type": SINGLE, "parent_job_id": entry.id, "child_job_ids": None}


def page_of(documents: Sequence[dict[str, Any]], *, after: str | None, size: int) -> dict[str, Any]:
    """A page of the list of jobs; `next` is null on the last one."""
    first = next((number + 1 for number, each in enumerate(documents) if each["id"] == after), 0)
    page = documents[first : first + size]
    more = first + size < len(documents)
    return {"jobs": page, "next": page[-1]["id"] if more and page else None}


def cost_document(entry: LedgerEntry, *, dry_run: bool) -> dict[str, Any]:
    """What a job cost; nothing about money for what is free."""
    document: dict[str, Any] = {"dry_run": dry_run}
    if entry.backend != SIMULATOR:
        document["estimated_cost"] = {"value": entry.usd, "unit": "usd"}
        if entry.charged is not None:
            document["cost"] = {"value": entry.charged, "unit": "usd"}
    return document


def estimate_document(asked: Mapping[str, Any], usd: float, prices: GatePrices, *, queue: float) -> dict[str, Any]:
    """What a job of one circuit would cost, with the rates that say so."""
    rates = {
        "sku": str(asked["backend"]),
        "unit": "gates",
        "cost_1q_gate": prices.one_qubit_gate,
        "cost_2q_gate": prices.two_qubit_gate,
        "job_cost_minimum": prices.least(mitigated=bool(asked["error_mitigation"])),
    }
    return {
        "estimate_context": {**asked, "organization": None, "project": None},
        "estimated_at": _moment(datetime.now(UTC).timestamp()),
        "estimated_unit": "usd",
        "estimated_total_cost": usd,
        "rate_card": {"id": "emulator", "rates": [rates]},
        "estimated_execution_time": 0,
        "current_predicted_queue_time": round(1000 * queue),
    }


def backend_documents(table: TargetTable) -> list[dict[str, Any]]:
    """Every backend, as GET /backends shows it."""
    sizes = {SIMULATOR: table.simulator_qubits} | {name: target.qubits for name, target in table.targets.items()}
    return [
        {"backend": name, "status": "available", "qubits": qubits, "average_queue_time": 0, "degraded": False}
        for name, qubits in sizes.items()
    ]


def _moment(seconds: float | None) -> str | None:
    return None if seconds is None else datetime.fromtimestamp(seconds, UTC).isoformat()
