"""One request in a worker thread, and how it ends when nobody waits for it any more."""

from __future__ import annotations

import contextlib
import socket
import threading

from urllib3 import BaseHTTPResponse

BUSY = frozenset({408, 425, 429, 500, 502, 503, 504})
"""Statuses of a service that may answer later."""


class ReaderGoneError(Exception):
    """The reader went away; ends the thread, and nobody hears of it."""


class Errand:
    """One request in a thread, as seen by the task that waits for it."""

    def __init__(self) -> None:
        self._gone = threading.Event()
        self._response: BaseHTTPResponse | None = None

    def answered(self, response: BaseHTTPResponse) -> None:
        self._response = response
        self.check()

    @property
    def has_good_answer(self) -> bool:
        return self._response is not None and self._response.status not in BUSY

    def check(self) -> None:
        """End the thread if nobody waits any more."""
        if self._gone.is_set():
            raise ReaderGoneError

    def leave(self) -> None:
        """Nobody waits any more: a thread that waits for bytes wakes up and sees it."""
        self._gone.set()
        connection = None if self._response is None else self._response.connection
        plug = getattr(connection, "sock", None)
        if plug is not None:
            with contextlib.suppress(OSError):
                # Not the TLS socket's own shutdown, which would take its state from the thread.
                socket.socket.shutdown(plug, socket.SHUT_RDWR)
