"""What things cost: the table, both readings of the least price, the service's own word, and the ledger's."""

from __future__ import annotations

import asyncio
import logging
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from ionq_batches import Connect, Emulate
from qstore_ionq.choice import Chooser, Compiled
from qstore_ionq.emulator.process import RunningEmulator
from qstore_ionq.prices import GatePrices
from qstore_ionq.qpu import IonQQPU
from qstore_ionq.targets import NoiseModel, TargetTable

from qstore_core import Budget, BudgetExceededError, QuantumModel, QuantumTrainer, TrainingConfig, get_backend
from qstore_core.account import Account
from qstore_core.batch import CircuitBatch
from qstore_core.circuit import QuantumCircuit
from qstore_core.cost import Cost
from qstore_core.errors import ConfigurationError
from qstore_core.executor import Executor
from qstore_core.journal import Journal
from qstore_core.randomness import StepKey

FORTE = TargetTable.load().target("qpu.forte-1").prices
CIRCUIT = QuantumCircuit(3).ry(0, 0.0).ry(1, 0.0).ry(2, 0.0).rzz(0, 1, 0.0).cnot(1, 2).rx(0, 0.0).ry(1, 0.0)


def batch_of(n_rows: int = 4, *, shots: int = 100, seed: int = 1) -> CircuitBatch:
    angles = np.random.default_rng(seed).normal(size=(n_rows, CIRCUIT.structure.n_angles))
    return CircuitBatch(
        CIRCUIT.structure, angles, ("Z0 Z1", "X0"), shots, StepKey(seed).draws(sample=np.arange(n_rows))
    )


class TestTable:
    def test_it_has_a_source_and_a_date_for_every_price(self) -> None:
        for target in TargetTable.load().targets.values():
            assert target.prices.source
            assert target.prices.date >= "2025-09"

    def test_the_published_figures(self) -> None:
        assert (FORTE.one_qubit_gate, FORTE.two_qubit_gate) == (0.0001645, 0.001121)
        assert (FORTE.minimum, FORTE.minimum_mitigated) == (25.7899, 168.195)
        aria = TargetTable.load().target("qpu.aria-1").prices
        assert (aria.one_qubit_gate, aria.two_qubit_gate) == (0.000220, 0.000975)
        assert (aria.minimum, aria.minimum_mitigated) == (12.4166, 97.50)

    def test_a_file_takes_the_place_of_it_in_part(self, tmp_path: Path) -> None:
        mine = tmp_path / "mine.toml"
        mine.write_text(
            '[targets."qpu.forte-1".prices]\nminimum = 1.0\n'
            '[targets."qpu.next"]\nfamily = "zz"\nqubits = 64\nmax_shots = 100\n'
            '[targets."qpu.next".prices]\none_qubit_gate = 1.0\ntwo_qubit_gate = 2.0\nminimum = 3.0\n'
            "minimum_mitigated = 4.0\n"
        )
        table = TargetTable.load(mine)
        assert table.target("qpu.forte-1").prices == replace(FORTE, minimum=1.0)
        assert table.target("qpu.aria-1") == TargetTable.load().target("qpu.aria-1")
        backend = get_backend("ionq.qpu", target="qpu.next", api_key="k", prices=mine)
        assert (backend.capabilities.max_qubits, backend.capabilities.max_shots) == (64, 100)

    @pytest.mark.parametrize(
        "text",
        [
            "not toml",
            '[targets."qpu.forte-1".prices]\nminimum = -1\n',
            '[targets."qpu.forte-1".prices]\nminimum = "free"\n',
            '[targets."qpu.forte-1".prices]\nmaximum = 1\n',
            '[targets."qpu.forte-1"]\nfamily = "xy"\n',
            '[targets."qpu.forte-1"]\nnoise = "nope"\n',
            '[targets."qpu.new"]\nqubits = 3\n',
            "targets = 3\n",
        ],
    )
    def test_a_file_that_is_none_is_named(self, text: str, tmp_path: Path) -> None:
        mine = tmp_path / "mine.toml"
        mine.write_text(text)
        with pytest.raises(ConfigurationError, match=r"mine\.toml' is not a table of targets"):
            TargetTable.load(mine)


