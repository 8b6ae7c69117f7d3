"""raven and minoc: where a file is, and its bytes (CADC storage inventory; RFC 9110, section 14).

As at CADC: no ETag; one range `bytes=a-b` or `bytes=a-`; every other form is ignored.
"""

from __future__ import annotations

import os
import re
from datetime import UTC
from email.utils import parsedate_to_datetime
from urllib.parse import quote

import trio
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from cadcfs.demo.data.holdings import Holding, Holdings, is_legal, token_for

_CHUNK = 512 * 1024
_RANGE = re.compile(r"bytes=(\d+)-(\d*)")
_IN_PATHS = "/:+,;=@!$&'()*~"


class FileService:
    """Serves `/raven/files` and `/minoc/files`."""

    def __init__(self, holdings: Holdings, limiter: trio.CapacityLimiter) -> None:
        """Serve what the holdings know."""
        self._holdings = holdings
        self._limiter = limiter

    def routes(self) -> list[Route]:
        """Return the routes of both services."""
        return [
            Route("/raven/files/{uri:path}", self._raven, methods=["GET", "HEAD"]),
            Route("/minoc/files/{uri:path}", self._minoc, methods=["GET", "HEAD"]),
        ]

    async def _raven(self, request: Request) -> Response:
        uri = request.path_params["uri"]
        found = await self._find(uri, granted=False, missing=_missing(request, uri))
        if isinstance(found, Response):
            return found
        if request.method == "HEAD":
            return Response(headers={**found.headers(), "Server": "storage-inventory/raven-1.0"})
        address = f"{request.base_url}minoc/files/{token_for(uri)}/{quote(uri, safe=_IN_PATHS)}"
        query = f"?{request.url.query}" if request.url.query else ""
        return Response(status_code=303, headers={"Location": address + query})

    async def _minoc(self, request: Request) -> Response:
        path = request.path_params["uri"]
        token, _, uri = path.partition("/")
        granted = "~" in token and ":" not in token
        if not granted:
            uri = path
        elif token != token_for(uri):
            return PlainTextResponse("permission denied: invalid auth token", 403)
        found = await self._find(uri, granted=granted, missing=f"not found: {uri}")
        return found if isinstance(found, Response) else _body(request, found)

    async def _find(self, uri: str, *, granted: bool, missing: str) -> Holding | Response:
        if not is_legal(uri):
            return PlainTextResponse(f"illegal artifact URI: {uri}", 400)

        def look_up() -> tuple[Holding | None, bool]:
            holding = self._holdings.find(uri)
            return holding, granted or holding is None or self._holdings.is_public(uri)

        holding, allowed = await trio.to_thread.run_sync(look_up, limiter=self._limiter)
        if holding is None:
            return PlainTextResponse(missing, 404)
        return holding if allowed else PlainTextResponse("permission denied", 403)


def _missing(request: Request, uri: str) -> str:
    return uri if request.method == "HEAD" else f"not available: {uri}"


def _body(request: Request, holding: Holding) -> Response:
    headers = {**holding.headers(), "Server": "storage-inventory/minoc-1.0"}
    span = requested_range(request.headers.get("range"))
    if span is None:
        if _unchanged(request.headers.get("if-modified-since"), holding):
            del headers["Content-Length"]
            return Response(status_code=304, headers=headers)
        return FileBody(holding, 0, holding.length, 200, headers)
    first, last = span
    if first >= holding.length:
        return PlainTextResponse(
            "range not satisfiable", 416, {"Content-Range": f"bytes */{holding.length}"}
        )
    end = holding.length if last is None else min(last + 1, holding.length)
    headers["Content-Length"] = str(end - first)
    headers["Content-Range"] = f"bytes {first}-{end - 1}/{holding.length}"
    return FileBody(holding, first, end, 206, headers)


def requested_range(header: str | None) -> tuple[int, int | None] | None:
    """Read a Range header; None stands for no range and for every form that is ignored."""
    match = _RANGE.fullmatch(header.strip()) if header else None
    if match is None:
        return None
    first, last = int(match[1]), int(match[2]) if match[2] else None
    return None if last is not None and last < first else (first, last)


def _unchanged(header: str | None, holding: Holding) -> bool:
    if header is None:
        return False
    try:
        since = parsedate_to_datetime(header)
    except ValueError:
        return False
    if since.tzinfo is None:
        since = since.replace(tzinfo=UTC)
    return holding.modified <= since


class FileBody(Response):
    """Streams a part of a file in large pieces, read in a thread ahead of what is sent."""

    def __init__(
        self, holding: Holding, start: int, end: int, status: int, headers: dict[str, str]
    ) -> None:
        """Answer with the bytes from start up to end."""
        super().__init__(status_code=status, headers=headers)
        self._path, self._start, self._end = holding.path, start, end

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
