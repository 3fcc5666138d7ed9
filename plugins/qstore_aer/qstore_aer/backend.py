"""Where the Aer backend will be; until then it says what to use instead."""

from __future__ import annotations

from qstore_core.errors import CapabilityError


class AerBackend:
    """A backend that is not built yet: making one raises `CapabilityError`."""

    def __init__(self, **options: object) -> None:
        raise CapabilityError(
            "the aer backend is not built yet: qstore-aer only holds its name; use the mock backend, which is exact, "
            "sampled or noisy too: get_backend('mock')"
        )
