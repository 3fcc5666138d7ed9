"""What the author of a remote backend writes: circuits out, histograms in, and prices."""

import asyncio
import os

from qstore_core import (
    BackendCapabilities,
    BatchResult,
    ConfigurationError,
    Cost,
    Counts,
    JobState,
    JobStatus,
    Pacing,
    Prices,
    RemoteBackend,
)
from qstore_core.gates import GATES
from qstore_postbox.provider import Provider

FOLDER_VARIABLE = "QSTORE_POSTBOX"


class PostboxBackend(RemoteBackend):
    """Jobs for a provider that takes lists of circuits and answers with histograms.

    Args:
        folder: Where the provider is; else the environment variable QSTORE_POSTBOX.
        queue: Seconds that a job waits.
    """

    def __init__(self, *, folder=None, queue=0.0):
        folder = folder or os.environ.get(FOLDER_VARIABLE)
        if not folder:
            raise ConfigurationError(f"backend 'postbox' needs a folder: pass folder=... or set {FOLDER_VARIABLE}")
        self._provider = Provider(folder, queue=queue)
        self.capabilities = BackendCapabilities(
            max_qubits=8,
            gates=frozenset({"h", "s", "sdg", "x", "rx", "ry", "rz", "cnot", "cz"}),
            max_shots=10_000,
            max_circuits_per_job=100,
            exact=False,
            prices=Prices(per_circuit=0.01, per_shot=0.0001),
        )
        self.fingerprint = "postbox"
        self.account = self._provider.account
        self.pacing = Pacing(first_poll=0.01, longest_poll=0.5, find_grace=1.0, first_retry=0.01)

    def price(self, compiled, batch):
        """What the price list says of one batch; there is only one reading of it."""
        usd = self._provider.usd(batch.n_circuits, batch.n_shots)
        return Cost(usd, usd, circuits=batch.n_circuits, shots=batch.n_shots, jobs=1)

    async def submit(self, batches, compiled, token):
        circuits = [circuit for batch in batches for circuit in _circuits(batch)]
        return await asyncio.to_thread(self._provider.accept, token, circuits)

    async def status(self, job_id):
        state, reason = await asyncio.to_thread(self._provider.state, job_id)
        return JobStatus(JobState(state), reason)

    async def fetch(self, job_id, batches, compiled):
        histograms = iter(await asyncio.to_thread(self._provider.results, job_id))
        return tuple(_result(batch, histograms) for batch in batches)

    async def find(self, token):
        return await asyncio.to_thread(self._provider.find, token)

    async def cancel(self, job_id):
        await asyncio.to_thread(self._provider.cancel, job_id)

    async def cost(self, job_id):
        usd = await asyncio.to_thread(self._provider.charged, job_id)
        return None if usd is None else Cost(usd, usd, jobs=1)


def _circuits(batch):
    """Every circuit of a batch, row after row, in each row basis after basis."""
    for angles, draw in zip(batch.angles, batch.draws, strict=True):
        for number, group in enumerate(batch.groups):
            angle = iter(angles.tolist())
            gates = [
                [name, list(qubits), next(angle) if GATES[name].has_angle else None]
                for name, qubits in batch.structure.gates + group.rotations
            ]
            yield {
                "qubits": batch.structure.n_qubits,
                "gates": gates,
                "measure": list(group.qubits),
                "shots": batch.shots,
                "seed": [int(draw), number],
            }


def _result(batch, histograms):
    """The next histograms as the counts of a batch: for each basis one for every row."""
    rows = [[next(histograms) for _ in batch.groups] for _ in range(batch.n_rows)]
    return BatchResult(counts=tuple(Counts.from_dicts(basis) for basis in zip(*rows, strict=True)))
