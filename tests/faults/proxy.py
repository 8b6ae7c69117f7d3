"""A TCP proxy between the mount and the archive, with faults of its own.

A thread of the test's process runs it; `fault` may be changed at any time, and counts for
connections that are open as well.
"""

from __future__ import annotations

import contextlib
import random
import re
import socket
import struct
import threading
import time
from dataclasses import dataclass, field

HOLE, REFUSE, RESET, STALL, SLOW, CUT, DOUBLE = (
    "hole", "refuse", "reset", "stall", "slow", "cut", "double",
)  # fmt: skip
FAULTS = (HOLE, REFUSE, RESET, STALL, SLOW, CUT, DOUBLE)
PIECE = 1024
"""Bytes a second of a slow line."""
_NOW_GONE = struct.pack("ii", 1, 0)


@dataclass
class Proxy:
    """Listens on a port of its own and hands bytes on to *target*."""

    target: int
    seed: int = 0
    only: str = ""
    """A regular expression: faults meet only connections whose first request's path has it."""
    connections: int = 0
    requests: int = 0
    _stopped: threading.Event = field(default_factory=threading.Event)

    def __post_init__(self) -> None:
        self._fault: str | None = None
        self.port = 0
        self._random = random.Random(self.seed)
        self._listen()

    @property
    def fault(self) -> str | None:
        return self._fault

    @fault.setter
    def fault(self, fault: str | None) -> None:
        before, self._fault = self._fault, fault
        if fault == REFUSE:
            self._deafen()
        elif before == REFUSE:
            self._listen()

    def stop(self) -> None:
        self._stopped.set()
        self._deafen()

    def _listen(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", self.port), backlog=512)
        self.port = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, args=(self._listener,), daemon=True).start()

    def _deafen(self) -> None:
        # A thread that waits in accept() would keep the port open.
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def _accept(self, listener: socket.socket) -> None:
        while not self._stopped.is_set():
            try:
                near, _ = listener.accept()
            except OSError:
                return
            self.connections += 1
            threading.Thread(target=self._serve, args=(near,), daemon=True).start()

    def _serve(self, near: socket.socket) -> None:
        with near:
            try:
                far = socket.create_connection(("127.0.0.1", self.target))
            except OSError:
                _reset(near)
                return
            with far:
                path = [""]
                back = threading.Thread(target=self._back, args=(far, near, path), daemon=True)
                back.start()
                self._there(near, far, path)
                back.join()

    def _there(self, near: socket.socket, far: socket.socket, path: list[str]) -> None:
        """Requests, from the mount to the archive."""
        try:
            while data := near.recv(1 << 16):
                if found := re.match(rb"[A-Z]+ (\S+) HTTP", data):
                    path[0] = found[1].decode()
                    self.requests += 1
                if self._met(path[0]) == HOLE:
                    self._wait_in_hole()
                    continue
                far.sendall(data)
        except OSError:
            pass
        _close(far, near)

    def _back(self, far: socket.socket, near: socket.socket, path: list[str]) -> None:
        """Answers, from the archive to the mount."""
        try:
            while data := far.recv(1 << 16):
                if not self._answer(near, data, self._met(path[0])):
                    break
        except OSError:
            pass
        _close(far, near)

    def _answer(self, near: socket.socket, data: bytes, fault: str | None) -> bool:
        half = len(data) // 2
        if fault in (HOLE, STALL):
            if fault == STALL:
                near.sendall(data[:half])
                data = data[half:]
            while self.fault == fault and not self._stopped.is_set():
                time.sleep(0.02)
            # What was swallowed by a hole stays lost.
            if fault == STALL:
                near.sendall(data)
            return fault == STALL
        if fault in (RESET, REFUSE):
            near.sendall(data[: self._random.randrange(half + 1)])
            _reset(near)
            return False
        if fault == CUT:
            near.sendall(data[: self._random.randrange(len(data))])
            return False
        if fault == SLOW:
            return self._slowly(near, data)
        near.sendall(data)
        if fault == DOUBLE:
            near.sendall(data[self._random.randrange(len(data)) :])
        return True

    def _slowly(self, near: socket.socket, data: bytes) -> bool:
        while data and self.fault == SLOW and not self._stopped.is_set():
            near.sendall(data[: PIECE // 10])
            data = data[PIECE // 10 :]
            time.sleep(0.1)
        near.sendall(data)
        return True

    def _wait_in_hole(self) -> None:
        while self.fault == HOLE and not self._stopped.is_set():
            time.sleep(0.02)

    def _met(self, path: str) -> str | None:
        return self.fault if not self.only or re.search(self.only, path) else None


def _reset(near: socket.socket) -> None:
    """Close with RST: what the other side has not read yet may be lost to it."""
    with contextlib.suppress(OSError):
        near.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _NOW_GONE)
        # Wakes the thread that reads from it.
        near.shutdown(socket.SHUT_RD)
    near.close()


def _close(*sockets: socket.socket) -> None:
    for each in sockets:
        try:
            each.shutdown(socket.SHUT_RDWR)
        except OSError:
            continue
