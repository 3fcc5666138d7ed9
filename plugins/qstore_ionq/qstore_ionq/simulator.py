"""The backend `ionq.simulator`: IonQ's cloud simulator."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from qstore_core.backend import BackendCapabilities, Pacing
from qstore_core.batch import CircuitBatch
from qstore_core.cost import Cost
from qstore_ionq import wire
from qstore_ionq.backend import IonQBackend
from qstore_ionq.choice import Chooser, Compiled, Gateset
from qstore_ionq.client import IonQClient
from qstore_ionq.targets import NoiseModel, TargetTable


class IonQSimulator(IonQBackend):
    """IonQ's cloud simulator: exact without noise, shot by shot with it. It is free.

    Without noise, `shots_per_circuit=None` gives exact expectation values, and a number of shots is drawn here from the
    exact probabilities, by the draw labels: the same circuits give the same counts in every process.

    Args:
        noise_model: "ideal", or the noise of a machine: "aria-1", "aria-2", "forte-1", ...
        api_key: The API key; else the environment variable IONQ_API_KEY. It is never written anywhere.
        remote_host: The service's address; else IONQ_REMOTE_HOST, else IonQ's.
        gateset: "native", "qis", or "auto" for the one with the better estimated fidelity.
        settings: What the service is told beside the circuits, such as `{"compilation": {"opt": 1}}`.
        session: The id of a session that jobs belong to.
        account: What tells this account from others; None: the key, by its hash. Where keys change, give all of one
            account the same name, so that jobs of an older key are found.
        keyless: Whether to do without a key: circuits are compiled and priced, and every request is refused.
        request_timeout: Seconds to wait for a connection, and for an answer.
        prices: A file that takes the place of the table of targets, whole or in part.
        pacing: How often to ask.

    Raises:
        ConfigurationError: No key, or an option with a value that is not permitted.

    >>> backend = IonQSimulator(noise_model="aria-1", api_key="secret")
    >>> backend.fingerprint, backend.capabilities.noisy
    ('ionq.simulator(aria-1, gateset=auto by fidelity)', True)
    """

    def __init__(
        self,
        *,
        noise_model: str = "ideal",
        api_key: str | None = None,
        remote_host: str | None = None,
        gateset: Gateset = "auto",
        settings: Mapping[str, Any] | None = None,
        session: str | None = None,
        account: str | None = None,
        keyless: bool = False,
        request_timeout: float = 60.0,
        prices: Path | str | None = None,
        pacing: Pacing | None = None,
    ) -> None:
        table = TargetTable.load(prices)
        self.noise_model = noise_model
        model = table.noise_model(noise_model)
        super().__init__(
            target="simulator",
            chooser=Chooser(gateset=gateset, criterion="fidelity", family=model.family, noise=model),
            settings=settings,
            session=session,
            client=IonQClient(key=api_key, host=remote_host, timeout=request_timeout, account=account, keyless=keyless),
            pacing=pacing,
        )
        self.capabilities = _capabilities(table, model)
        self.fingerprint = f"ionq.simulator({noise_model}, {self.options})"

    def price(self, compiled: Compiled, batch: CircuitBatch) -> Cost:
        """Nothing but what is counted."""
        return Cost(circuits=batch.n_circuits, shots=batch.n_shots, jobs=1)

    async def cost(self, job_id: str) -> Cost | None:
        """Nothing but what is counted."""
        return Cost(jobs=1)

    def _extras(self, batches: Sequence[CircuitBatch]) -> dict[str, Any]:
        noise: dict[str, Any] = {"model": self.noise_model}
        if self.is_sampled:
            noise["seed"] = wire.noise_seed(wire.draws_of(batches))
        return {"noise": noise}


def _capabilities(table: TargetTable, model: NoiseModel) -> BackendCapabilities:
    noisy = (model.one_qubit, model.two_qubit) != (0.0, 0.0)
    return BackendCapabilities(
        max_qubits=model.qubits or table.simulator_qubits,
        native_gates=("gpi", "gpi2", model.family),
        max_shots=table.simulator_shots if noisy else None,
        max_circuits_per_job=wire.MAX_CIRCUITS,
        exact=not noisy,
        noisy=noisy,
        seedable=not noisy,
    )
