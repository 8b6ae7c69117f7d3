"""Where log lines go: standard error in the foreground, a file behind, and a short memory of both.

One line per event that an operator can act on: what, where, what to do.
"""

from __future__ import annotations

import logging
from collections import deque
from pathlib import Path

LINE = "%(asctime)s %(levelname)s %(name)s: %(message)s"


class RecentLines(logging.Handler):
    """The last lines at INFO and above, for `.cadcfs/log`."""

    def __init__(self, lines: int = 500) -> None:
        super().__init__(logging.INFO)
        self.setFormatter(logging.Formatter(LINE))
        self._lines: deque[str] = deque(maxlen=lines)

    def emit(self, record: logging.LogRecord) -> None:
        self._lines.append(self.format(record))

    def text(self) -> str:
        return "".join(f"{line}\n" for line in tuple(self._lines))


def start(file: Path | None = None, *, level: int = logging.INFO) -> RecentLines:
    """Send the package's log to *file*, or to standard error without one."""
    recent = RecentLines()
    handler: logging.Handler
    if file is None:
        handler = logging.StreamHandler()
    else:
        file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        handler = logging.FileHandler(file)
    handler.setFormatter(logging.Formatter(LINE))
    logger = logging.getLogger("cadcfs")
    logger.setLevel(level)
    logger.addHandler(handler)
    logger.addHandler(recent)
    return recent
