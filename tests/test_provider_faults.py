"""Faults of simulated providers: drawn by seed and count, at the rates asked for, or at given moments."""

from __future__ import annotations

import pytest

from qstore_core.errors import ConfigurationError, UnknownNameError
from qstore_core.testing.provider.faults import (
    AFTER_ACCEPT,
    ANSWERS,
    BEFORE_ACCEPT,
    LOST,
    REQUESTS,
    SILENT,
    Fault,
    FaultOptions,
    FaultPlan,
)


class TestPlan:
    def test_draws_depend_on_the_seed_and_the_count_only(self) -> None:
        def drawn(seed: int) -> list[Fault | None]:
            plan = FaultPlan(FaultOptions(overall=0.5, seed=seed))
            return [plan.next("submit").fault for _ in range(100)]

        assert drawn(1) == drawn(1) != drawn(2)

    def test_rates_are_kept(self) -> None:
        """Each count is within 4.5 standard deviations, a false alarm in 10,000 seeds; the seed is fixed."""
        plan, n = FaultPlan(FaultOptions(overall=0.22, rates={Fault.DROP: 0.3}, seed=5)), 4000
        for _ in range(n):
            plan.next("submit")
        for fault in Fault:
            rate = 0.3 if fault is Fault.DROP else 0.22 / len(Fault)
            assert abs(plan.faults[fault.value] - n * rate) < 4.5 * (n * rate * (1 - rate)) ** 0.5

    def test_the_overall_rate_holds_for_every_kind_of_request(self) -> None:
        for request in REQUESTS:
            assert sum(FaultOptions(overall=0.1).chances(request).values()) == pytest.approx(0.1)

    def test_every_fault_has_an_answer_or_is_lost_or_belongs_to_the_job(self) -> None:
        of_jobs = {Fault.JOB_FAILS, Fault.JOB_CANCELLED, Fault.LATE_RESULTS}
        assert set(Fault) == BEFORE_ACCEPT | AFTER_ACCEPT | of_jobs
        assert LOST | set(ANSWERS) == BEFORE_ACCEPT | AFTER_ACCEPT
        assert SILENT < LOST

    def test_a_provider_may_have_requests_of_other_kinds(self) -> None:
        options = FaultOptions(overall=0.1, requests=("submit", "list"), forced={("list", 1): Fault.DROP})
        assert FaultPlan(options).next("list").fault is Fault.DROP
        with pytest.raises(UnknownNameError, match="Known: list, submit"):
            FaultOptions(requests=("submit", "list"), forced={("status", 1): Fault.DROP})

    @pytest.mark.parametrize(
        "options",
        [{"overall": 1.1}, {"rates": {Fault.DROP: 0.7, Fault.SILENCE: 0.7}}, {"rates": {Fault.DROP: -0.1}}],
    )
    def test_rates_that_cannot_be_are_refused(self, options: dict[str, object]) -> None:
        with pytest.raises(ConfigurationError, match="fault rates are at least 0 and at most 1 together"):
            FaultOptions(**options)  # type: ignore[arg-type]

    def test_moments_that_cannot_be_are_refused(self) -> None:
        with pytest.raises(UnknownNameError, match="unknown kind of request 'statu'; did you mean 'status'"):
            FaultOptions(forced={("statu", 1): Fault.DROP})
        with pytest.raises(ConfigurationError, match="drop-after-accept cannot strike status number 1"):
            FaultOptions(forced={("status", 1): Fault.DROP_AFTER_ACCEPT})
        with pytest.raises(ConfigurationError, match="drop cannot strike submit number 0"):
            FaultOptions(forced={("submit", 0): Fault.DROP})
