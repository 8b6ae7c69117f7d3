"""Bodies of answers that are read or made in threads, piece by piece, while they are sent."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import trio
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

_CHUNK = 512 * 1024


class FileBody(Response):
    """Streams a part of a file in large pieces."""

    def __init__(
        self, path: Path, start: int, end: int, status: int, headers: dict[str, str]
    ) -> None:
        """Answer with the bytes from start up to end."""
        super().__init__(status_code=status, headers=headers)
        self._path, self._start, self._end = path, start, end

    async def __call__(self, scope: Scope, _receive: Receive, send: Send) -> None:
        """Send the head and, unless it is a HEAD request, the bytes."""
        begin = {"type": "http.response.start", "status": self.status_code}
        if scope["method"] == "HEAD" or self._start == self._end:
            await send({**begin, "headers": self.raw_headers})
            await send({"type": "http.response.body", "body": b""})
            return
        file = await trio.to_thread.run_sync(os.open, self._path, os.O_RDONLY)
        try:
            await send({**begin, "headers": self.raw_headers})
            place = self._start
            while place < self._end:
                size = min(_CHUNK, self._end - place)
                piece = await trio.to_thread.run_sync(os.pread, file, size, place)
                if not piece:
                    raise EOFError(f"{self._path} is shorter than the inventory says")
                place += len(piece)
                more = place < self._end
                await send({"type": "http.response.body", "body": piece, "more_body": more})
        finally:
            os.close(file)


class MadeBody(Response):
    """Streams what an iterator makes; its length is not known before its end."""

    def __init__(
        self, content: Iterator[bytes], limiter: trio.CapacityLimiter, headers: dict[str, str]
    ) -> None:
        """Answer with what the iterator yields, each piece made in a thread."""
        super().__init__(headers=headers)
        self._content, self._limiter = content, limiter
        del self.headers["content-length"]

    async def __call__(self, scope: Scope, _receive: Receive, send: Send) -> None:
        """Send the head and the bytes; what fails before the first of them is raised.

        A HEAD request makes no more than the first piece, to know that there is one.
        """
        body = {"type": "http.response.body", "more_body": True}
        try:
            piece = await self._next()
            await send(
                {
                    "type": "http.response.start",
                    "status": self.status_code,
                    "headers": self.raw_headers,
                }
            )
            while piece is not None and scope["method"] != "HEAD":
                await send({**body, "body": piece})
                piece = await self._next()
            await send({**body, "body": b"", "more_body": False})
        finally:
            close = getattr(self._content, "close", None)
            if close is not None:
                with trio.CancelScope(shield=True):
                    await trio.to_thread.run_sync(close)

    async def _next(self) -> bytes | None:
        return await trio.to_thread.run_sync(next, self._content, None, limiter=self._limiter)
