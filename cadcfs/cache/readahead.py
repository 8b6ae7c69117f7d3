"""How far ahead to fetch: decided from the reads so far; pure, does nothing itself."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

RUN = 512 * 1024
"""Bytes in sequence before anything is fetched ahead: a header must not cost more than itself."""
READS = 3
"""Reads that a run has at least: two neighbours are no direction."""
NEAR = 512 * 1024
"""Bytes that a read may jump and still continue a run: the kernel's own read-ahead reorders."""
LARGEST = 16 << 20
"""Bytes of the largest window ..."""
LARGEST_SLOW = 32 << 20
"""... and where streams are slow: twice what goes side by side, so that none of them waits."""
CURSORS = 2
"""Runs followed at once, so that two readers of one file do not fight."""


@dataclass(eq=False)
class Cursor:
    """One run: where it began, how far it has come, and up to where is here or under way."""

    start: int
    end: int
    reads: int = 1
    ahead: int = 0
    fetches: set[Any] = field(default_factory=set)
    """What is under way for this run alone."""

    def window(self, *, slow: bool) -> int:
        """Bytes beyond the end that are worth fetching now.

        Half of what the run has covered: 256 KiB at first, and a reader who stops has wasted half
        as much as it read. All of it where streams are slow, for the round trips to come.
        """
        covered = self.end - self.start
        if covered < (RUN // 2 if slow else RUN) or self.reads < READS:
            return 0
        return min(covered, LARGEST_SLOW) if slow else min(covered // 2, LARGEST)


class ReadAhead:
    """Follows the reads of one open file."""

    def __init__(self) -> None:
        self._cursors: list[Cursor] = []

    def follow(self, offset: int, size: int) -> tuple[Cursor, Cursor | None]:
        """The run that a read belongs to, and the one that was given up for it."""
        for cursor in self._cursors:
            if cursor.start <= offset and cursor.end - NEAR <= offset <= cursor.end + NEAR:
                cursor.end = max(cursor.end, offset + size)
                cursor.reads += 1
                if cursor is not self._cursors[-1]:
                    # The most recent run is last; the oldest makes room for a new one.
                    self._cursors.remove(cursor)
                    self._cursors.append(cursor)
                return cursor, None
        left = self._cursors.pop(0) if len(self._cursors) == CURSORS else None
        self._cursors.append(Cursor(offset, offset + size))
        return self._cursors[-1], left

    def runs(self) -> tuple[Cursor, ...]:
        return tuple(self._cursors)
