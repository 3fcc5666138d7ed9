"""The suites of caches and ansatze pass the built-in ones, and name what is wrong with others."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest

from qstore_core import CacheStatistics, HardwareEfficientAnsatz, MemoryCache, Parameter, RotationAnsatz, SqliteCache
from qstore_core.ansatz import Ansatz
from qstore_core.backend import BackendCapabilities
from qstore_core.cache import Cache
from qstore_core.circuit import QuantumCircuit
from qstore_core.testing import AnsatzSuite, CacheSuite, run_suite


class TestMemory(CacheSuite):
    @pytest.fixture
    def make_cache(self) -> type[MemoryCache]:
        return MemoryCache


class TestSqlite(CacheSuite):
    @pytest.fixture
    def make_cache(self, tmp_path: Path) -> Callable[[], Cache]:
        numbers = itertools.count()
        return lambda: SqliteCache(tmp_path / f"{next(numbers)}.sqlite")


class TestAnsatze(AnsatzSuite):
    @pytest.fixture(
        params=[
            HardwareEfficientAnsatz,
            RotationAnsatz,
            partial(HardwareEfficientAnsatz, entanglement="circular", reuploading=True),
        ],
        ids=["hardware efficient", "rotations", "re-uploading"],
    )
    def make_ansatz(self, request: pytest.FixtureRequest) -> Callable[[], Ansatz]:
        return request.param  # type: ignore[no-any-return]


class CacheMutant(MemoryCache):
    caught_by: ClassVar[str]


class Unordered(CacheMutant):
    caught_by = "test_answers_are_in_the_order_of_the_keys"

    async def get_many(self, keys: Sequence[str]) -> list[bytes | None]:
        found = dict(zip(sorted(keys), await super().get_many(sorted(keys)), strict=True))
        return list(found.values())


class CutsKeys(CacheMutant):
    caught_by = "test_keys_are_told_apart_by_every_character"

    async def get_many(self, keys: Sequence[str]) -> list[bytes | None]:
        return await super().get_many([key[:32] for key in keys])

    async def put_many(self, items: Mapping[str, bytes]) -> None:
        await super().put_many({key[:32]: value for key, value in items.items()})


class KeepsText(CacheMutant):
    caught_by = "test_what_was_put_is_there"

    async def put_many(self, items: Mapping[str, bytes]) -> None:
        await super().put_many({key: value.decode(errors="ignore").encode() for key, value in items.items()})


class NeverReplaces(CacheMutant):
    caught_by = "test_a_later_value_takes_the_place_of_an_earlier_one"

    async def put_many(self, items: Mapping[str, bytes]) -> None:
        known = await super().get_many(list(items))
        await super().put_many({key: items[key] for key, value in zip(items, known, strict=True) if value is None})


class HasALength(CacheMutant):
    caught_by = "test_an_empty_cache_is_still_a_cache"

    def __len__(self) -> int:
        return self.stats().entries


class ForgetsToClear(CacheMutant):
    caught_by = "test_clearing_leaves_nothing"

    async def clear(self) -> None:
        pass


class CountsNothing(CacheMutant):
    caught_by = "test_statistics_count_hits_and_misses"

    def stats(self) -> CacheStatistics:
        return CacheStatistics()


class KeepsNothing(CacheMutant):
    caught_by = "test_it_keeps_a_few_values"

    async def put_many(self, items: Mapping[str, bytes]) -> None:
        pass


class RaisesForUnknownKeys(CacheMutant):
    caught_by = "test_what_was_not_put_is_none"

    async def get_many(self, keys: Sequence[str]) -> list[bytes | None]:
        found = await super().get_many(keys)
        if None in found:
            raise KeyError(keys[0])
        return found


@pytest.mark.parametrize("mutant", CacheMutant.__subclasses__(), ids=lambda mutant: mutant.__name__)
def test_a_wrong_cache_is_caught_by_the_check_of_its_fault(mutant: type[CacheMutant]) -> None:
    outcomes = {each.name: each for each in run_suite(CacheSuite(), make_cache=mutant)}
    assert outcomes[mutant.caught_by].state == "failed"


class AnsatzMutant:
    caught_by: ClassVar[str]

    def circuit(self, *arguments: Any) -> QuantumCircuit:
        return self.changed(HardwareEfficientAnsatz().circuit(*arguments), *arguments)

    def changed(self, circuit: QuantumCircuit, *arguments: Any) -> Any:
        return circuit


class TooWide(AnsatzMutant):
    caught_by = "test_it_gives_a_circuit_of_the_width_asked_for"

    def circuit(self, n_qubits: int, *arguments: Any) -> QuantumCircuit:
        return super().circuit(n_qubits + 1, *arguments)


class LosesInputs(AnsatzMutant):
    caught_by = "test_every_input_has_a_feature"

    def circuit(self, n_qubits: int, depth: int, n_features: int, capabilities: BackendCapabilities) -> QuantumCircuit:
        return super().circuit(n_qubits, depth, min(1, n_features), capabilities)


class NothingToTrain(AnsatzMutant):
    caught_by = "test_it_has_parameters_and_each_turns_a_gate"

    def changed(self, circuit: QuantumCircuit, *arguments: Any) -> QuantumCircuit:
        return circuit.bind(dict.fromkeys(circuit.parameters, 0.1))


class AnotherEachTime(AnsatzMutant):
    caught_by = "test_the_same_arguments_give_the_same_circuit"

    def changed(self, circuit: QuantumCircuit, *arguments: Any) -> QuantumCircuit:
        extra = "rx" if np.random.default_rng().random() < 0.5 else "rz"
        return circuit.append(extra, 0, Parameter("extra"))


class ShallowerWithDepth(AnsatzMutant):
    caught_by = "test_depth_does_not_make_it_smaller"

    def circuit(self, n_qubits: int, depth: int, *arguments: Any) -> QuantumCircuit:
        return super().circuit(n_qubits, max(1, 4 - depth), *arguments)


class BreaksWithoutDepth(AnsatzMutant):
    caught_by = "test_it_refuses_what_cannot_be"

    def circuit(self, n_qubits: int, depth: int, *arguments: Any) -> QuantumCircuit:
        assert 1 / depth
        return super().circuit(n_qubits, depth, *arguments)


class CannotLearn(AnsatzMutant):
    caught_by = "test_a_model_with_it_answers_and_can_learn"

    def circuit(self, n_qubits: int, depth: int, n_features: int, capabilities: BackendCapabilities) -> QuantumCircuit:
        kinds = HardwareEfficientAnsatz().circuit(n_qubits, depth, n_features, capabilities).operations
        turned = [replace(each, name="rz") if each.angle is not None else each for each in kinds]
        return QuantumCircuit(n_qubits, tuple(turned))


@pytest.mark.parametrize("mutant", AnsatzMutant.__subclasses__(), ids=lambda mutant: mutant.__name__)
def test_a_wrong_ansatz_is_caught_by_the_check_of_its_fault(mutant: type[AnsatzMutant]) -> None:
    outcomes = {each.name: each for each in run_suite(AnsatzSuite(), make_ansatz=mutant)}
    assert outcomes[mutant.caught_by].state == "failed"
