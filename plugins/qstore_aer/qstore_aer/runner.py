"""The only place that runs Aer: many circuits and rows in one job, or, where shots need a seed each, a job a row."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from qstore_aer.libraries import qiskit_aer
from qstore_aer.program import Program
from qstore_aer.settings import Settings
from qstore_aer.slots import Slots
from qstore_core.arrays import FloatArray, LabelArray
from qstore_core.counts import Counts
from qstore_core.errors import BackendError

Saved = dict[str, Any]


class AerRunner:
    """A simulator of Aer, kept between batches.

    Args:
        settings: How it simulates.
    """

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.simulator = settings.simulator()

    def run(
        self, program: Program, circuits: Sequence[Any], slots: Sequence[Slots], angles: FloatArray, **options: Any
    ) -> list[list[Saved]]:
        """What Aer saved for each circuit and each row of angles, from one Aer job.

        Parameters are bound while Aer runs (`runtime_parameter_bind_enable`), which takes half the time of the binding
        before the run that is Aer's default.
        """
        binds = [each.binds(angles) for each in slots]
        fixed = not any(binds)  # without parameters all rows are one
        threads = self.settings.threads_for(program.n_qubits)
        options = {"shots": 1, "max_parallel_threads": threads, "noise_model": program.noise_model, **options}
        if not fixed:
            options |= {"parameter_binds": binds, "runtime_parameter_bind_enable": True}
        saved = self._finished(list(circuits), options)
        if fixed:
            return [[each] * len(angles) for each in saved]
        return [saved[first : first + len(angles)] for first in range(0, len(saved), len(angles))]

    def counts(self, program: Program, group: int, angles: FloatArray, shots: int, labels: LabelArray) -> Counts:
        """Outcomes of a group that Aer draws, a job for each row, seeded by the row's label."""
        circuit, slots = program.outcomes[group]
        width = len(program.groups[group].basis)
        rows = []
        for row, seed in enumerate((labels >> np.uint64(2)).tolist()):
            options = {"shots": shots, "seed_simulator": seed}
            ((saved,),) = self.run(program, [circuit], [slots], angles[row : row + 1], **options)
            rows.append({format(int(outcome, 16), f"0{width}b"): n for outcome, n in saved["counts"].items()})
        return Counts.from_dicts(rows)

    def _finished(self, circuits: list[Any], options: dict[str, Any]) -> list[Saved]:
        try:
            result = self.simulator.run(circuits, **options).result()
        except qiskit_aer.AerError as error:
            raise BackendError(f"Aer failed: {_line(error.message)}") from error
        if not result.success:
            raise BackendError(f"Aer failed: {_line(result.status)}")
        return [each.data.to_dict() for each in result.results]


def _line(message: object) -> str:
    return " ".join(str(message).split())
