"""One load under way, and who waits for it."""

from __future__ import annotations

import logging
import time

import trio

from cadcfs.errors import Pending

log = logging.getLogger(__name__)

MARGIN = 0.25
"""Seconds before a caller's deadline in which it can still be told in words."""


class Flight:
    """A load; it ends with the last one who waits for it, unless it goes on behind."""

    def __init__(self) -> None:
        self.done = trio.Event()
        self.since = time.time()
        self.error: Exception | None = None
        self.scope = trio.CancelScope()
        self.is_wanted = True
        self.behind = False
        self.waiting = 0

    async def wait(self, key: str, patience: float) -> None:
        """Wait within *patience* and within the deadline of the call that asks.

        Raises
        ------
        Pending
            It needs longer, and goes on behind.
        Exception
            What the load raised.
        """
        left = trio.current_effective_deadline() - trio.current_time() - MARGIN
        seconds = max(0.0, min(patience, left))
        self.waiting += 1
        try:
            with trio.move_on_after(seconds):
                await self.done.wait()
        except trio.Cancelled:
            # Interrupted. The last one to go takes the question along.
            if self.waiting == 1 and not self.behind:
                log.info("nobody waits any more, the question is withdrawn: %s", key)
                self.is_wanted = False
                self.scope.cancel()
            raise
        finally:
            self.waiting -= 1
        if not self.done.is_set():
            self.behind = True
            raise Pending(f"no answer within {seconds:.3g} s; it is being fetched: {key}")
        if self.error is not None:
            raise self.error
