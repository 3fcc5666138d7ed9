"""Jobs for the emulator over plain HTTP, and their results."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import requests
from qstore_ionq.emulator.process import RunningEmulator

Http = Callable[..., requests.Response]
BELL = [{"gate": "h", "target": 0}, {"gate": "cnot", "control": 0, "target": 1}]
NATIVE = [{"gate": "gpi2", "target": 0, "phase": 0.0}, {"gate": "zz", "targets": [0, 1], "angle": 0.25}]


def body(*circuits: Any, **changes: Any) -> dict[str, Any]:
    """A job with the circuits given, several even when it is one; `changes` take the place of its fields."""
    gates = circuits or (BELL,)
    document = {
        "backend": "simulator",
        "type": "ionq.multi-circuit.v1",
        "lang": "json",
        "input": {"gateset": "qis", "qubits": 2, "circuits": [{"circuit": circuit} for circuit in gates]},
        "shots": "100",
        "metadata": {"token": "t"},
        "name": "t",
    }
    return {**document, **changes}


def native(**changes: Any) -> dict[str, Any]:
    return body(input={"gateset": "native", "qubits": 2, "circuits": [{"circuit": NATIVE}]}, **changes)


def submitted(http: Http, running: RunningEmulator, document: dict[str, Any], key: str = "any") -> str:
    answer = http(running, "POST", "/jobs", json=document, key=key)
    assert answer.status_code == 201, answer.text
    return str(answer.json()["id"])


def results(http: Http, running: RunningEmulator, job: str) -> list[dict[str, float]]:
    """The histograms in the order of the circuits."""
    order = http(running, "GET", f"/jobs/{job}").json()["child_job_ids"]
    found = http(running, "GET", f"/jobs/{job}/results/probabilities/aggregated").json()
    assert sorted(found) == sorted(order)
    return [found[child] for child in order]
