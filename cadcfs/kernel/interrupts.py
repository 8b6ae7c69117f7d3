"""^C and kill end a wait: the signals that are pending for whoever waits.

The kernel tells a FUSE daemon of an interrupt, but pyfuse3 does not hand it on, and the caller
stays in an uninterruptible sleep until it is answered. So what waits is looked at five times a
second: a fatal signal pending for the calling thread or its process (proc(5), SigPnd and ShdPnd)
ends that one wait with EINTR. Whoever else waits for the same answer is not disturbed.

Only what means "stop" counts. Timers, job control, and the SIGURG that Go's runtime sends itself
would otherwise break programs that expect local files. A signal whose default action ends the
process shows as a pending SIGKILL of each of its threads, so the rest of the deadly ones need not
be listed.
"""

from __future__ import annotations

import errno
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import trio
from pyfuse3 import FUSEError

PERIOD = 0.2
"""Seconds between two looks; the shell should be back within one."""

STOPPING = (signal.SIGHUP, signal.SIGINT, signal.SIGQUIT, signal.SIGTERM)


def _bit(number: int) -> int:
    return 1 << (number - 1)


_KILL = _bit(signal.SIGKILL)
_STOP = sum(_bit(number) for number in STOPPING)


class Interrupts:
    """Who waits, and on behalf of which thread. For the event loop only."""

    def __init__(self) -> None:
        self._waiting: dict[trio.CancelScope, int] = {}
        self._somebody = trio.Event()

    @contextmanager
    def waiting(self, pid: int, seconds: float) -> Iterator[None]:
        """Let what is inside take *seconds* at most, and end when *pid* is told to stop.

        Raises
        ------
        FUSEError
            EINTR: *pid* has a signal to see to.
        trio.TooSlowError
        """
        scope = trio.CancelScope()
        if pid > 0:
            self._waiting[scope] = pid
            self._somebody.set()
        try:
            with trio.fail_after(seconds), scope:
                yield
        finally:
            self._waiting.pop(scope, None)
        if scope.cancelled_caught:
            raise FUSEError(errno.EINTR)

    async def watch(self) -> None:
        """End the waits of those who are told to stop, for ever."""
        while True:
            await self._somebody.wait()
            await trio.sleep(PERIOD)
            told = {pid: told_to_stop(pid) for pid in set(self._waiting.values())}
            for scope, pid in self._waiting.items():
                # Who came to wait since then is looked at in the next round.
                if told.get(pid):
                    scope.cancel()
            if not self._waiting:
                self._somebody = trio.Event()


def told_to_stop(pid: int) -> bool:
    """True when a signal that means "stop" is pending; False for what cannot be seen.

    *pid* is a thread. What it blocks or ignores does not count.
    """
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return False
    masks = {}
    for line in status.splitlines():
        name, _, value = line.partition(":")
        if name in ("SigPnd", "ShdPnd", "SigBlk", "SigIgn"):
            masks[name] = int(value, 16)
    pending = masks.get("SigPnd", 0) | masks.get("ShdPnd", 0)
    heeded = ~(masks.get("SigBlk", 0) | masks.get("SigIgn", 0))
    return bool(pending & _KILL or pending & _STOP & heeded)
