"""Does to requests and their answers what the faults in force say."""

from __future__ import annotations

from collections.abc import Callable

import trio
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from cadcfs.demo.auth.identity import credential_of, refusal
from cadcfs.demo.auth.tokens import InvalidTokenError, Signer
from cadcfs.demo.faults import connection
from cadcfs.demo.faults.pace import keep_for_services
from cadcfs.demo.faults.rules import Fault, Faults
from cadcfs.demo.registry import REGISTRY_PATH, availability_document
from cadcfs.demo.requestlog import note_faults

_MAINTENANCE_SECONDS = 180
_PIECES_A_SECOND = 25


class FaultMiddleware:
    """Stands between the request log and the services."""

    def __init__(self, app: ASGIApp, faults: Faults, signer: Signer) -> None:
        """Wrap an application."""
        self._app = app
        self._faults = faults
        self._signer = signer

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, disturbed by the faults that it meets."""
        found = self._faults.hitting(scope) if scope["type"] == "http" else ()
        if not found:
            await self._app(scope, receive, send)
            return
        for fault in found:
            if fault.kind == "latency" and _claim(scope, fault):
                await trio.sleep(fault.delay(scope))
        instead = self._instead(Request(scope), found)
        if instead is not None:
            await instead(scope, receive, send)
            return
        keep_for_services(scope, found)
        disturbed = DisturbedSend(scope, receive, send, found)
        try:
            await self._app(scope, receive, disturbed)
        except Exception:
            if not disturbed.is_broken:
                raise

    def _instead(self, request: Request, found: tuple[Fault, ...]) -> Response | None:
        for fault in found:
            answer = _ANSWERS.get(fault.kind, _nothing)(request, fault)
            if fault.kind == "expired":
                answer = self._expired(request, fault)
            if answer is not None and _claim(request.scope, fault):
                return answer
        return None

    def _expired(self, request: Request, fault: Fault) -> Response | None:
        try:
            token = credential_of(request)
            if token is None or self._signer.begun(token) > fault.since:
                return None
        except InvalidTokenError:
            return None
        return refusal(request, "token expired")


def _claim(scope: Scope, fault: Fault) -> bool:
    claimed = fault.claim()
    if claimed:
        note_faults(scope, fault.kind)
    return claimed


def _nothing(_request: Request, _fault: Fault) -> Response | None:
    return None


def _busy(request: Request, fault: Fault) -> Response:
    wait = fault.options["retry_after"]
    return PlainTextResponse(
        f"temporarily unavailable: {request.url.path}",
        fault.options["status"],
        {"Retry-After": str(wait)} if wait else None,
    )


def _unavailable(request: Request, fault: Fault) -> Response | None:
    path, note = request.url.path, fault.options["note"]
    if path.endswith("/availability"):
        return Response(availability_document(note, available=False), media_type="text/xml")
    if path.endswith("/capabilities") or path == REGISTRY_PATH:
        return None
    return PlainTextResponse(note, 503, {"Retry-After": str(_MAINTENANCE_SECONDS)})


def _empty_registry(request: Request, _fault: Fault) -> Response | None:
    return PlainTextResponse("") if request.url.path == REGISTRY_PATH else None


_ANSWERS: dict[str, Callable[[Request, Fault], Response | None]] = {
    "busy": _busy,
    "unavailable": _unavailable,
    "empty-registry": _empty_registry,
}


class BrokenOffError(Exception):
    """Ends an application in the middle of its answer; the server then closes the connection."""


class DisturbedSend:
    """Sends an answer through what is wrong with the line."""

    def __init__(
        self, scope: Scope, receive: Receive, send: Send, faults: tuple[Fault, ...]
    ) -> None:
        """Send to *send* as far as the faults let it."""
        self.is_broken = False
        self._scope = scope
        self._receive = receive
        self._send = send
        self._lines = [fault for fault in faults if fault.kind == "bandwidth"]
        self._waiting = [fault for fault in faults if fault.kind in ("reset", "short", "stall")]
        self._spoilers = [fault for fault in faults if fault.kind == "wrong"]
        self._places: dict[Fault, int] = {}
        self._sent = 0

    async def __call__(self, message: Message) -> None:
        """Send a message, or a part of it."""
        if message["type"] == "http.response.start":
            lengths = (v for k, v in message["headers"] if k.lower() == b"content-length")
            length = next((int(value) for value in lengths), None)
            for each in (*self._waiting, *self._spoilers):
                self._places[each] = each.place(self._scope, length)
            await self._happen_up_to(-1)
            await self._send(message)
            return
        if message["type"] != "http.response.body" or self._scope["method"] == "HEAD":
            await self._send(message)
            return
        body, more = self._spoilt(message.get("body", b"")), message.get("more_body", False)
        while fault := self._next(self._sent + len(body) - 1):
            within = self._places[fault] - self._sent
            await self._pass(body[:within], more=True)
            body = body[within:]
            await self._happen(fault)
        await self._pass(body, more=more)

    async def _happen_up_to(self, place: int) -> None:
        while fault := self._next(place):
            await self._happen(fault)

    def _next(self, place: int) -> Fault | None:
        """Take the first fault that comes to effect at a place of the body or before it."""
        for fault in sorted(self._waiting, key=self._places.__getitem__):
            if self._places[fault] > place:
                break
            self._waiting.remove(fault)
            if _claim(self._scope, fault):
                return fault
        return None

    def _spoilt(self, body: bytes) -> bytes:
        for fault in tuple(self._spoilers):
            within = self._places[fault] - self._sent
            if 0 <= within < len(body):
                self._spoilers.remove(fault)
                if _claim(self._scope, fault):
                    body = body[:within] + bytes([body[within] ^ 0xFF]) + body[within + 1 :]
        return body

    async def _happen(self, fault: Fault) -> None:
        if fault.kind == "stall":
            with trio.move_on_after(fault.options["seconds"] or float("inf")):
                while (await self._receive())["type"] != "http.disconnect":
                    pass
                raise self._broken()
            return
        if fault.kind == "reset":
            await trio.to_thread.run_sync(connection.reset, self._scope)
        elif self._places[fault] < 0:
            # Ending the application would not do: the server would answer 500 in its place.
            await trio.to_thread.run_sync(connection.hang_up, self._scope)
        raise self._broken()

    def _broken(self) -> BrokenOffError:
        self.is_broken = True
        return BrokenOffError()

    async def _pass(self, body: bytes, *, more: bool) -> None:
        size = max(1, len(body))
        if self._lines:
            slowest = min(fault.options["rate"] for fault in self._lines)
            size = max(1, int(slowest / _PIECES_A_SECOND))
        for start in range(0, len(body), size):
            piece = body[start : start + size]
            await self._line_is_free(len(piece))
            self._sent += len(piece)
            last = start + size >= len(body) and not more
            await self._send({"type": "http.response.body", "body": piece, "more_body": not last})
        if not body and not more:
            await self._send({"type": "http.response.body", "body": b"", "more_body": False})

    async def _line_is_free(self, size: int) -> None:
        now = trio.current_time()
        for fault in self._lines:
            await trio.sleep_until(fault.send_until(now, size))
