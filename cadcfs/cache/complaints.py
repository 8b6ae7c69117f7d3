"""What goes wrong with a cache's disk is told once in a while, not for each file."""

from __future__ import annotations

import logging
import time

PERIOD = 600.0
"""Seconds between two lines; between them trouble is seen at the level DEBUG."""


class Complaints:
    """Of one cache directory. For any thread."""

    def __init__(self) -> None:
        self._last = -PERIOD

    def tell(self, log: logging.Logger, words: str, *args: object) -> None:
        """Log *words* as a warning, if the last one is long ago."""
        now = time.monotonic()
        level = logging.DEBUG
        if now - self._last >= PERIOD:
            self._last, level = now, logging.WARNING
        log.log(level, words, *args)
