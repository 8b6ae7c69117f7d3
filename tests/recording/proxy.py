"""A forward proxy, as institutes have them, that writes down the head of every request.

A process of its own (`python -m tests.recording.proxy DIRECTORY`): a test that waits in the kernel
for its own mount must not keep the mount's requests from passing.

Requests are read and written anew (h11); answers pass byte by byte, as they break off or do not.
TLS ends here where the certificates of the server are known, and begins anew towards it; elsewhere
a tunnel is noted and passed as it is.
"""

from __future__ import annotations

import json
import ssl
import struct
import sys
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from pathlib import Path
from socket import SO_LINGER, SOL_SOCKET
from urllib.parse import parse_qsl, urlsplit

import h11
import trio

from tests.recording.records import BROKEN, PLACES, RECORDS, Place, origin_of

PIECE = 1 << 16
FORM = "application/x-www-form-urlencoded"
OF_A_HOP = (b"proxy-connection", b"proxy-authorization")
GONE = (trio.BrokenResourceError, trio.ClosedResourceError, ssl.SSLError)
NOW_GONE = struct.pack("ii", 1, 0)

Stream = trio.SocketStream | trio.SSLStream[trio.SocketStream]


@dataclass
class Recorder:
    """What all connections share."""

    directory: Path
    contexts: dict[tuple[str, str], ssl.SSLContext] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._file = (self.directory / RECORDS).open("a", buffering=1)

    def note(self, **told: object) -> None:
        self._file.write(json.dumps({"time": time.time(), **told}) + "\n")

    def place(self, origin: str) -> Place:
        """Where *origin* is; raises OSError for what is not on this machine."""
        known = json.loads((self.directory / PLACES).read_text())
        origin = origin.replace("[", "").replace("]", "")
        if origin in known:
            return Place(**known[origin])
        host, _, port = origin.rpartition(":")
        if host in ("127.0.0.1", "::1") or host.endswith("localhost"):
            return Place(int(port))
        raise OSError(f"there is no way to {origin}")

    def door(self, host: str, certificates: str) -> ssl.SSLContext:
        """TLS as the server has it that those certificates belong to."""
        key = host, certificates
        if key not in self.contexts:
            import trustme

            found = Path(certificates)
            authority = trustme.CA.from_pem(
                (found / "ca.pem").read_bytes(), (found / "ca-key.pem").read_bytes()
            )
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            authority.issue_cert(host).configure_cert(context)
            authority.configure_trust(context)
            context.verify_mode = ssl.CERT_OPTIONAL
            self.contexts[key] = context
        return self.contexts[key]

    async def serve(self, near: trio.SocketStream) -> None:
        """One client, until it leaves."""
        incoming = Incoming(near)
        try:
            asked = await incoming.request()
            if asked is not None and asked.method == b"CONNECT":
                await self._tunnel(near, asked.target.decode())
            elif asked is not None:
                await Passage(self, near, incoming).run(asked)
        except* (*GONE, h11.ProtocolError, OSError):
            reset(near)
        except* Exception as exc:
            self.note(method=BROKEN, url=f"{exc!r}", headers=[])
            reset(near)
        finally:
            await trio.aclose_forcefully(near)

    async def _tunnel(self, near: trio.SocketStream, origin: str) -> None:
        try:
            place = self.place(origin)
        except OSError:
            self.note(method="CONNECT", url=f"https://{origin}", headers=[])
            await near.send_all(b"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\n\r\n")
            return
        await near.send_all(b"HTTP/1.1 200 Connection established\r\n\r\n")
        if not place.certificates:
            self.note(method="CONNECT", url=f"https://{origin}", headers=[])
            far = await trio.open_tcp_stream("127.0.0.1", place.port)
            async with far, trio.open_nursery() as nursery:
                nursery.start_soon(pour, near, far, nursery.cancel_scope.cancel)
                await pour(far, near, nursery.cancel_scope.cancel)
            return
        context = self.door(origin.rpartition(":")[0], place.certificates)
        inner = trio.SSLStream(near, context, server_side=True, https_compatible=True)
        await inner.do_handshake()
        user = common_name(inner.getpeercert())
        incoming = Incoming(inner)
        asked = await incoming.request()
        if asked is not None:
            await Passage(self, inner, incoming, f"https://{origin}", user).run(asked)


@dataclass
class Incoming:
    """Requests of one client, one after the other."""

    stream: Stream
    rest: bytes = b""

    async def request(self) -> h11.Request | None:
        """The head of the next request; None when there is none."""
        self._parser = h11.Connection(h11.SERVER, max_incomplete_event_size=1 << 20)
        if self.rest:
            self._parser.receive_data(self.rest)
        event = await self._event()
        return event if isinstance(event, h11.Request) else None

    async def body(self) -> AsyncIterator[bytes]:
        """The pieces of its body."""
        while isinstance(event := await self._event(), h11.Data):
            yield bytes(event.data)
        self.rest = self._parser.trailing_data[0]

    async def _event(self) -> object:
        while (event := self._parser.next_event()) is h11.NEED_DATA:
            data = await self.stream.receive_some(PIECE)
            if not data and self._parser.their_state is h11.IDLE:
                return None
            self._parser.receive_data(data)
        return event