class TestReadings:
    def test_below_the_minimum_they_differ_by_the_number_of_circuits(
        self, running: RunningEmulator, connect: Connect
    ) -> None:
        batch = batch_of(5, shots=10)
        circuits = batch.n_circuits
        price = {
            minimum: Executor(connect(running, "qpu", minimum=minimum)).price((batch,))
            for minimum in (None, "per_job", "per_circuit")
        }
        assert (price[None].usd_low, price[None].usd_high) == (FORTE.minimum, pytest.approx(circuits * FORTE.minimum))
        assert price["per_job"].usd_low == price["per_job"].usd_high == FORTE.minimum
        assert price["per_circuit"].usd_low == price["per_circuit"].usd_high == pytest.approx(circuits * FORTE.minimum)
        assert (price[None].circuits, price[None].shots, price[None].jobs) == (circuits, 10 * circuits, 1)

    def test_above_it_gates_times_shots_count(self, running: RunningEmulator, connect: Connect) -> None:
        backend = connect(running, "qpu", gateset="qis", minimum="per_job")
        batch = batch_of(2, shots=10_000)
        price = backend.price(backend.compile(batch.structure, batch.groups), batch)
        counts = backend.compile(batch.structure, batch.groups).most_gates
        expected = 2 * 10_000 * float((counts @ [FORTE.one_qubit_gate, FORTE.two_qubit_gate]).sum())
        assert price.usd_low == pytest.approx(expected)
        assert price.usd_high == pytest.approx(expected)

    def test_batches_of_one_job_share_its_minimum(self, running: RunningEmulator, connect: Connect) -> None:
        backend = connect(running, "qpu", minimum="per_job")
        price = Executor(backend).price((batch_of(1, shots=10), batch_of(1, shots=10, seed=2)))
        assert price == Cost(FORTE.minimum, FORTE.minimum, circuits=4, shots=40, jobs=1)

    def test_debiasing_raises_it(self, running: RunningEmulator, connect: Connect) -> None:
        backend = connect(running, "qpu", minimum="per_job", debiasing=True)
        assert Executor(backend).price((batch_of(1, shots=500),)).usd_high == FORTE.minimum_mitigated

    def test_the_planned_constants_are_the_dearer_reading(self) -> None:
        def planned(**options: Any) -> Any:
            return get_backend("ionq.qpu", api_key="k", **options).capabilities.prices

        assert (planned().per_job, planned().per_circuit) == (0.0, FORTE.minimum)
        assert (planned(minimum="per_job").per_job, planned(minimum="per_job").per_circuit) == (FORTE.minimum, 0.0)
        assert planned(debiasing=True).per_circuit == FORTE.minimum_mitigated
        assert get_backend("ionq.simulator", api_key="k").capabilities.prices is None

    @pytest.mark.parametrize("minimum", ["per_job", "per_circuit"])
    @pytest.mark.parametrize("shots", [20, 6000])
    @pytest.mark.parametrize(("target", "gateset"), [("qpu.forte-1", "auto"), ("qpu.aria-1", "native")])
    def test_what_is_charged_is_what_was_said(
        self, minimum: Any, shots: int, target: str, gateset: str, emulate: Emulate, connect: Connect
    ) -> None:
        """The emulator counts gates in what it was sent; the backend in what it compiled."""
        with emulate(minimum=minimum, ideal_machines=True) as process:
            executor = Executor(connect(process, "qpu", target=target, gateset=gateset, minimum=minimum))
            batches = (batch_of(3, shots=shots), batch_of(2, shots=shots, seed=5))
            price = executor.price(batches)
            asyncio.run(executor.run(batches))
            assert process.charged() == pytest.approx(price.usd_low)
            assert price.usd_low <= price.usd_high * (1 + 1e-12)
            assert executor.spent.usd_high == pytest.approx(process.charged())


