"""How long a reader waits for bytes, and how soon it asks again for what has just failed."""

from __future__ import annotations

import time
from collections.abc import Iterable

import trio

from cadcfs.cache.fetching import Fetch
from cadcfs.errors import CadcfsError, TimedOut

REMEMBERED = 2.0
"""Seconds that what has failed is answered with its error at once, to whoever may have waited for
it: the kernel repeats a failed read-ahead as a read, cuts a long read into several, and has all
readers of a page wait for the first of them."""


class LastFailure:
    """What a read of one file has failed with the last time, and when (seconds, monotonic)."""

    def __init__(self) -> None:
        self.blocks = range(0)
        self.error: CadcfsError | None = None
        self.when = 0.0

    def note(self, blocks: range, error: CadcfsError) -> None:
        self.blocks, self.error, self.when = blocks, error, time.monotonic()

    def concerns(self, blocks: range) -> bool:
        """A wait in vain for some bytes is one for all of them."""
        overlaps = self.blocks.start < blocks.stop and blocks.start < self.blocks.stop
        return overlaps or isinstance(self.error, TimedOut)


class Patience:
    """What one open file waits for. For the event loop only.

    Parameters
    ----------
    seconds
        Time without a byte before a read fails.
    last
        What all who have the file open share.
    """

    def __init__(self, key: str, seconds: float, last: LastFailure) -> None:
        self._key = key
        self._seconds = seconds
        self._last = last
        self._opened = time.monotonic()

    def recall(self, blocks: range) -> None:
        """Raise what a read of some of *blocks* has just failed with.

        It may have been of another open file: this one's reader then waited for the same page.
        """
        last = self._last
        if last.error is None or last.when < self._opened:
            return
        if time.monotonic() < last.when + REMEMBERED and last.concerns(blocks):
            raise last.error

    def remember(self, blocks: range, error: CadcfsError) -> None:
        self._last.note(blocks, error)

    async def wait(self, progress: trio.Event, fetches: Iterable[Fetch], since: float) -> None:
        """Wait for *progress*, as long as bytes of *fetches* come now and then.

        Raises
        ------
        TimedOut
            None of them has had a byte for too long, nor since *since* (seconds, monotonic).
        """
        fetches = tuple(fetches)
        while not progress.is_set():
            heard = max((fetch.heard for fetch in fetches), default=0.0)
            left = max(heard, since) + self._seconds - time.monotonic()
            if left <= 0:
                raise TimedOut(f"{self._key}: no byte for {self._seconds:g} s")
            with trio.move_on_after(left):
                await progress.wait()
