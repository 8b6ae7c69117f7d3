"""When to ask again: later each time, not in step with others, not before the service wants it."""

from __future__ import annotations

import random
import time
from datetime import datetime
from email.utils import parsedate_to_datetime

import trio

from cadcfs.errors import CadcfsError, Unavailable
from cadcfs.network.behind import is_behind

SHORT = 5.0
"""Seconds of a Retry-After that a caller is made to wait; what runs behind waits longer."""


def pause_before(attempt: int, exc: CadcfsError, step: float) -> float | None:
    """Seconds until the next attempt, within the time that is left; None for not any more.

    *step* is half of the longest first pause.
    """
    own = random.uniform(0.5, 1.0) * step * float(2**attempt)
    told = (exc.retry_after or 0.0) if isinstance(exc, Unavailable) else 0.0
    left = trio.current_effective_deadline() - trio.current_time()
    if told > (left if is_behind() else min(left, SHORT)):
        # To ask earlier than told would be rude, and nobody is to wait so long.
        return None
    pause = float(max(own, told * random.uniform(1.0, 1.1)))
    # What went wrong tells more than that the time was up.
    return pause if pause < left else None


def retry_after(header: str) -> float | None:
    """Seconds of a Retry-After header, which may also be a date (RFC 9110, 10.2.3)."""
    if header.strip().isdigit():
        return float(header)
    try:
        when: datetime = parsedate_to_datetime(header)
    except ValueError:
        return None
    return max(0.0, float(when.timestamp()) - time.time())