class Passage:
    """One client's requests on their way; *base* is where a tunnel leads, *user* its owner's."""

    def __init__(
        self, recorder: Recorder, near: Stream, incoming: Incoming, base: str = "", user: str = ""
    ) -> None:
        self._recorder = recorder
        self._near = near
        self._incoming = incoming
        self._base = base
        self._user = user
        self._far: Stream | None = None
        self._origin = ""
        self._answering = trio.CancelScope()

    async def run(self, first: h11.Request) -> None:
        asked: h11.Request | None = first
        try:
            async with trio.open_nursery() as nursery:
                while asked is not None:
                    await self._pass(asked, nursery)
                    asked = await self._incoming.request()
                nursery.cancel_scope.cancel()
        finally:
            await self._leave()

    async def _pass(self, asked: h11.Request, nursery: trio.Nursery) -> None:
        url = self._base + asked.target.decode()
        told = [(name.decode(), value.decode("latin-1")) for name, value in asked.headers]
        is_form = dict(told).get("content-type", "").startswith(FORM)
        form = b"".join([piece async for piece in self._incoming.body()]) if is_form else b""
        # Before anything of it is sent: who has the answer finds it noted.
        self._recorder.note(
            method=asked.method.decode(), url=url, headers=told, user=self._user,
            password=dict(parse_qsl(form.decode("latin-1"))).get("password", ""),
        )  # fmt: skip
        far = await self._way(url, nursery)
        target = urlsplit(url)._replace(scheme="", netloc="").geturl() or "/"
        kept = [(name, value) for name, value in asked.headers.raw_items()
                if name.lower() not in OF_A_HOP]  # fmt: skip
        sender = h11.Connection(h11.CLIENT)
        events: list[h11.Event] = [h11.Request(method=asked.method, headers=kept, target=target)]
        events += [h11.Data(data=form)] if form else []
        await far.send_all(b"".join(sender.send(event) or b"" for event in events))
        if not is_form:
            async for piece in self._incoming.body():
                await far.send_all(sender.send(h11.Data(data=piece)) or b"")
        await far.send_all(sender.send(h11.EndOfMessage()) or b"")

    async def _way(self, url: str, nursery: trio.Nursery) -> Stream:
        """A connection to where *url* is; another one only when it is elsewhere."""
        origin = origin_of(url)
        if self._far is not None and origin == self._origin:
            return self._far
        await self._leave()
        try:
            place = self._recorder.place(origin)
            raw = await trio.open_tcp_stream("127.0.0.1", place.port)
        except OSError:
            reset(self._near)
            raise trio.BrokenResourceError from None
        self._far, self._origin = raw, origin
        if self._base:
            self._far = trio.SSLStream(
                raw, towards(Path(place.certificates), self._user), https_compatible=True
            )
            await self._far.do_handshake()
        self._answering = trio.CancelScope()
        nursery.start_soon(self._answer, self._far, self._answering, nursery)
        return self._far

    async def _answer(self, far: Stream, scope: trio.CancelScope, nursery: trio.Nursery) -> None:
        with scope:
            await pour(far, self._near, nursery.cancel_scope.cancel)

    async def _leave(self) -> None:
        self._answering.cancel()
        if self._far is not None:
            await trio.aclose_forcefully(self._far)
            self._far = None


async def pour(source: Stream, sink: Stream, ended: Callable[[], None]) -> None:
    """Hand on all that comes; a break is handed on as one."""
    try:
        while data := await source.receive_some(PIECE):
            await sink.send_all(data)
    except GONE:
        reset(sink)
    ended()


def reset(stream: Stream) -> None:
    """Closing it will be a break for the other side."""
    raw = stream.transport_stream if isinstance(stream, trio.SSLStream) else stream
    raw.setsockopt(SOL_SOCKET, SO_LINGER, NOW_GONE)


def towards(certificates: Path, user: str) -> ssl.SSLContext:
    """TLS towards the archive, as the user that the client has shown itself to be."""
    context = ssl.create_default_context(cafile=str(certificates / "ca.pem"))
    context.check_hostname = False
    if user:
        context.load_cert_chain(certificates / f"{user}.pem")
    return context


def common_name(certificate: dict[str, object] | None) -> str:
    parts = certificate.get("subject", ()) if certificate else ()
    assert isinstance(parts, tuple)
    names = [value for part in parts for key, value in part if key == "commonName"]
    return str(names[-1]) if names else ""


async def main(directory: Path) -> None:
    recorder = Recorder(directory)
    (listener,) = await trio.open_tcp_listeners(0, host="127.0.0.1", backlog=512)
    sys.stdout.write(f"{listener.socket.getsockname()[1]}\n")
    sys.stdout.flush()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(trio.serve_listeners, recorder.serve, [listener])
        # Whoever started it holds the other end: it never outlives the tests.
        await trio.to_thread.run_sync(sys.stdin.read)
        nursery.cancel_scope.cancel()


if __name__ == "__main__":
    trio.run(main, Path(sys.argv[1]))
