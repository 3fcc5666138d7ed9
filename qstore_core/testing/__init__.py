"""For the authors of plugins: suites that say whether a plugin is right, and what simulated providers are built from.

A suite is a class of tests with one fixture to fill in:

    import pytest
    from qstore_core.testing import BackendSuite

    class TestMine(BackendSuite):
        @pytest.fixture
        def make_backend(self):
            return MyBackend

pytest collects it like any class of tests; `qstore check-backend NAME` and `run_suite` run it without pytest, which
nothing here imports. What is not asked of a backend, because its capabilities say that it cannot, is skipped and the
reason said.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from qstore_core.testing.ansatz_suite import AnsatzSuite
    from qstore_core.testing.backend_suite import BackendSuite
    from qstore_core.testing.cache_suite import CacheSuite
    from qstore_core.testing.estimator_suite import GradientEstimatorSuite
    from qstore_core.testing.reference import ReferenceBackend
    from qstore_core.testing.runner import Outcome, run_suite
    from qstore_core.testing.store_suite import StoreSuite

__all__ = [
    "AnsatzSuite",
    "BackendSuite",
    "CacheSuite",
    "GradientEstimatorSuite",
    "Outcome",
    "ReferenceBackend",
    "StoreSuite",
    "run_suite",
]

_HOMES = {
    "AnsatzSuite": "ansatz_suite",
    "BackendSuite": "backend_suite",
    "CacheSuite": "cache_suite",
    "GradientEstimatorSuite": "estimator_suite",
    "Outcome": "runner",
    "ReferenceBackend": "reference",
    "StoreSuite": "store_suite",
    "run_suite": "runner",
}


def __getattr__(name: str) -> Any:  # a provider that uses `testing.provider` needs no suite
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
