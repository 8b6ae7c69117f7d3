"""What the embedded archive was asked, by whom, and how it answered.

The last requests are shown at `/demo/requests` as JSON; all of them can go to a text file, one
line each with tabs between the fields. Neither ever holds a secret: who asked is a name, and the
tokens of pre-authorised addresses are struck out.
"""

from __future__ import annotations

import fcntl
import re
import time
from collections import Counter, deque
from collections.abc import MutableMapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from itertools import count
from pathlib import Path
from typing import Any, TextIO
from urllib.parse import parse_qsl

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from cadcfs.demo.auth.caller import caller_of

_KEPT = 20_000
_QUERY_KEY = "cadcfs.adql"
_FAULTS_KEY = "cadcfs.faults"
_RUN_KEY = "cadcfs.run"
_CONTROL = "/demo/requests"
_OWN = "/demo/"
_TOKEN = re.compile(r"(?<=/files/)[A-Za-z0-9_-]+~[A-Za-z0-9_-]+(?=/)")
_LOGIN = "/ac/login"
_HEAD = "# time\tuser\tmethod\tstatus\tbytes\tseconds\trequest\trange\tfaults\tadql\n"


@dataclass(frozen=True, slots=True)
class RequestRecord:
    """One request and how it was answered.

    Bytes are those of the body that went out; seconds last until the end of the body. The user is
    None for anonymous callers. The time is UTC, when the request came in. Faults are what was
    done to the answer on request (`/demo/faults`). The run is the caller's RUNID, of a query or in
    the address.
    """

    number: int
    time: str
    user: str | None
    method: str
    path: str
    query: str
    adql: str | None
    range: str | None
    status: int
    bytes_sent: int
    seconds: float
    faults: tuple[str, ...]
    user_agent: str | None
    run_id: str | None

    @property
    def kind(self) -> str:
        """Name the service that was asked: registry, capabilities, tap, locate, bytes, ..."""
        return kind_of(self.path)


def kind_of(path: str) -> str:
    """Sort a path by service."""
    if path.startswith("/reg/"):
        return "registry"
    if path.endswith(("/capabilities", "/availability")):
        return "capabilities"
    return next((kind for start, kind in _KINDS if path.startswith(start)), "other")


_KINDS = (
    ("/argus/", "tap"),
    ("/raven/", "locate"),
    ("/minoc/", "bytes"),
    ("/uvic/minoc/", "bytes"),
    ("/caom2ops/datalink", "datalink"),
    ("/caom2ops/", "cutout"),
    ("/ac/", "login"),
    ("/cred/", "login"),
)


def note_query(
    scope: MutableMapping[str, Any], adql: str | None, run_id: str | None = None
) -> None:
    """Leave a query's text, and its RUNID, where the log finds them."""
    scope[_QUERY_KEY] = adql
    scope[_RUN_KEY] = run_id


def note_faults(scope: MutableMapping[str, Any], kind: str) -> None:
    """Leave what was done to an answer where the log finds it."""
    scope[_FAULTS_KEY] = (*scope.get(_FAULTS_KEY, ()), kind)


def without_secrets(path: str) -> str:
    """Strike the token out of a pre-authorised path."""
    return _TOKEN.sub("[token]", path)


class RequestLog:
    """Keeps the last requests in memory and, if asked, all of them in a text file."""

    def __init__(self, path: Path | None = None, *, kept: int = _KEPT) -> None:
        """Start an empty log."""
        self._records: deque[RequestRecord] = deque(maxlen=kept)
        self._numbers = count(1)
        self._file = _opened(path) if path else None

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
        begun = datetime.now(UTC) - timedelta(seconds=seconds)
        query = "" if scope["path"] == _LOGIN else scope["query_string"].decode("latin-1")
        record = RequestRecord(
            number=next(self._numbers),
            time=f"{begun:%Y-%m-%dT%H:%M:%S}.{begun.microsecond // 1000:03}Z",
            user=caller_of(scope).name,
            method=scope["method"],
            path=without_secrets(scope["path"]),
            query=query,
            adql=scope.get(_QUERY_KEY),
            range=headers.get(b"range"),
            status=status,
            bytes_sent=sent,
            seconds=round(seconds, 6),
            faults=scope.get(_FAULTS_KEY, ()),
            user_agent=headers.get(b"user-agent"),
            run_id=scope.get(_RUN_KEY) or _run_in(query),
        )
        self._records.append(record)
        if self._file is not None:
            self._file.write(_line(record))

    def routes(self) -> list[Route]:
        """Return the routes that show and clear the log."""
        return [Route(_CONTROL, self._control, methods=["GET", "DELETE"])]

    async def _control(self, request: Request) -> Response:
        if request.method == "DELETE":
            self.clear()
            return Response(status_code=204)
        return JSONResponse([asdict(record) for record in self._records])


def _run_in(query: str) -> str | None:
    return next((value for key, value in parse_qsl(query) if key.upper() == "RUNID"), None)


def _opened(path: Path) -> TextIO:
    """Begin a file anew, unless another server writes to it: then go on with its lines."""
    file = path.open("a", encoding="utf-8", buffering=1)
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return file
    file.truncate(0)
    file.write(_HEAD)
    return file


def _line(record: RequestRecord) -> str:
    request = f"{record.path}?{record.query}" if record.query else record.path
    faults = ",".join(record.faults) or None
    fields = (
        record.time, record.user, record.method, record.status, record.bytes_sent,
        f"{record.seconds:.6f}", request, record.range, faults, record.adql,
    )  # fmt: skip
    return (
        "\t".join(" ".join("-" if field is None else str(field).split()) for field in fields) + "\n"
    )


class RequestLogMiddleware:
    """Watches every request but those that control the archive itself."""

    def __init__(self, app: ASGIApp, log: RequestLog) -> None:
        """Wrap an application."""
        self._app = app
        self._log = log

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on and record its answer, also one that breaks off."""
        if scope["type"] != "http" or scope["path"].startswith(_OWN):
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
