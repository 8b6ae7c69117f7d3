"""Bulk bytes: ranged GETs by urllib3 in worker threads.

Measured over TLS, httpx on trio costs six times the CPU of urllib3 for the same bytes, so file
bytes do not go through the client for small things.
"""

from __future__ import annotations

import logging
import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import trio
from urllib3 import BaseHTTPResponse
from urllib3.exceptions import HTTPError

from cadcfs.errors import (
    BadRequest,
    CadcfsError,
    Forbidden,
    NotFound,
    RemoteChanged,
    TimedOut,
    Unauthorized,
    Unavailable,
)
from cadcfs.network.errand import BUSY, Errand
from cadcfs.network.hosts import Hosts
from cadcfs.network.pools import Pools, unreached
from cadcfs.network.redirects import HOPS, Domains, Wallet, next_place

log = logging.getLogger(__name__)

ATTEMPTS = 4
CHUNK = 256 * 1024
"""Bytes per read from the socket (measured: more of them leave the processor's cache) ..."""
FIRST_CHUNK = 128 * 1024
"""... but for the first ones, so that who waits for these gets them at once."""
CONNECTIONS = 16
"""Requests at once to one host: as many readers wait for one block each without waiting in line."""
LEFTOVER = 64 * 1024
"""Bytes of a body that are read to keep a connection; for more it is closed."""
SEE_OTHER = 303
MOVED = frozenset({301, 302, 303, 307, 308})


@dataclass(frozen=True)
class Reply:
    """The head of an answer; names of headers in lower case."""

    status: int
    headers: dict[str, str]
    url: str

    @property
    def location(self) -> str | None:
        return self.headers.get("location") if self.status in MOVED else None


@dataclass(frozen=True)
class Wanted:
    """The bytes [start, stop) of a file of *size* bytes.

    *check* sees the head of the answer before *take*(offset, data) sees a byte of it; both are
    called in a worker thread, and what they raise ends the request. *headers* go with it.
    """

    start: int
    stop: int
    size: int
    take: Callable[[int, bytes], None]
    check: Callable[[Reply], None]
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Body:
    """A whole body of unknown length, which comes in order and cannot be continued.

    *check* sees the head of the answer before *take*(data) sees a byte of it; both are called in
    a worker thread, and what they raise ends the request. *headers* go with the request.
    """

    take: Callable[[bytes], None]
    check: Callable[[Reply], None]
    headers: Mapping[str, str] = field(default_factory=dict)


Receive = Callable[[BaseHTTPResponse, Reply], None]


class Carrier:
    """Connections that are reused, and threads of its own; a limit keeps both bounded."""

    def __init__(
        self, wallet: Wallet | None = None, hosts: Hosts | None = None, *,
        connections: int = CONNECTIONS, stall: float = 60.0, head_time: float = 30.0,
    ) -> None:  # fmt: skip
        self.wallet = wallet or Wallet(Domains(()))
        self.hosts = hosts or Hosts()
        self._head_time = head_time
        self._step = min(0.4, stall / 20)
        self._pools = Pools(self.wallet, connections, stall)
        self._threads = trio.CapacityLimiter(connections)

    async def pause(self, attempt: int) -> None:
        """Wait before asking again: longer each time, and never in step with others."""
        await trio.sleep(random.uniform(0.5, 1.0) * self._step * 2**attempt)

    async def head(self, url: str) -> Reply:
        """The head of *url*, redirects followed."""
        try:
            with trio.fail_after(self._head_time):
                return await self._patiently(url, lambda _: self._head(url))
        except trio.TooSlowError as exc:
            raise TimedOut(f"{url}: no answer within {self._head_time:g} s") from exc

    async def post(self, url: str, content: bytes, media_type: str) -> bytes:
        """The answer to a small document."""
        bodies: list[bytes] = []
        await self._patiently(url, lambda _: self._post(url, content, media_type, bodies.append))
        return bodies[0]

    async def get(self, url: str, wanted: Wanted) -> Reply:
        """Ask for a range of *url*.

        A redirect is not followed but returned, for it is the caller who knows what it may carry.
        """
        asked = {**wanted.headers, "Range": f"bytes={wanted.start}-{wanted.stop - 1}"}
        return await self._patiently(
            url,
            lambda errand: self._get(
                url, asked, errand, lambda r, reply: _receive(r, reply, wanted, errand)
            ),
        )

    async def get_body(self, url: str, body: Body) -> Reply:
        """Ask for all of what is made at *url*; as with `get`, a redirect is returned."""
        return await self._patiently(
            url,
            lambda errand: self._get(
                url, body.headers, errand, lambda r, reply: _receive_body(r, reply, body, errand)
            ),
        )

    async def _patiently(self, url: str, work: Callable[[Errand], Reply]) -> Reply:
        await self.hosts.admit(url)
        return await self.wallet.authorized(lambda: self._sent(url, work))

    async def _sent(self, url: str, work: Callable[[Errand], Reply]) -> Reply:
        errand = Errand()
        try:
            reply = await trio.to_thread.run_sync(
                work, errand, abandon_on_cancel=True, limiter=self._threads
            )
        except trio.Cancelled:
            errand.leave()
            raise
        except CadcfsError as exc:
            # A body that breaks off is of a service that works.
            if isinstance(exc, Unavailable) and not errand.has_good_answer:
                self.hosts.failed(url, exc)
            else:
                self.hosts.answered(url)
            raise
        self.hosts.answered(url)
        return reply

    def _head(self, url: str) -> Reply:
        return self._followed("HEAD", url, None, {})[0]

    def _post(
        self, url: str, content: bytes, media_type: str, take: Callable[[bytes], None]
    ) -> Reply:
        reply, data = self._followed("POST", url, content, {"Content-Type": media_type})
        take(data)
        return reply

    def _followed(
        self, method: str, url: str, content: bytes | None, headers: Mapping[str, str]
    ) -> tuple[Reply, bytes]:
        """A good answer and its whole body, redirects followed."""
        place = url
        for _ in range(HOPS):
            response = self._pools.request(method, place, headers, content, whole=True)
            reply = Reply(response.status, _lowered(response), place)
            if reply.location is None:
                if response.status >= 300:
                    raise self._refusal(reply, response.data[:500].decode("utf-8", "replace"))
                return reply, response.data
            place = next_place(place, reply.location)
            if response.status == SEE_OTHER:
                method, content, headers = "HEAD" if method == "HEAD" else "GET", None, {}
        raise Unavailable(f"{url}: more than {HOPS} redirects")

    def _refusal(self, reply: Reply, words: str) -> CadcfsError:
        error = refusal(reply, words)
        if reply.status == 401 and self.wallet.is_shown(reply.url):
            return Unauthorized(str(error))
        return error

    def _get(self, url: str, headers: Mapping[str, str], errand: Errand, receive: Receive) -> Reply:
        response = self._pools.request("GET", url, headers)
        whole = False
        try:
            errand.answered(response)
            reply = Reply(response.status, _lowered(response), url)
            if reply.status not in (200, 206) and reply.location is None:
                raise self._refusal(reply, response.read(500).decode("utf-8", "replace"))
            if reply.location is None:
                receive(response, reply)
            left = response.length_remaining
            whole = left is not None and left <= LEFTOVER
        except HTTPError as exc:
            raise unreached(url, exc) from exc
        finally:
            # A body that was not read to its end would be taken for the next answer.
            if whole:
                response.drain_conn()
            else:
                response.close()
            # Also after close(): the pool's slot is given back, with or without a connection.
            response.release_conn()
        return reply


