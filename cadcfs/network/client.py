"""Small things over HTTP: queries, registry, capabilities. File bytes have their own carrier.

httpx on trio, with a time budget for each call: retries fit inside it, and what is left of it
reaches down to the socket.
"""

from __future__ import annotations

import logging
import random
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
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
    Unavailable,
)

log = logging.getLogger(__name__)

ATTEMPTS = 3
"""Tries within one budget; a question that fails three times is not mended by a fourth."""
CONNECT_TIME = 10.0
"""Seconds for a connection: a host that is gone shows within this."""
PIECE = 1 << 20
"""Bytes of a long body that are handed on at once."""
BUSY = frozenset({408, 425, 429, 500, 502, 503, 504})

Form = Mapping[str, str | Sequence[str]]
"""Parameters by name; a name with several values is sent once for each."""


@dataclass(frozen=True)
class Answer:
    """A whole body with its media type (without parameters) and the URL that gave it."""

    body: bytes
    media_type: str
    url: str


class Client:
    """One pool of connections for all small requests; use as an async context manager."""

    def __init__(self, *, connections: int = 16) -> None:
        self._http = httpx.AsyncClient(
            headers={"User-Agent": f"cadcfs/{__version__}"},
            follow_redirects=True,
            limits=httpx.Limits(max_connections=connections, max_keepalive_connections=connections),
            timeout=None,  # noqa: S113  (each call brings its budget)
            trust_env=True,
        )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._http.aclose()

    async def get(self, url: str, *, seconds: float) -> Answer:
        """The body behind *url*, within *seconds*.

        Raises
        ------
        NotFound, Forbidden, BadRequest, Unavailable, TimedOut, Incomplete
        """
        return await self._ask("GET", url, None, seconds)

    async def post(self, url: str, form: Form, *, seconds: float) -> Answer:
        """The answer to *form*; redirects are followed with GET (UWS 1.1, 2.2.3)."""
        return await self._ask("POST", url, form, seconds)

    async def post_parts(
        self, url: str, form: Form, parts: Mapping[str, bytes], *, seconds: float
    ) -> Answer:
        """The answer to *form* with files, as multipart/form-data (TAP 1.1, 2.5)."""
        return await self._ask("POST", url, form, seconds, parts)

    async def delete(self, url: str, *, seconds: float) -> None:
        """Delete what is behind *url*; where the service then leads to is not looked at."""
        await self._ask("DELETE", url, None, seconds)

    @asynccontextmanager
    async def stream(
        self, url: str, form: Form | None = None, *, seconds: float
    ) -> AsyncIterator[AsyncIterator[bytes]]:
        """The pieces of a long body; *seconds* count anew with each of them. Asked once.

        Raises
        ------
        NotFound, Forbidden, BadRequest, Unavailable, TimedOut, Incomplete
        """
        timeout = httpx.Timeout(seconds, connect=min(seconds, CONNECT_TIME))
        method = "GET" if form is None else "POST"
        with _as_ours(url):
            async with self._http.stream(method, url, data=form, timeout=timeout) as response:
                if not response.is_success:
                    await response.aread()
                    raise _refusal(response)
                yield response.aiter_bytes(PIECE)

    async def _ask(
        self,
        method: str,
        url: str,
        form: Form | None,
        seconds: float,
        parts: Mapping[str, bytes] | None = None,
    ) -> Answer:
        try:
            with trio.fail_after(seconds):
                return await self._attempts(method, url, form, seconds, parts)
        except trio.TooSlowError as exc:
            raise TimedOut(f"{url}: no whole answer within {seconds:g} s") from exc

    async def _attempts(
        self,
        method: str,
        url: str,
        form: Form | None,
        seconds: float,
        parts: Mapping[str, bytes] | None,
    ) -> Answer:
        for attempt in range(1, ATTEMPTS + 1):
            try:
                return await self._once(method, url, form, seconds, parts)
            except (Unavailable, Incomplete) as exc:
                if attempt == ATTEMPTS:
                    raise
                pause = random.uniform(0.25, 0.5) * 2**attempt
                log.info("%s; asking again in %.1f s", exc, pause)
                await trio.sleep(pause)
        raise AssertionError("unreachable")

    async def _once(
        self,
        method: str,
        url: str,
        form: Form | None,
        seconds: float,
        parts: Mapping[str, bytes] | None,
    ) -> Answer:
        timeout = httpx.Timeout(seconds, connect=min(seconds, CONNECT_TIME))
        files = None if parts is None else {n: (n, body) for n, body in parts.items()}
        with _as_ours(url):
            response = await self._http.request(
                method,
                url,
                data=form,
                files=files,
                timeout=timeout,
                follow_redirects=method != "DELETE",
            )
        if response.is_success or (method == "DELETE" and response.is_redirect):
            media_type = response.headers.get("content-type", "").partition(";")[0].strip().lower()
            return Answer(response.content, media_type, str(response.url))
        raise _refusal(response)


@contextmanager
def _as_ours(url: str) -> Iterator[None]:
    """Turn what httpx raises into `cadcfs.errors`."""
    try:
        yield
    except httpx.TimeoutException as exc:
        raise TimedOut(f"{url}: {type(exc).__name__}") from exc
    except httpx.ConnectError as exc:
        raise Offline(f"{url}: cannot be reached ({exc})") from exc
    except httpx.RemoteProtocolError as exc:
        raise Incomplete(f"{url}: the answer broke off ({exc})") from exc
    except httpx.HTTPError as exc:
        raise Unavailable(f"{url}: {exc}") from exc
    except httpx.InvalidURL as exc:
        raise BadRequest(f"{url}: {exc}") from exc


def _refusal(response: httpx.Response) -> CadcfsError:
    words = f"{response.url}: HTTP {response.status_code}: {_excerpt(response.text)}"
    if response.status_code in BUSY:
        return Unavailable(words)
    if response.status_code in (404, 410):
        return NotFound(words)
    if response.status_code in (401, 403):
        return Forbidden(words)
    return BadRequest(words)


def _excerpt(text: str, length: int = 4000) -> str:
    line = " ".join(text.split())
    return line if len(line) <= length else line[:length] + " ..."
