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
    """One run: where it began, how far it has come, and how many bytes of it were read."""

    start: int
    end: int
    consumed: int
    known_here: int = 0
    """Up to where everything is here or under way, so that a hit need not look again."""


class ReadAhead:
    """Follows the reads of one open file."""

    def __init__(self) -> None:
        self._cursors: list[Cursor] = []

    def window(self, offset: int, size: int) -> tuple[Cursor, int]:
        """Note a read; its run, and how many bytes beyond its end are worth fetching now.

        Never more than the run has read, so that a reader who stops wastes at most as much.
        """
        cursor = self._follow(offset, size)
        return cursor, min(cursor.consumed, LARGEST) if cursor.consumed >= RUN else 0

    def _follow(self, offset: int, size: int) -> Cursor:
        for cursor in self._cursors:
            if cursor.end - NEAR <= offset <= cursor.end + NEAR and offset >= cursor.start:
                cursor.consumed += max(0, offset + size - max(cursor.end, offset))
                cursor.end = max(cursor.end, offset + size)
                # The most recent run is last; the oldest makes room for a new one.
                self._cursors.remove(cursor)
                self._cursors.append(cursor)
                return cursor
        cursor = Cursor(offset, offset + size, size)
        self._cursors = [*self._cursors[-(CURSORS - 1) :], cursor]
        return cursor
