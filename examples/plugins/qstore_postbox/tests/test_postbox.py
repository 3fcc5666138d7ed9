"""The suite, with money that is not real."""

from functools import partial

import pytest
from qstore_postbox.backend import PostboxBackend

from qstore_core.testing import BackendSuite


class TestPostbox(BackendSuite):
    """Every check of a backend, on this one."""

    max_usd = 1000.0  # nothing is charged: the provider is a folder

    @pytest.fixture
    def make_backend(self, tmp_path):
        """What makes a backend, in this process or another one."""
        return partial(PostboxBackend, folder=tmp_path, queue=0.05)