class TestTheServicesWord:
    def test_real_costs_go_into_the_journal(self, emulate: Emulate, connect: Connect) -> None:
        with emulate(circuit_seconds=0.02) as process:
            journal = Journal(None)
            executor = Executor(connect(process, "qpu"), journal=journal)
            batch = batch_of(2, shots=20)
            asyncio.run(executor.run((batch,)))
            (record,) = journal.records()
            assert record.reserved.usd_high == pytest.approx(batch.n_circuits * FORTE.minimum)
            assert record.final is not None
            assert record.final.usd_high == record.final.usd_low == FORTE.minimum == process.charged()
            assert record.final.seconds == pytest.approx(0.02 * batch.n_circuits, abs=0.001)

    def test_a_cost_that_is_not_known_yet_or_not_in_dollars_is_none(
        self, emulate: Emulate, connect: Connect, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
    ) -> None:
        with emulate(queue=600) as slow:
            backend = connect(slow, "qpu")
            batch = batch_of(1)
            job = asyncio.run(backend.submit([batch], [backend.compile(batch.structure, batch.groups)], "t"))
            assert asyncio.run(backend.cost(job)) is None
        monkeypatch.setattr(backend._client, "cost", lambda job_id: {"cost": {"value": 3.0, "unit": "credit"}})
        assert asyncio.run(backend.cost("j")) is None
        assert "cost 3.0 credit, not USD" in caplog.text
        assert asyncio.run(connect(slow).cost("j")) == Cost(jobs=1)

    def test_the_accounts_own_rates_take_the_place_of_the_table(
        self, emulate: Emulate, connect: Connect, tmp_path: Path
    ) -> None:
        mine = tmp_path / "contract.toml"
        mine.write_text('[targets."qpu.forte-1".prices]\none_qubit_gate = 0.5\nminimum = 2.5\n')
        with emulate(prices=mine) as process:
            backend = connect(process, "qpu", minimum="per_job")
            assert isinstance(backend, IonQQPU)
            asyncio.run(backend.open())
            assert (backend.prices.one_qubit_gate, backend.prices.minimum) == (0.5, 2.5)
            assert backend.prices.minimum_mitigated == FORTE.minimum_mitigated
            assert backend.prices.source == "IonQ, for this account"

    def test_the_table_stays_where_the_service_says_nothing(
        self,
        emulate: Emulate,
        connect: Connect,
        caplog: pytest.LogCaptureFixture,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        with emulate(force=["server-error:estimate:1"]) as process, caplog.at_level(logging.WARNING):
            backend = connect(process, "qpu")
            assert isinstance(backend, IonQQPU)
            asyncio.run(backend.open())
            assert backend.prices == FORTE
            rates = {"unit": "gates", "cost_1q_gate": 0.1, "cost_2q_gate": 0.2}
            answers: list[dict[str, Any]] = [
                {"rate_card": {"rates": [{"unit": "compute_second", "unit_cost": 1.0}]}},
                {"estimated_unit": "credit", "rate_card": {"rates": [rates]}},
                {"estimated_unit": "usd", "rate_card": {"rates": [rates]}},
            ]
            for answer in answers:
                assert backend.prices == FORTE
                monkeypatch.setattr(backend._client, "estimate", lambda answer=answer, **asked: answer)
                asyncio.run(backend.open())
            assert (backend.prices.two_qubit_gate, backend.prices.minimum) == (0.2, 0.0)
        assert "prices are those of Azure Quantum, list price of IonQ Forte, 2025-09" in caplog.text


class TestChoice:
    NOISE = NoiseModel(family="zz", one_qubit=0.001, two_qubit=0.01)
    PRICES = GatePrices(one_qubit_gate=1.0, two_qubit_gate=1.0, minimum=0.0, minimum_mitigated=0.0)

    def compiled(self, circuit: QuantumCircuit, **options: Any) -> Compiled:
        batch = CircuitBatch(circuit.structure, np.zeros((1, circuit.structure.n_angles)), ("Z0 Z1",))
        return Chooser(**options).compile(batch.structure, batch.groups)

    def test_the_cheaper_and_the_truer_one_can_differ(self) -> None:
        """A CRZ between rotations: fewer gates on one qubit as qis, none more on two natively."""
        circuit = QuantumCircuit(2).rx(0, 0.0).ry(1, 0.0).rzz(0, 1, 0.0).rx(0, 0.0).ry(1, 0.0)
        for prices in (self.PRICES, replace(self.PRICES, one_qubit_gate=100.0)):
            made = {
                gateset: self.compiled(circuit, gateset=gateset, prices=prices, noise=self.NOISE)
                for gateset in ("native", "qis", "auto")
            }
            usd = {name: float(prices.per_shot(each.most_gates).sum()) for name, each in made.items()}
            assert usd["auto"] == min(usd["native"], usd["qis"])
            assert made["auto"].reason.startswith(made["auto"].program.gateset)
        truer = self.compiled(circuit, criterion="fidelity", prices=self.PRICES, noise=self.NOISE)
        counts = {name: each.most_gates @ [0.001, 0.01] for name, each in made.items()}
        assert truer.most_gates @ [0.001, 0.01] == pytest.approx(min(counts["native"], counts["qis"]))
        assert "estimated fidelity against" in truer.reason

    def test_what_is_equal_by_price_goes_by_fidelity_and_then_native(self) -> None:
        circuit = QuantumCircuit(2).rx(0, 0.0).ry(1, 0.0).rzz(0, 1, 0.0).rx(0, 0.0).ry(1, 0.0)
        free = replace(self.PRICES, one_qubit_gate=0.0, two_qubit_gate=0.0)
        assert "by fidelity" in self.compiled(circuit, prices=free, noise=self.NOISE).reason
        neither = self.compiled(circuit, prices=free)
        assert (neither.program.gateset, neither.reason[:16]) == ("native", "native: neither ")

    def test_the_estimate_of_fidelity_is_that_of_independent_failures(self) -> None:
        circuit = QuantumCircuit(2).rx(0, 0.0).ry(1, 0.0).rzz(0, 1, 0.0).rx(0, 0.0).ry(1, 0.0)
        made = self.compiled(circuit, criterion="fidelity", noise=self.NOISE)
        ((one, two),) = made.most_gates.tolist()
        assert f"{0.999**one * 0.99**two:.6g} estimated fidelity" in made.reason


@pytest.mark.parametrize("minimum", ["per_job", "per_circuit"])
def test_a_training_run_costs_what_the_estimate_said(
    minimum: Any, emulate: Emulate, connect: Connect, tmp_path: Path
) -> None:
    """On the emulated qpu.forte-1, under a fixed reading and a budget, both where the minimum binds and where not."""
    generator = np.random.default_rng(3)
    x, y = generator.normal(0.0, 0.5, (8, 3)), np.arange(8) % 2
    for shots in (50, 4000):
        with emulate(minimum=minimum) as process:
            backend = connect(process, "qpu", target="qpu.forte-1", minimum=minimum)
            model = QuantumModel(3, 3, 2, backend)
            place = tmp_path / f"{minimum} {shots}"
            config = TrainingConfig(
                epochs=2, batch_size=4, gradient_method="spsa", shots_per_circuit=shots, seed=3, run_directory=place
            )
            said = QuantumTrainer(config, progress=False).estimate_cost(model, 8).total
            assert said.usd_high <= 1.5 * said.usd_low
            trainer = QuantumTrainer(replace(config, budget=Budget(usd=said.usd_high)), progress=False)
            trainer.fit(model, x, y)
            paid = process.charged()
            assert said.usd_low * (1 - 1e-9) <= paid <= said.usd_high * (1 + 1e-9)
            assert trainer.spent.usd_high == pytest.approx(paid)
            assert sum(entry.circuits for entry in process.ledger()) == said.circuits


def test_a_budget_counts_the_dearer_reading(emulate: Emulate, connect: Connect) -> None:
    with emulate() as process:
        account = Account(Budget(usd=30.0))
        executor = Executor(connect(process, "qpu"), account=account)
        with pytest.raises(BudgetExceededError, match="the budget is 30 USD"):
            asyncio.run(executor.run((batch_of(1, shots=10),)))  # two circuits: 25.79 USD, or 51.58
        assert process.ledger() == ()
        fixed = Executor(connect(process, "qpu", minimum="per_job"), account=account)
        asyncio.run(fixed.run((batch_of(1, shots=10),)))
        assert account.spent.usd_high == pytest.approx(25.7899)
