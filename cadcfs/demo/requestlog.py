"""What the embedded archive was asked: the last requests, for tests, benchmarks and the curious."""

from __future__ import annotations

import json
import time
from collections import Counter, deque
from collections.abc import MutableMapping
from dataclasses import asdict, dataclass
from itertools import count
from pathlib import Path
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

_KEPT = 20_000
_QUERY_KEY = "cadcfs.adql"
_CONTROL = "/demo/requests"


@dataclass(frozen=True, slots=True)
class RequestRecord:
    """One request and how it was answered."""

    number: int
    method: str
    path: str
    query: str
    adql: str | None
    range: str | None
    status: int
    bytes_sent: int
    seconds: float
    user_agent: str | None

    @property
    def kind(self) -> str:
        """Name the service that was asked: registry, capabilities, tap, locate or bytes."""
        return kind_of(self.path)


def kind_of(path: str) -> str:
    """Sort a path by service."""
    if path.startswith("/reg/"):
        return "registry"
    if path.endswith(("/capabilities", "/availability")):
        return "capabilities"
    for start, kind in (
        ("/argus/", "tap"),
        ("/raven/files/", "locate"),
        ("/minoc/files/", "bytes"),
    ):
        if path.startswith(start):
            return kind
    return "other"


def note_query(scope: MutableMapping[str, Any], adql: str | None) -> None:
    """Leave a query's text where the log finds it."""
    scope[_QUERY_KEY] = adql


class RequestLog:
    """Keeps the last requests in memory and, if asked, all of them in a file of JSON lines."""

    def __init__(self, path: Path | None = None, *, kept: int = _KEPT) -> None:
        """Start an empty log."""
        self._records: deque[RequestRecord] = deque(maxlen=kept)
        self._numbers = count(1)
        self._file = path.open("a", encoding="utf-8", buffering=1) if path else None

    def records(self) -> tuple[RequestRecord, ...]:
        """Return the requests, oldest first."""
        return tuple(self._records)

    def counts(self) -> dict[str, int]:
        """Return how many requests each kind of service got."""
        return dict(Counter(record.kind for record in self._records))

    def clear(self) -> None:
        """Forget all requests; numbers go on."""
        self._records.clear()

    def close(self) -> None:
        """Close the file, if there is one."""
        if self._file is not None:
            self._file.close()
            self._file = None

    def add(self, scope: Scope, status: int, sent: int, seconds: float) -> None:
        """Record an answered request."""
        headers = {key: value.decode("latin-1") for key, value in scope["headers"]}
        record = RequestRecord(
            number=next(self._numbers),
            method=scope["method"],
            path=scope["path"],
            query=scope["query_string"].decode("latin-1"),
            adql=scope.get(_QUERY_KEY),
            range=headers.get(b"range"),
            status=status,
            bytes_sent=sent,
            seconds=round(seconds, 6),
            user_agent=headers.get(b"user-agent"),
        )
        self._records.append(record)
        if self._file is not None:
            self._file.write(json.dumps(asdict(record)) + "\n")

    def routes(self) -> list[Route]:
        """Return the routes that show and clear the log."""
        return [Route(_CONTROL, self._control, methods=["GET", "DELETE"])]

    async def _control(self, request: Request) -> Response:
        if request.method == "DELETE":
            self.clear()
            return Response(status_code=204)
        return JSONResponse([asdict(record) for record in self._records])


class RequestLogMiddleware:
    """Watches every request but those to the log itself."""

    def __init__(self, app: ASGIApp, log: RequestLog) -> None:
        """Wrap an application."""
        self._app = app
        self._log = log

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on and record its answer, also one that breaks off."""
        if scope["type"] != "http" or scope["path"] == _CONTROL:
            await self._app(scope, receive, send)
            return
        begun = time.monotonic()
        status = sent = 0
        recorded = False

        def record() -> None:
            nonlocal recorded
            if not recorded:
                recorded = True
                self._log.add(scope, status, sent, time.monotonic() - begun)

        async def watch(message: Message) -> None:
            nonlocal status, sent
            if message["type"] == "http.response.start":
                status = message["status"]
            elif message["type"] == "http.response.body":
                sent += len(message.get("body", b""))
                if not message.get("more_body", False):
                    # Before the last bytes go out: whoever has the answer finds it in the log.
                    record()
            await send(message)

        try:
            await self._app(scope, receive, watch)
        finally:
            record()