def _receive(response: BaseHTTPResponse, reply: Reply, wanted: Wanted, errand: Errand) -> None:
    wanted.check(reply)
    offset, chunk = _first_byte(reply, wanted), FIRST_CHUNK
    while offset < wanted.stop:
        data = response.read(min(chunk, wanted.stop - offset))
        errand.check()
        chunk = min(2 * chunk, CHUNK)
        if not data:
            raise Unavailable(f"{reply.url}: broke off at byte {offset} of {wanted.stop}")
        end = offset + len(data)
        if end > wanted.start:
            wanted.take(max(offset, wanted.start), data[max(0, wanted.start - offset) :])
        offset = end


def _receive_body(response: BaseHTTPResponse, reply: Reply, body: Body, errand: Errand) -> None:
    body.check(reply)
    # A body that breaks off is an HTTPError: shorter than its length, or without its last chunk.
    while data := response.read(CHUNK):
        errand.check()
        body.take(data)


def _first_byte(reply: Reply, wanted: Wanted) -> int:
    """Where the body begins in the file; refuses a body that is not of this version."""
    if reply.status == 200:
        length = reply.headers.get("content-length")
        # Without a length, as long as it goes on: what breaks off is noticed, what is other, too.
        encoding = reply.headers.get("content-encoding", "identity")
        if length is None and encoding != "identity":
            # With a length it tells how the file is stored, and these are its bytes.
            raise Unavailable(f"{reply.url}: {encoding} on the way, which was not asked for")
        if length is not None and length != str(wanted.size):
            raise RemoteChanged(f"{reply.url}: {length} bytes, {wanted.size} were expected")
        return 0
    told = reply.headers.get("content-range", "")
    if told != f"bytes {wanted.start}-{wanted.stop - 1}/{wanted.size}":
        if not told or told.endswith((f"/{wanted.size}", "/*")):
            raise Unavailable(f"{reply.url}: not the range that was asked for: {told!r}")
        raise RemoteChanged(f"{reply.url}: {told!r}, but {wanted.size} bytes were expected")
    return wanted.start


def _lowered(response: BaseHTTPResponse) -> dict[str, str]:
    return {name.lower(): value for name, value in response.headers.items()}


def refusal(reply: Reply, words: str) -> CadcfsError:
    """The error that a status stands for."""
    text = f"{reply.url}: HTTP {reply.status} {' '.join(words.split())}".rstrip()
    if reply.status in BUSY:
        return Unavailable(text)
    if reply.status in (404, 410):
        return NotFound(text)
    if reply.status in (401, 403):
        return Forbidden(text)
    if reply.status == 416:
        return RemoteChanged(f"{text}: the file is shorter than it was")
    return BadRequest(text)
