"""How far ahead to fetch: decided from the reads so far; pure, does nothing itself."""

from __future__ import annotations

from dataclasses import dataclass

RUN = 512 * 1024
"""Bytes in sequence before anything is fetched ahead: a header must not cost more than itself."""
NEAR = 512 * 1024
"""Bytes that a read may jump and still continue a run: the kernel's own read-ahead reorders."""
LARGEST = 16 << 20
"""Bytes of the largest window."""
CURSORS = 2
"""Runs followed at once, so that two readers of one file do not fight."""


@dataclass
class Cursor:
    """One run: where it began and how far it has come, in bytes."""

    start: int
    end: int


class ReadAhead:
    """Follows the reads of one open file."""

    def __init__(self) -> None:
        self._cursors: list[Cursor] = []

    def window(self, offset: int, size: int) -> int:
        """Note a read; how many bytes beyond its end are worth fetching now.

        Never more than the run has consumed, so that a reader who stops wastes at most as much.
        """
        cursor = self._follow(offset, size)
        consumed = cursor.end - cursor.start
        return min(consumed, LARGEST) if consumed >= RUN else 0

    def _follow(self, offset: int, size: int) -> Cursor:
        for cursor in self._cursors:
            if cursor.end - NEAR <= offset <= cursor.end + NEAR and offset >= cursor.start:
                cursor.end = max(cursor.end, offset + size)
                # The most recent run is last; the oldest makes room for a new one.
                self._cursors.remove(cursor)
                self._cursors.append(cursor)
                return cursor
        cursor = Cursor(offset, offset + size)
        self._cursors = [*self._cursors[-(CURSORS - 1) :], cursor]
        return cursor
