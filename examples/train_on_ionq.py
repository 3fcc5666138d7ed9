"""Train a small classifier on IonQ, with the price first and a cap that holds.

    python examples/train_on_ionq.py                  # rehearse: starts an emulator of the service, and costs nothing
    python examples/train_on_ionq.py --service        # the real service: needs IONQ_API_KEY, and asks before it pays

What is rehearsed is the whole run: jobs, queue, noise, prices and all. It prints what the run would cost on both
readings of the price list, trains under a budget, and prints what it did cost.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from qstore_core import (
    Budget,
    BudgetExceededError,
    Cost,
    QStoreError,
    QuantumModel,
    QuantumTrainer,
    TrainingConfig,
    get_backend,
)

QUBITS, SAMPLES = 4, 24


def data() -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    """Two overlapping clouds."""
    generator = np.random.default_rng(7)
    labels = generator.integers(0, 2, SAMPLES)
    return generator.normal(0.0, 0.5, (SAMPLES, QUBITS)) + 0.5 * (2 * labels[:, None] - 1), labels


@contextmanager
def place(*, service: bool, queue: float, minimum: str | None) -> Iterator[dict[str, Any]]:
    """Options that say where jobs go: to the real service, or to an emulator that lives as long as this program."""
    if service:
        yield {}
        return
    from qstore_ionq.emulator.process import emulator  # needs the extra `emulator`, which the service does not

    with emulator(queue=queue, circuit_seconds=0.01, minimum=minimum or "per_job") as running:
        print(f"An emulator of IonQ's service listens at {running.url}. No money is spent.")
        yield {"remote_host": running.url, "api_key": "emulator"}


def in_dollars(cost: Cost) -> str:
    readings = (
        f"{cost.usd_low:,.2f} to {cost.usd_high:,.2f}" if cost.usd_high > cost.usd_low else f"{cost.usd_low:,.2f}"
    )
    return f"{cost.circuits:,} circuits, {cost.shots:,} shots, {cost.jobs:,} jobs, {readings} USD"


def agreed(question: str) -> bool:
    return sys.stdin.isatty() and input(f"{question} [y/N] ").strip().lower() == "y"


def run(arguments: argparse.Namespace, options: dict[str, Any]) -> None:
    x, y = data()
    backend = get_backend("ionq.qpu", target=arguments.target, minimum=arguments.minimum, **options)
    asyncio.run(backend.open())  # asks for the account's own prices, and so tries the key
    model = QuantumModel(input_dim=QUBITS, n_qubits=QUBITS, output_dim=2, backend=backend)
    config = TrainingConfig(
        batch_size=8,
        epochs=arguments.epochs,
        gradient_method="spsa",
        learning_rate=0.1,
        shots_per_circuit=arguments.shots,
        budget=Budget(usd=arguments.budget),
        run_directory=arguments.run_directory,
        seed=7,
    )
    trainer = QuantumTrainer(config)
    estimate = trainer.estimate_cost(model, n_samples=SAMPLES)
    print(f"Prices:   {backend.prices.source}, {backend.prices.date}")
    print(f"One step: {in_dollars(estimate.step)}")
    print(f"The run:  {in_dollars(estimate.total)}; the budget is {arguments.budget:,.2f} USD")
    if arguments.service and not (arguments.yes or agreed("Go on, for money?")):
        print("Nothing was sent.")
        return
    try:
        for epoch in trainer.fit(model, x, y, resume=True):
            print(f"epoch {epoch.epoch}: loss {epoch.loss:.3f}, {epoch.usd:,.2f} USD")
    except BudgetExceededError as error:
        print(error)
    print(f"It cost:  {in_dollars(trainer.spent)}")
    model.backend = get_backend("ionq.simulator", **options)  # exact, and free
    exact = QuantumTrainer(TrainingConfig(shots_per_circuit=None), progress=False)
    print(f"accuracy on the ideal simulator: {exact.evaluate(model, x, y)['accuracy']:.2f}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--service", action="store_true", help="the real service, for money")
    parser.add_argument("--yes", action="store_true", help="do not ask before paying")
    parser.add_argument("--target", default="qpu.forte-1", help="the machine (default: %(default)s)")
    parser.add_argument("--minimum", choices=["per_job", "per_circuit"], help="what the least price is charged for")
    parser.add_argument("--shots", type=int, default=100, help="shots of a circuit (default: %(default)s)")
    parser.add_argument("--epochs", type=int, default=3, help="passes over the data (default: %(default)s)")
    parser.add_argument("--budget", type=float, default=700.0, help="USD for the whole run (default: %(default)s)")
    parser.add_argument("--queue", type=float, default=0.2, help="seconds that jobs wait in the emulator")
    parser.add_argument("--run-directory", type=Path, help="where the run is kept, and gone on with if it is there")
    arguments = parser.parse_args()
    try:
        with place(service=arguments.service, queue=arguments.queue, minimum=arguments.minimum) as options:
            run(arguments, options)
    except QStoreError as error:
        raise SystemExit(f"train_on_ionq: {error}") from error


if __name__ == "__main__":
    main()
