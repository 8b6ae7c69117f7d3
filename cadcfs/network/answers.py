"""Connections whose answers have whole heads.

The standard library takes the end of a connection for the end of the headers. A head that broke
off would lack its range, or have half a checksum or address, and look like another file's.
"""

from __future__ import annotations

from http.client import HTTPResponse, RemoteDisconnected
from typing import Any

from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool


class _Lines:
    """A stream whose lines have their ends."""

    def __init__(self, stream: Any) -> None:  # noqa: ANN401
        self._stream = stream
        self._begun = False

    def readline(self, limit: int = -1) -> bytes:
        line: bytes = self._stream.readline(limit)
        # Nothing at all is told by the reader of the status line; what is too long, by all.
        if (line or self._begun) and not line.endswith(b"\n") and len(line) != limit:
            raise RemoteDisconnected("the answer broke off in its headers")
        self._begun = True
        return line

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401
        return getattr(self._stream, name)


class _Answer(HTTPResponse):
    def begin(self) -> None:
        stream: Any = self.fp
        lines: Any = _Lines(stream)
        self.fp = lines
        super().begin()
        if self.fp is lines:
            self.fp = stream


class _Connection(HTTPConnection):
    response_class = _Answer


class _SecureConnection(HTTPSConnection):
    response_class = _Answer


class _Pool(HTTPConnectionPool):
    ConnectionCls = _Connection


class _SecurePool(HTTPSConnectionPool):
    ConnectionCls = _SecureConnection


POOLS = {"http": _Pool, "https": _SecurePool}
"""What a `urllib3.PoolManager` makes its connections by (`pool_classes_by_scheme`)."""
