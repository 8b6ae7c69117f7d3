"""Small things over HTTP: queries, registry, capabilities. File bytes have their own carrier.

What a request carries of the caller's credentials is decided at each hop (`redirects.py`).

httpx on trio, with a time budget for each call: retries fit inside it, and what is left of it
reaches down to the socket.
"""

from __future__ import annotations

import logging
import ssl
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass
from typing import Self

import httpx
import trio

from cadcfs import __version__
from cadcfs.errors import (
    BadRequest,
    CadcfsError,
    Forbidden,
    Incomplete,
    NotFound,
    Offline,
    TimedOut,
    Unauthorized,
    Unavailable,
)
from cadcfs.network.distrust import is_distrust, reason_of
from cadcfs.network.hosts import Hosts
from cadcfs.network.redirects import HOPS, Domains, Wallet, next_place
from cadcfs.network.retries import pause_before, retry_after

log = logging.getLogger(__name__)

ATTEMPTS = 3
"""Tries within one budget; a question that fails three times is not mended by a fourth."""
CONNECT_TIME = 10.0
"""Seconds for a connection: a host that is gone shows within this."""
PIECE = 1 << 20
"""Bytes of a long body that are handed on at once."""
BROKEN = frozenset({500, 502, 503, 504})
BUSY = frozenset({408, 425, 429, 500, 502, 503, 504})

Form = Mapping[str, str | Sequence[str]]
"""Parameters by name; a name with several values is sent once for each."""


@dataclass(frozen=True)
class Answer:
    """A whole body with its media type (without parameters) and the URL that gave it.

    *user* is whom the archive took the caller for; "" for nobody.
    """

    body: bytes
    media_type: str
    url: str
    user: str = ""


@dataclass(frozen=True)
class _Question:
    method: str
    url: str
    form: Form | None = None
    parts: Mapping[str, bytes] | None = None
    follow: bool = True


