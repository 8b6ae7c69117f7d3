"""MD5 of a whole file, taken as its bytes arrive, so that nothing is read twice for it."""

from __future__ import annotations

import hashlib
import threading
from collections import deque
from collections.abc import Callable
from concurrent.futures import Executor

PENDING = 16 << 20
"""Bytes that may wait to be digested; whoever brings more waits, too."""
PIECE = 1 << 20
"""Bytes read back at once where bytes did not come in order ..."""
LEAST_PIECE = 64 * 1024
"""... or where not so many are here."""

ReadBack = Callable[[int, int], bytes | None]
"""(offset, size) -> the bytes if they are here."""


class WholeCheck:
    """Digests one file from its beginning, in a thread of *executor*.

    *at_end* hears of the whole's MD5 when the last byte was digested in that thread.
    """

    def __init__(
        self, size: int, executor: Executor, read_back: ReadBack, at_end: Callable[[str], None]
    ) -> None:
        self._at_end = at_end
        self._size = size
        self._executor = executor
        self._read_back = read_back
        self._state = threading.Condition()
        self._digest = hashlib.md5(usedforsecurity=False)
        self._pending: deque[bytes | memoryview] = deque()
        self._queued = 0
        self._position = 0
        self._running = False

    @property
    def queued(self) -> int:
        """Bytes from the beginning that are digested, or will be."""
        return self._queued

    @property
    def position(self) -> int:
        """Bytes from the beginning that are digested."""
        return self._position

    def feed(self, offset: int, content: bytes | memoryview) -> None:
        """Take bytes that have arrived; those that are not next are read back later."""
        with self._state:
            if offset == self._queued:
                self._state.wait_for(lambda: self._queued - self._position <= PENDING)
            # Once more: it may have been read back meanwhile.
            if offset == self._queued:
                self._pending.append(content)
                self._queued += len(content)
            elif not self._queued or self._running or not self._read_back(self._queued, 1):
                return
            if self._running:
                return
            self._running = True
        try:
            self._executor.submit(self._run)
        except RuntimeError:
            # The interpreter ends and waits for threads that still read: who brings, digests.
            self._run()

    def result(self, rest: ReadBack) -> str | None:
        """The whole's MD5, in hexadecimal; what did not come in order is read with *rest*.

        None where not all of it is here.
        """
        with self._state:
            self._state.wait_for(lambda: not self._running)
            while self._position < self._size:
                content = rest(self._position, min(PIECE, self._size - self._position))
                if not content:
                    return None
                self._update(content)
            return self._digest.hexdigest()

    def restart(self) -> None:
        """Forget all that was taken."""
        with self._state:
            self._state.wait_for(lambda: not self._running)
            self._digest = hashlib.md5(usedforsecurity=False)
            self._queued = self._position = 0

    def _update(self, content: bytes | memoryview) -> None:
        self._digest.update(content)
        self._position += len(content)
        self._queued = max(self._queued, self._position)

    def _run(self) -> None:
        while True:
            content = self._next()
            if content is None:
                break
            self._digest.update(content)
            with self._state:
                self._position += len(content)
                self._state.notify_all()

        if self._position == self._size:
            self._at_end(self._digest.hexdigest())

    def _next(self) -> bytes | memoryview | None:
        """What is to be digested now; None, and not running any more, if that has not come."""
        with self._state:
            if self._pending:
                return self._pending.popleft()
            found = None
            for piece in (PIECE, LEAST_PIECE) if self._position < self._size else ():
                found = found or self._read_back(self._position, piece)
            if found:
                # From now on these are not next any more for whoever brings them.
                self._queued = self._position + len(found)
            else:
                self._running = False
                self._state.notify_all()
            return found or None
