"""How long an HTTP answer asks to wait."""

from __future__ import annotations

import time
from email.utils import parsedate_to_datetime


def seconds_to_wait(retry_after: str | None) -> float | None:
    """Seconds from now, from the number or the HTTP date in a header `Retry-After`.

    >>> seconds_to_wait("7"), seconds_to_wait("soon")
    (7.0, None)
    """
    if retry_after is None:
        return None
    try:
        return max(0.0, float(retry_after))
    except ValueError:
        pass
    try:
        return max(0.0, parsedate_to_datetime(retry_after).timestamp() - time.time())
    except ValueError:
        return None
