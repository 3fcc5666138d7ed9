"""What IonQ's simulator and machines share: how a job is sent, waited for and read."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from qstore_core.backend import JobState, JobStatus, Pacing, RemoteBackend
from qstore_core.batch import BatchResult, CircuitBatch
from qstore_core.errors import AmbiguousError, ConfigurationError, JobRejectedError, TransientError
from qstore_core.observables import MeasurementGroup
from qstore_core.operations import CircuitStructure
from qstore_ionq import wire
from qstore_ionq.answers import histograms_of, readouts_of
from qstore_ionq.choice import Chooser, Compiled
from qstore_ionq.client import IonQClient, JobBody
from qstore_ionq.results import result_of
from qstore_ionq.transport import NotThereError

_log = logging.getLogger("qstore")
_STATES = {
    "submitted": JobState.QUEUED,
    "ready": JobState.QUEUED,
    "started": JobState.RUNNING,
    "running": JobState.RUNNING,
    "completed": JobState.DONE,
    "failed": JobState.FAILED,
    "canceled": JobState.CANCELLED,
    "deleted": JobState.CANCELLED,
}
_SERVICE = Pacing(first_poll=1.0, longest_poll=20.0, find_grace=90.0, request_patience=600.0, first_retry=1.0)
_EMULATOR = Pacing(first_poll=0.05, longest_poll=1.0, find_grace=2.0, request_patience=60.0, first_retry=0.05)


class IonQBackend(RemoteBackend):
    """A target of IonQ's service, to which a whole step goes as one job with many circuits.

    Args:
        target: What the service calls it.
        chooser: How structures are compiled for it.
        settings: What the service is told beside the circuits.
        session: The id of a session that jobs belong to.
        client: The way to the service.
        pacing: How often to ask; None: as suits the service, or an emulator on this machine.
    """

    def __init__(
        self,
        *,
        target: str,
        chooser: Chooser,
        settings: Mapping[str, Any] | None,
        session: str | None,
        client: IonQClient,
        pacing: Pacing | None,
    ) -> None:
        self.target = target
        self.chooser = chooser
        self._settings = _checked_settings(settings)
        self._session = session
        self._client = client
        self.account = client.account
        self.pacing = pacing or (_EMULATOR if client.is_local else _SERVICE)

    @property
    def is_sampled(self) -> bool:
        """Whether the service draws the shots; else results are exact, and shots are drawn here."""
        return self.capabilities.noisy

    @property
    def options(self) -> str:
        """What of the options changes results, for the fingerprint."""
        chosen = self.chooser.gateset + (f" by {self.chooser.criterion}" if self.chooser.gateset == "auto" else "")
        settings = f", settings={json.dumps(self._settings, sort_keys=True)}" if self._settings else ""
        return f"gateset={chosen}{settings}"

    def compile(self, structure: CircuitStructure, groups: tuple[MeasurementGroup, ...]) -> Compiled:
        """The circuits of a structure in the gate set asked for, or the better one; `reason` says why."""
        compiled = self.chooser.compile(structure, groups)
        if self.chooser.gateset == "auto":
            _log.info("%s: %s", self.name, compiled.reason)
        return compiled

    def fits(self, batches: Sequence[CircuitBatch], compiled: Sequence[Compiled]) -> bool:
        """Whether one job can hold these batches: its shots and gate set are one, and its size is limited."""
        if len({batch.shots for batch in batches}) > 1 or len({each.program.gateset for each in compiled}) > 1:
            return False
        circuits = sum(batch.n_rows * len(batch.groups) for batch in batches)
        pairs = zip(compiled, batches, strict=True)
        gates = sum(batch.n_rows * int(each.most_gates.sum()) for each, batch in pairs)
        if circuits > wire.MAX_CIRCUITS or gates > wire.MAX_GATES:
            return False
        return wire.metadata_fits(wire.metadata_of(batches, compiled, ""))

    async def submit(self, batches: Sequence[CircuitBatch], compiled: Sequence[Compiled], token: str) -> str:
        body = self._body(batches, compiled, token)
        return await asyncio.to_thread(self._client.create, body)

    async def status(self, job_id: str) -> JobStatus:
        document = await asyncio.to_thread(self._client.job, job_id)
        said = document.get("status")
        if not isinstance(said, str) or not said:  # asked again, in case the service lags, while patience lasts
            raise AmbiguousError(
                f"job {job_id}: IonQ answered a document whose status is {str(said)[:50]!r}, which is none; the job "
                "may run all the same, and resuming asks for it again"
            )
        if said not in _STATES:
            _log.warning("job %s: IonQ calls its status %r, which is new; it is waited for", job_id, said)
        return JobStatus(_STATES.get(said, JobState.QUEUED), _why(document))

    async def fetch(
        self, job_id: str, batches: Sequence[CircuitBatch], compiled: Sequence[Compiled]
    ) -> tuple[BatchResult, ...]:
        document, histograms = await asyncio.to_thread(self._read, job_id)
        return self._results(job_id, document, histograms, batches)

    async def find(self, token: str) -> str | None:
        return await asyncio.to_thread(self._find, token)

    async def cancel(self, job_id: str) -> None:
        """Ask for a job to be stopped, unless it has ended: the service takes the results of a completed one away."""
        status = await self.status(job_id)
        if status.state in (JobState.QUEUED, JobState.RUNNING):
            await asyncio.to_thread(self._client.cancel, job_id)

    def _body(self, batches: Sequence[CircuitBatch], compiled: Sequence[Compiled], token: str) -> JobBody:
        if not self.fits(batches, compiled):
            raise JobRejectedError(f"one job of {self.name} cannot hold these {len(batches)} batches; send them apart")
        given = wire.circuits_of(batches, compiled)
        if not given["circuits"]:
            raise JobRejectedError("the observables are constants, which no circuit measures; nothing was sent")
        return JobBody(
            backend=self.target,
            name=token,
            input=given,
            shots=batches[0].shots or 1,
            metadata=wire.metadata_of(batches, compiled, token),
            settings=self._settings,
            session=self._session,
            **self._extras(batches),
        )

    def _extras(self, batches: Sequence[CircuitBatch]) -> dict[str, Any]:
        """What only the simulator, or only a machine, is told."""
        return {}

    def _sharpen(self) -> bool | None:
        return None

    def _read(self, job_id: str) -> tuple[Mapping[str, Any], Mapping[str, Any]]:
        document = self._client.job(job_id)
        try:
            return document, self._client.results(job_id, sharpen=self._sharpen())
        except NotThereError as error:
            if _STATES.get(str(document.get("status"))) is not JobState.DONE:
                raise
            raise TransientError(f"job {job_id} is completed, and its results are not there yet") from error

    def _results(
        self,
        job_id: str,
        document: Mapping[str, Any],
        histograms: Mapping[str, Any],
        batches: Sequence[CircuitBatch],
    ) -> tuple[BatchResult, ...]:
        wanted = [batch.n_rows * len(batch.groups) for batch in batches]
        readouts = readouts_of(job_id, document, batches)
        rows = iter(histograms_of(job_id, document, histograms, batches))
        parts = [[next(rows) for _ in range(count)] for count in wanted]
        return tuple(
            replace(result_of(batch, part, bases, sampled=self.is_sampled), metadata={"job": job_id})
            for batch, part, bases in zip(batches, parts, readouts, strict=True)
        )

    def _find(self, token: str) -> str | None:
        for job in self._client.jobs(target=self.target):
            metadata = job.get("metadata") or {}
            if token in (job.get("name"), metadata.get("token")):
                # a circuit of a job may be listed as a job of its own, with all that was sent
                return str(job.get("parent_job_id") or job["id"])
        return None


def _checked_settings(settings: Mapping[str, Any] | None) -> Mapping[str, Any]:
    """A copy, so that nothing that happens to the caller's own changes what is sent."""
    try:
        copied = json.loads(json.dumps(settings or {}))
    except (TypeError, ValueError) as error:
        raise ConfigurationError(f"settings are JSON values: {error}") from error
    if not isinstance(copied, dict):
        raise ConfigurationError(f"settings is a mapping such as {{'compilation': {{'opt': 1}}}}, not {settings!r}")
    if "error_mitigation" in copied:
        raise ConfigurationError("settings holds error_mitigation; the backend's option for it is debiasing=True")
    return copied


def _why(document: Mapping[str, Any]) -> str:
    """Why a job failed; the service says null where nothing did."""
    failure = document.get("failure")
    if not isinstance(failure, Mapping):
        return ""
    parts = [str(failure[key]) for key in ("code", "message", "error") if failure.get(key)]
    return ": ".join(parts)
