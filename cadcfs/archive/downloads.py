"""Bodies that a service makes when they are asked for: header texts and cutouts.

They have no length and take no ranges, so each comes whole or is asked again from its start.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from typing import Protocol

import trio

from cadcfs.errors import TimedOut, Unavailable
from cadcfs.network.carrier import ATTEMPTS, Body, Carrier, Reply
from cadcfs.network.redirects import HOPS, next_place

log = logging.getLogger(__name__)


class Sink(Protocol):
    """Takes a body; called in a worker thread."""

    def begin(self, reply: Reply) -> None:
        """A body begins, for the first time or again; may raise what ends it."""

    def take(self, data: bytes) -> None: ...

    def end(self) -> None:
        """The body is whole as far as HTTP tells; may raise `Unavailable` to have it again."""


async def download(
    carrier: Carrier, url: str, sink: Sink, headers: Mapping[str, str] | None = None
) -> None:
    """Hand the whole body behind *url* to *sink*, redirects followed.

    Raises
    ------
    CadcfsError
        What the service says, or what *sink* raises.
    """
    failures = 0
    while True:
        try:
            await _once(carrier, url, Body(sink.take, sink.begin, headers or {}))
            await trio.to_thread.run_sync(sink.end)
        except TimedOut:
            raise
        except Unavailable as exc:
            failures += 1
            if failures == ATTEMPTS:
                raise
            log.info("%s; asking again", exc)
            await carrier.pause(failures)
            continue
        return


async def _once(carrier: Carrier, url: str, body: Body) -> None:
    place = url
    for _ in range(HOPS):
        reply = await carrier.get_body(place, body)
        if reply.location is None:
            return
        place = next_place(place, reply.location)
    raise Unavailable(f"{url}: more than {HOPS} redirects")


class Text:
    """A sink for small texts."""

    def __init__(self, check: Callable[[Reply], None]) -> None:
        self._check = check
        self._parts: list[bytes] = []

    def begin(self, reply: Reply) -> None:
        self._parts.clear()
        self._check(reply)

    def take(self, data: bytes) -> None:
        self._parts.append(data)

    def end(self) -> None:
        return

    def content(self) -> bytes:
        return b"".join(self._parts)