class Client:
    """One pool of connections for all small requests; use as an async context manager."""

    def __init__(
        self, wallet: Wallet | None = None, hosts: Hosts | None = None, *, connections: int = 16
    ) -> None:
        self.wallet = wallet or Wallet(Domains(()))
        self.hosts = hosts or Hosts()
        self._limits = httpx.Limits(
            max_connections=connections, max_keepalive_connections=connections
        )
        self._opened = AsyncExitStack()
        self._http = self._pool(verify=True)
        self._certified: tuple[ssl.SSLContext, httpx.AsyncClient] | None = None

    async def __aenter__(self) -> Self:
        await self._opened.__aenter__()
        self._opened.push_async_callback(self._http.aclose)
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._opened.aclose()

    def _pool(self, *, verify: ssl.SSLContext | bool) -> httpx.AsyncClient:
        return httpx.AsyncClient(
            headers={"User-Agent": f"cadcfs/{__version__}"},
            limits=self._limits,
            timeout=None,  # noqa: S113  (each call brings its budget)
            trust_env=True,
            verify=verify,
        )

    async def get(self, url: str, *, seconds: float) -> Answer:
        """The body behind *url*, within *seconds*.

        Raises
        ------
        NotFound, Forbidden, BadRequest, Unavailable, TimedOut, Incomplete
        """
        return await self._ask(_Question("GET", url), seconds)

    async def post(self, url: str, form: Form, *, seconds: float, follow: bool = True) -> Answer:
        """The answer to *form*; redirects are followed with GET (UWS 1.1, 2.2.3).

        Without *follow* a redirect is an error: for what nobody but *url* itself may see.
        """
        return await self._ask(_Question("POST", url, form, follow=follow), seconds)

    async def post_parts(
        self, url: str, form: Form, parts: Mapping[str, bytes], *, seconds: float
    ) -> Answer:
        """The answer to *form* with files, as multipart/form-data (TAP 1.1, 2.5)."""
        return await self._ask(_Question("POST", url, form, parts), seconds)

    async def delete(self, url: str, *, seconds: float) -> None:
        """Delete what is behind *url*; where the service then leads to is not looked at."""
        await self._ask(_Question("DELETE", url, follow=False), seconds)

    @asynccontextmanager
    async def stream(
        self,
        url: str,
        form: Form | None = None,
        parts: Mapping[str, bytes] | None = None,
        *,
        seconds: float,
    ) -> AsyncIterator[AsyncIterator[bytes]]:
        """The pieces of a long body; *seconds* count anew with each of them. Asked once.

        Raises
        ------
        NotFound, Forbidden, BadRequest, Unavailable, TimedOut, Incomplete
        """
        timeout = httpx.Timeout(seconds, connect=min(seconds, CONNECT_TIME))
        method = "GET" if form is None else "POST"
        request = self._http.build_request(
            method, url, data=form, files=_files(parts), timeout=timeout
        )
        with _as_ours(url):
            response = await self.wallet.authorized(lambda: self._begun(request))
            try:
                yield response.aiter_bytes(PIECE)
            finally:
                await response.aclose()

    async def _begun(self, request: httpx.Request) -> httpx.Response:
        """The head of a good answer; the caller closes it."""
        await self.hosts.admit(str(request.url))
        response = await self._followed(request)
        if response.is_success:
            return response
        try:
            await response.aread()
            raise self._refusal(response)
        finally:
            await response.aclose()

    async def _ask(self, question: _Question, seconds: float) -> Answer:
        try:
            with trio.fail_after(seconds):
                return await self.wallet.authorized(lambda: self._watched(question, seconds))
        except trio.TooSlowError as exc:
            slow = TimedOut(f"{question.url}: no whole answer within {seconds:g} s")
            self.hosts.failed(question.url, slow)
            raise slow from exc

    async def _watched(self, question: _Question, seconds: float) -> Answer:
        if seconds <= self.hosts.check_every:
            return await self._attempts(question, seconds)
        return await self.hosts.while_alive(question.url, lambda: self._attempts(question, seconds))

    async def _attempts(self, question: _Question, seconds: float) -> Answer:
        for attempt in range(1, ATTEMPTS + 1):
            await self.hosts.admit(question.url)
            try:
                return await self._once(question, seconds)
            except (Unavailable, Incomplete) as exc:
                pause = pause_before(attempt, exc, min(0.5, self.hosts.check_every / 20))
                if attempt == ATTEMPTS or pause is None or is_distrust(exc):
                    raise
                log.info("%s; asking again in %.1f s", exc, pause)
                await trio.sleep(pause)
        raise AssertionError("unreachable")

    async def _once(self, question: _Question, seconds: float) -> Answer:
        timeout = httpx.Timeout(seconds, connect=min(seconds, CONNECT_TIME))
        with _as_ours(question.url):
            request = self._http.build_request(
                question.method,
                question.url,
                data=question.form,
                files=_files(question.parts),
                timeout=timeout,
            )
            response = await self._followed(request, follow=question.follow)
            try:
                await response.aread()
            finally:
                await response.aclose()
        if response.is_success or (question.method == "DELETE" and response.is_redirect):
            media_type = response.headers.get("content-type", "").partition(";")[0].strip().lower()
            user = response.headers.get("x-vo-authenticated", "")
            return Answer(response.content, media_type, str(response.url), user)
        raise self._refusal(response)

    async def _followed(self, request: httpx.Request, *, follow: bool = True) -> httpx.Response:
        """The head of the answer, redirects followed; the caller closes it."""
        place = str(request.url)
        for _ in range(HOPS):
            response = await self._sent(request)
            if not follow or response.next_request is None:
                return response
            await response.aread()
            await response.aclose()
            before, request = request, response.next_request
            place = next_place(place, str(request.url))
            if (before.method, before.url) == (request.method, request.url):
                # What runs a query is good for one time; a broken line had repeated the way to it.
                raise Incomplete(f"{place}: leads to itself")
        raise Unavailable(f"{place}: more than {HOPS} redirects")

    async def _sent(self, request: httpx.Request) -> httpx.Response:
        """The answer to one request, which carries what its own address may see."""
        url = str(request.url)
        request.headers.pop("Authorization", None)
        request.headers.update(self.wallet.headers(url))
        pool = await self._pool_for(url)
        try:
            response = await pool.send(request, stream=True)
        except httpx.TransportError as exc:
            self.hosts.failed(url, f"{type(exc).__name__} {reason_of(exc)}")
            raise
        if response.status_code in BROKEN:
            self.hosts.failed(url, f"HTTP {response.status_code}")
        else:
            self.hosts.answered(url)
        return response

    async def _pool_for(self, url: str) -> httpx.AsyncClient:
        if self.wallet.credentials.certificate is None:
            return self._http
        context = await trio.to_thread.run_sync(self.wallet.context, url)
        if context is None:
            return self._http
        if self._certified is None or self._certified[0] is not context:
            self._certified = context, self._pool(verify=context)
            self._opened.push_async_callback(self._certified[1].aclose)
        return self._certified[1]

    def _refusal(self, response: httpx.Response) -> CadcfsError:
        url = str(response.url)
        words = f"{url}: HTTP {response.status_code}: {_excerpt(response.text)}"
        if response.status_code == 401 and self.wallet.is_shown(url):
            return Unauthorized(words)
        error = refusal_of(response.status_code, words)
        if isinstance(error, Unavailable):
            error.retry_after = retry_after(response.headers.get("retry-after", ""))
        return error


def _files(parts: Mapping[str, bytes] | None) -> dict[str, tuple[str, bytes]] | None:
    return {name: (name, body) for name, body in parts.items()} if parts else None


@contextmanager
def _as_ours(url: str) -> Iterator[None]:
    """Turn what httpx raises into `cadcfs.errors`."""
    try:
        yield
    except httpx.TimeoutException as exc:
        raise TimedOut(f"{url}: {type(exc).__name__}") from exc
    except httpx.ConnectError as exc:
        raise Offline(f"{url}: cannot be reached ({reason_of(exc)})") from exc
    except httpx.RemoteProtocolError as exc:
        raise Incomplete(f"{url}: the answer broke off ({exc})") from exc
    except httpx.HTTPError as exc:
        raise Unavailable(f"{url}: {reason_of(exc)}") from exc
    except httpx.InvalidURL as exc:
        raise BadRequest(f"{url}: {exc}") from exc


def refusal_of(status: int, words: str) -> CadcfsError:
    """The error that a status stands for."""
    if status in BUSY:
        return Unavailable(words)
    if status in (404, 410):
        return NotFound(words)
    if status in (401, 403):
        return Forbidden(words)
    return BadRequest(words)


def _excerpt(text: str, length: int = 4000) -> str:
    line = " ".join(text.split())
    return line if len(line) <= length else line[:length] + " ..."
