"""The conformance suite of backends."""

from __future__ import annotations

from qstore_core.testing.backend_contract import ContractChecks
from qstore_core.testing.backend_jobs import JobChecks
from qstore_core.testing.backend_rows import RowChecks
from qstore_core.testing.backend_shots import ShotChecks
from qstore_core.testing.backend_values import ValueChecks


class BackendSuite(ContractChecks, ValueChecks, RowChecks, ShotChecks, JobChecks):
    """Every check of a backend; fill in the fixture `make_backend` with what makes one.

    Values are compared with an exact reference, to 1e-9 where the backend is exact, else to what the shots allow.
    Each check fails by chance at most once in a million runs; where outcomes follow their labels it always passes or
    never. Checks that a backend's capabilities rule out are skipped with the reason.

    >>> from qstore_core.testing import ReferenceBackend, run_suite
    >>> outcomes = run_suite(BackendSuite(), make_backend=ReferenceBackend)
    >>> sorted({outcome.state for outcome in outcomes})
    ['passed', 'skipped']
    """
