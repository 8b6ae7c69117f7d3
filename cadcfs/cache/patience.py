"""How long a reader waits for bytes, and how soon it asks again for what has just failed."""

from __future__ import annotations

import time
from collections.abc import Iterable

import trio

from cadcfs.cache.fetching import Fetch
from cadcfs.errors import CadcfsError, TimedOut

REMEMBERED = 2.0
"""Seconds that a failed range is answered with its error at once: the kernel repeats a failed
read-ahead as a read, and its caller would wait twice. So are all ranges after a wait in vain: the
kernel cuts one long read into several, one after the other."""


class Patience:
    """What one open file waits for. For the event loop only.

    Parameters
    ----------
    seconds
        Time without a byte before a read fails.
    """

    def __init__(self, key: str, seconds: float) -> None:
        self._key = key
        self._seconds = seconds
        self._failed: tuple[range, CadcfsError, float] | None = None

    def recall(self, blocks: range) -> None:
        """Raise what a read of some of *blocks* has just failed with, or of any in vain."""
        if self._failed is None:
            return
        failed, error, until = self._failed
        if time.monotonic() >= until:
            self._failed = None
            return
        if isinstance(error, TimedOut) or (
            failed.start < blocks.stop and blocks.start < failed.stop
        ):
            raise error

    def remember(self, blocks: range, error: CadcfsError) -> None:
        self._failed = blocks, error, time.monotonic() + REMEMBERED

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
