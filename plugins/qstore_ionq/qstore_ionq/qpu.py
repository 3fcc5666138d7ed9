"""The backend `ionq.qpu`: IonQ's machines, which cost money."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from qstore_core.arrays import IntArray
from qstore_core.backend import BackendCapabilities, Pacing, Prices
from qstore_core.batch import CircuitBatch
from qstore_core.cost import Cost
from qstore_core.errors import AmbiguousError, BackendError, CapabilityError, ConfigurationError, TransientError
from qstore_ionq import wire
from qstore_ionq.answers import amount
from qstore_ionq.backend import IonQBackend
from qstore_ionq.choice import Chooser, Compiled, Criterion, Gateset
from qstore_ionq.client import IonQClient
from qstore_ionq.prices import GatePrices, Minimum, check_minimum
from qstore_ionq.targets import TargetTable
from qstore_ionq.transport import ForbiddenError

_log = logging.getLogger("qstore")
LEAST_SHOTS_DEBIASED = 500


class IonQQPU(IonQBackend):
    """IonQ's machines. Jobs cost money: see the plugin's README before a run, and `qstore estimate`.

    Args:
        target: The machine, such as "qpu.forte-1".
        api_key: The API key; else the environment variable IONQ_API_KEY. It is never written anywhere.
        remote_host: The service's address; else IONQ_REMOTE_HOST, else IonQ's.
        gateset: "native", "qis", or "auto" for the better one.
        criterion: What "auto" goes by: estimated "price", or estimated "fidelity".
        debiasing: Whether the service mitigates errors, with at least 500 shots; it raises the least price. The service
            does it by itself from 500 shots on, so it is always told.
        sharpen: Whether debiased results are sharpened by majority; None leaves it to the service.
        settings: What the service is told beside the circuits, such as `{"compilation": {"opt": 1}}`.
        session: The id of a session that jobs belong to.
        account: What tells this account from others; None: the key, by its hash. Where keys change, give all of one
            account the same name, so that jobs of an older key are found.
        keyless: Whether to do without a key: circuits are compiled and priced, and every request is refused.
        request_timeout: Seconds to wait for a connection, and for an answer.
        minimum: What the least price is charged for, "per_job" or "per_circuit"; None leaves both readings open, and
            budgets count the dearer one.
        prices: A file that takes the place of the table of targets, whole or in part.
        pacing: How often to ask.

    Raises:
        ConfigurationError: No key, an unknown target, or an option with a value that is not permitted.

    >>> backend = IonQQPU(target="qpu.forte-1", api_key="secret", minimum="per_job")
    >>> backend.fingerprint, backend.capabilities.prices.per_job
    ('ionq.qpu(qpu.forte-1, debiasing=False, gateset=auto by price)', 25.7899)
    """

    def __init__(
        self,
        *,
        target: str = "qpu.forte-1",
        api_key: str | None = None,
        remote_host: str | None = None,
        gateset: Gateset = "auto",
        criterion: Criterion = "price",
        debiasing: bool = False,
        sharpen: bool | None = None,
        settings: Mapping[str, Any] | None = None,
        session: str | None = None,
        account: str | None = None,
        keyless: bool = False,
        request_timeout: float = 60.0,
        minimum: Minimum | None = None,
        prices: Path | str | None = None,
        pacing: Pacing | None = None,
    ) -> None:
        table = TargetTable.load(prices)
        machine = table.target(target)
        self.prices = machine.prices
        self.minimum = check_minimum(minimum)
        self.debiasing, self.sharpen = _checked_mitigation(debiasing, sharpen)
        super().__init__(
            target=target,
            chooser=Chooser(
                gateset=gateset,
                criterion=criterion,
                family=machine.family,
                prices=machine.prices,
                noise=table.of_target(machine),
            ),
            settings=settings,
            session=session,
            client=IonQClient(key=api_key, host=remote_host, timeout=request_timeout, account=account, keyless=keyless),
            pacing=pacing,
        )
        self.capabilities = BackendCapabilities(
            max_qubits=machine.qubits,
            native_gates=("gpi", "gpi2", machine.family),
            max_shots=machine.max_shots,
            max_circuits_per_job=wire.MAX_CIRCUITS,
            exact=False,
            noisy=True,
            seedable=False,
            prices=_planned(machine.prices, self.minimum, mitigated=debiasing),
        )
        mitigation = f"debiasing={debiasing}" + (f", sharpen={sharpen}" if sharpen is not None else "")
        self.fingerprint = f"ionq.qpu({target}, {mitigation}, {self.options})"

    async def open(self) -> None:
        """Take the account's own rates from the service, where it says them; else the table's stay."""
        try:
            self.prices = await asyncio.to_thread(self._rates)
        except BackendError as error:
            _log.warning("%s: prices are those of %s, %s: %s", self.name, self.prices.source, self.prices.date, error)

    def price(self, compiled: Compiled, batch: CircuitBatch) -> Cost:
        """The price of a job with this batch alone."""
        return self.price_job((compiled,), (batch,))

    def price_job(self, compiled: Sequence[Compiled], batches: Sequence[CircuitBatch]) -> Cost:
        """The price of one job, on both readings of the least price and for the gates that there are and can be.

        `usd_low` counts the gates of these very angles, `usd_high` the most that the structures can have.
        """
        pairs = list(zip(compiled, batches, strict=True))
        real = np.concatenate([each.gates(batch) for each, batch in pairs])
        shots = batches[0].shots or 0
        if self.debiasing and len(real) and shots < LEAST_SHOTS_DEBIASED:
            raise CapabilityError(
                f"debiasing needs at least {LEAST_SHOTS_DEBIASED} shots a circuit, and there are {shots}: raise "
                "shots_per_circuit, or leave debiasing out"
            )
        most = np.concatenate([np.tile(each.most_gates, (batch.n_rows, 1)) for each, batch in pairs])
        return Cost(
            usd_low=self._usd(real, shots, self.minimum or "per_job"),
            usd_high=self._usd(most, shots, self.minimum or "per_circuit"),
            circuits=len(real),
            shots=len(real) * shots,
            jobs=min(len(real), 1),
        )

    async def cost(self, job_id: str) -> Cost | None:
        """What the service charged; None while it does not say, or says what is no number of US dollars."""
        try:
            return await asyncio.to_thread(self._charged, job_id)
        except (TransientError, AmbiguousError):
            raise
        except (BackendError, ForbiddenError) as error:
            _log.warning("job %s: IonQ does not say what it cost (%s); the price counts", job_id, error)
            return None

    def _charged(self, job_id: str) -> Cost | None:
        charged = self._client.cost(job_id).get("cost")
        if charged is None:
            return None
        if not isinstance(charged, Mapping):
            raise BackendError(f"{str(charged)[:50]!r} is not a value with a unit")
        if charged.get("value") is None:
            return None
        if not _in_dollars(charged.get("unit")):
            _log.warning("job %s cost %s %s, not USD: the estimate stays", job_id, charged["value"], charged["unit"])
            return None
        try:
            usd = amount(charged["value"])
        except ValueError as error:
            raise BackendError(str(error)) from error
        return Cost(usd_low=usd, usd_high=usd, jobs=1, seconds=self._seconds(job_id))

    def _seconds(self, job_id: str) -> float:
        took = self._client.job(job_id).get("execution_duration_ms")
        try:
            return amount(took or 0.0) / 1000
        except ValueError as error:
            _log.warning("job %s: IonQ does not say how long it took (%s); no time is counted", job_id, error)
            return 0.0

    def _extras(self, batches: Sequence[CircuitBatch]) -> dict[str, Any]:
        return {"error_mitigation": {"debiasing": self.debiasing}}

    def _sharpen(self) -> bool | None:
        return self.sharpen

    def _usd(self, gates: IntArray, shots: int, minimum: Minimum) -> float:
        return self.prices.usd(gates, shots=shots, minimum=minimum, mitigated=self.debiasing)

    def _rates(self) -> GatePrices:
        asked = {"type": "ionq.circuit.v1", "error_mitigation": str(self.debiasing).lower()}
        answer = self._client.estimate(backend=self.target, **asked)
        try:
            (rates,) = [rate for rate in answer["rate_card"]["rates"] if rate["unit"] == "gates"]
            if not _in_dollars(answer.get("estimated_unit")):
                raise ValueError(f"in {answer['estimated_unit']}")
            least = amount(rates.get("job_cost_minimum", 0.0))  # left out where the contract has none
            return GatePrices(
                one_qubit_gate=amount(rates["cost_1q_gate"]),
                two_qubit_gate=amount(rates["cost_2q_gate"]),
                minimum=self.prices.minimum if self.debiasing else least,
                minimum_mitigated=least if self.debiasing else self.prices.minimum_mitigated,
                source="IonQ, for this account",
                date=str(answer.get("estimated_at", ""))[:10],
            )
        except (KeyError, TypeError, ValueError) as error:
            raise BackendError(f"IonQ says no price of a gate in USD ({error}): {str(answer)[:200]}") from error


def _planned(prices: GatePrices, minimum: Minimum | None, *, mitigated: bool) -> Prices:
    """The least price as a constant, on the dearer reading that is possible; gates depend on the circuit."""
    least = prices.least(mitigated=mitigated)
    return Prices(per_job=least) if minimum == "per_job" else Prices(per_circuit=least)


def _in_dollars(unit: object) -> bool:
    return unit is None or str(unit).lower() == "usd"


def _checked_mitigation(debiasing: object, sharpen: object) -> tuple[bool, bool | None]:
    if not isinstance(debiasing, bool) or not (sharpen is None or isinstance(sharpen, bool)):
        raise ConfigurationError(f"debiasing is True or False, sharpen also None; not {debiasing!r} and {sharpen!r}")
    if sharpen and not debiasing:
        raise ConfigurationError("sharpen=True sharpens debiased results: set debiasing=True too")
    return debiasing, sharpen
