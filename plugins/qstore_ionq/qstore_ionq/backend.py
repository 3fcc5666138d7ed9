"""Where the IonQ backend will be; until then it says what to use instead."""

from __future__ import annotations

from qstore_core.errors import CapabilityError


class IonQBackend:
    """A backend that is not built yet: making one raises `CapabilityError`."""

    def __init__(self, **options: object) -> None:
        raise CapabilityError(
            "the ionq backend is not built yet: qstore-ionq only holds its names and sends nothing; use the mock "
            "backend instead: get_backend('mock')"
        )
