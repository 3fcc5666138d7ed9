"""The suite is the test."""

import pytest
from qstore_tiny.backend import TinyBackend

from qstore_core.testing import BackendSuite


class TestTiny(BackendSuite):
    """Every check of a backend, on this one."""

    @pytest.fixture
    def make_backend(self):
        """What makes a backend."""
        return TinyBackend
