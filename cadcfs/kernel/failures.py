"""What went wrong last in each directory, for `.error`."""

from __future__ import annotations

import errno
import time
from collections import OrderedDict

from cadcfs.logs import redacted

MOST = 1000
"""Directories whose last failure is remembered."""


class Failures:
    """One line for each directory, by its key. For the event loop only."""

    def __init__(self) -> None:
        self._lines: OrderedDict[str, str] = OrderedDict()

    def note(self, directory: str, number: int, reason: str) -> None:
        """Remember that a call in *directory* failed with errno *number*."""
        when = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        name = errno.errorcode.get(number, str(number))
        self._lines[directory] = f"{when} {name}: {redacted(reason)}\n"
        self._lines.move_to_end(directory)
        while len(self._lines) > MOST:
            self._lines.popitem(last=False)

    def text(self, directory: str) -> str:
        """What went wrong last in *directory*; "" where nothing did."""
        return self._lines.get(directory, "")
