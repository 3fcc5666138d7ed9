"""What tests of smaller circuits share: the modes, no reduction at all, and a backend on which gates cost money."""

from __future__ import annotations

from typing import Any

from fake_backends import Watched

from qstore_core.batch import CircuitBatch
from qstore_core.cost import Cost
from qstore_core.executor import ExecutorOptions

MODES = ["auto", "light_cone"]
FULL = ExecutorOptions(reduce=False)


class PricedByGate(Watched):
    """A dollar a gate."""

    def price(self, compiled: Any, batch: CircuitBatch) -> Cost:
        dollars = batch.n_circuits * len(batch.structure.gates)
        return Cost(usd_low=dollars, usd_high=dollars, circuits=batch.n_circuits, shots=batch.n_shots, jobs=1)
