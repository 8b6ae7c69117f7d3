"""A second door, with TLS: ends the encryption, looks at the certificate, and passes on.

The web server cannot tell an application which certificate its client has. So TLS ends here, and
what is inside goes to the server's own port; the address that the server sees is remembered with
the certificate's user for as long as the connection lasts.
"""

from __future__ import annotations

import ssl
import struct
from functools import partial
from socket import SO_LINGER, SOL_SOCKET
from typing import Self

import trio

_PIECE = 64 * 1024
_HANDSHAKE_SECONDS = 30.0
_ALERT_SECONDS = 2.0
_RESET = struct.pack("ii", 1, 0)


class TlsDoor:
    """Listens with TLS before a server that listens without; a certificate is optional."""

    def __init__(self) -> None:
        """Nobody is inside yet."""
        self.peers: dict[tuple[str, int], str | None] = {}
        self._inside = ("", 0)

    async def serve(
        self,
        context: ssl.SSLContext,
        host: str,
        port: int,
        inside: tuple[str, int],
        *,
        task_status: trio.TaskStatus[int] = trio.TASK_STATUS_IGNORED,
    ) -> None:
        """Listen until cancelled, for the server at *inside*; tells its own port."""
        self._inside = inside
        listeners = await trio.open_tcp_listeners(port, host=host)
        task_status.started(listeners[0].socket.getsockname()[1])
        await trio.serve_listeners(partial(self._admit, context), listeners)

    async def _admit(self, context: ssl.SSLContext, raw: trio.SocketStream) -> None:
        memory = OutgoingKept(context)
        outer = trio.SSLStream(raw, memory, server_side=True, https_compatible=True)
        try:
            with trio.fail_after(_HANDSHAKE_SECONDS):
                await outer.do_handshake()
            inner = await trio.open_tcp_stream(*self._inside)
        except (OSError, ssl.SSLError, trio.BrokenResourceError, trio.TooSlowError):
            with trio.move_on_after(_ALERT_SECONDS):
                await _say_last_words(raw, memory.outgoing.read())
            await trio.aclose_forcefully(raw)
            return
        seen_as = inner.socket.getsockname()[:2]
        self.peers[seen_as] = _user(outer.getpeercert())
        try:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(_requests, outer, inner)
                await _answers(inner, outer)
                nursery.cancel_scope.cancel()
        finally:
            del self.peers[seen_as]
            await trio.aclose_forcefully(inner)
            await trio.aclose_forcefully(outer)


class OutgoingKept(ssl.SSLContext):
    """TLS for one connection that remembers what it still has to send.

    A handshake that fails leaves an alert there (`certificate expired`, RFC 8446, section 6.2),
    which trio does not send.
    """

    outgoing: ssl.MemoryBIO
    _context: ssl.SSLContext

    def __new__(cls, _context: ssl.SSLContext) -> Self:
        """Make one of the same protocol."""
        return super().__new__(cls, ssl.PROTOCOL_TLS_SERVER)

    def __init__(self, context: ssl.SSLContext) -> None:
        """Speak as *context* does."""
        self._context = context
        self.outgoing = ssl.MemoryBIO()

    def wrap_bio(
        self,
        incoming: ssl.MemoryBIO,
        outgoing: ssl.MemoryBIO,
        server_side: bool = False,
        server_hostname: str | bytes | None = None,
        session: ssl.SSLSession | None = None,
    ) -> ssl.SSLObject:
        """Begin a connection."""
        self.outgoing = outgoing
        return self._context.wrap_bio(incoming, outgoing, server_side, server_hostname, session)


async def _say_last_words(raw: trio.SocketStream, alert: bytes) -> None:
    try:
        await raw.send_all(alert)
        await raw.send_eof()
        # What the client sent meanwhile has to be taken, or it would hear a reset instead.
        while await raw.receive_some(_PIECE):
            pass
    except (trio.BrokenResourceError, trio.ClosedResourceError):
        pass


async def _requests(outer: trio.SSLStream[trio.SocketStream], inner: trio.SocketStream) -> None:
    try:
        while piece := await outer.receive_some(_PIECE):
            await inner.send_all(piece)
        await inner.send_eof()
    except (trio.BrokenResourceError, trio.ClosedResourceError):
        await inner.aclose()


async def _answers(inner: trio.SocketStream, outer: trio.SSLStream[trio.SocketStream]) -> None:
    try:
        while piece := await inner.receive_some(_PIECE):
            await outer.send_all(piece)
    except trio.BrokenResourceError:
        # The server broke off; its client is to see the same.
        outer.transport_stream.setsockopt(SOL_SOCKET, SO_LINGER, _RESET)
    except trio.ClosedResourceError:
        pass


def _user(certificate: dict[str, object] | None) -> str | None:
    subject = certificate.get("subject", ()) if certificate else ()
    assert isinstance(subject, tuple)
    names = [value for part in subject for key, value in part if key == "commonName"]
    return str(names[-1]) if names else None
