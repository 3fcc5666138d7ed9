"""The other side, which a real plugin does not have: a provider that keeps its jobs as files in a folder."""

import json
import secrets
import time
from pathlib import Path

import numpy as np

from qstore_core import AmbiguousError, BackendError, JobFailedError, JobRejectedError, TransientError
from qstore_core.operations import CircuitStructure
from qstore_core.testing.reference import state

PER_CIRCUIT, PER_SHOT, WIDEST = 0.01, 0.0001, 8


class Provider:
    """Jobs in a folder, durable before they are answered, so that any process can ask for them.

    Args:
        folder: Where the files are.
        queue: Seconds that a job waits.
    """

    def __init__(self, folder, *, queue=0.0):
        self.folder, self.queue = Path(folder), queue
        self.folder.mkdir(parents=True, exist_ok=True)
        self.account = self._account()

    def usd(self, circuits, shots):
        """The price of so many circuits, and so many shots over all of them."""
        return PER_CIRCUIT * circuits + PER_SHOT * shots

    def accept(self, token, circuits):
        """Take a job; returns its id."""
        widest = max(circuit["qubits"] for circuit in circuits)
        if widest > WIDEST:
            raise JobRejectedError(f"a circuit has {widest} qubits; this provider takes {WIDEST}")
        job_id = secrets.token_hex(8)
        now = time.time()
        self._write(job_id, {"token": token, "circuits": circuits, "due": now + self.queue, "cancelled": False})
        return job_id

    def state(self, job_id):
        """Where a job stands, and why."""
        job = self._read(job_id)
        if job["cancelled"]:
            return "cancelled", "by the user"
        return ("done", "") if time.time() >= job["due"] else ("queued", "")

    def results(self, job_id):
        """A histogram for each circuit."""
        state, _ = self.state(job_id)
        if state == "cancelled":
            raise JobFailedError(f"job {job_id} was cancelled")
        if state != "done":
            raise TransientError(f"job {job_id} is {state}")
        return [_histogram(circuit) for circuit in self._read(job_id)["circuits"]]

    def find(self, token):
        """The id of the job with a token, or None."""
        for path in self.folder.glob("*.json"):
            if json.loads(path.read_text())["token"] == token:
                return path.stem
        return None

    def cancel(self, job_id):
        """End a job that has not ended."""
        if self.state(job_id)[0] == "queued":
            self._write(job_id, {**self._read(job_id), "cancelled": True})

    def charged(self, job_id):
        """What a job cost; None before it ends."""
        state, _ = self.state(job_id)
        circuits = self._read(job_id)["circuits"]
        costs = {"done": self.usd(len(circuits), sum(circuit["shots"] for circuit in circuits)), "cancelled": 0.0}
        return costs.get(state)

    def _account(self):
        path = self.folder / "account"
        if not path.exists():
            path.write_text(secrets.token_hex(4))
        return path.read_text()

    def _write(self, job_id, job):
        path = self.folder / f"{job_id}.json"
        draft = path.with_suffix(".part")
        draft.write_text(json.dumps(job))
        draft.rename(path)  # whoever sees the file sees all of it

    def _read(self, job_id):
        try:
            return json.loads((self.folder / f"{job_id}.json").read_text())
        except FileNotFoundError as error:
            raise BackendError(f"there is no job {job_id!r}") from error
        except ValueError as error:
            raise AmbiguousError(f"the file of job {job_id!r} is no JSON") from error


def _histogram(circuit):
    """What a machine would have measured: bit strings of the measured qubits and how often each occurred."""
    structure = CircuitStructure(
        circuit["qubits"], tuple((name, tuple(qubits)) for name, qubits, _ in circuit["gates"])
    )
    angles = np.array([angle for *_, angle in circuit["gates"] if angle is not None])
    table = (np.abs(state(structure, angles)) ** 2).reshape((2,) * circuit["qubits"])
    table = table.sum(
        axis=tuple(qubit for qubit in range(circuit["qubits"]) if qubit not in circuit["measure"])
    ).ravel()
    counts = np.random.default_rng(circuit["seed"]).multinomial(circuit["shots"], table / table.sum())
    width = len(circuit["measure"])
    return {format(outcome, f"0{width}b"): int(counts[outcome]) for outcome in np.flatnonzero(counts)}
