"""Which services answer: a circuit breaker for each of a host's services, and the offline switch.

After a few failures in a row a service is not asked again before its availability (VOSI 1.1, 5)
has been read: a dead archive costs one short look for each call instead of all of a call's time,
and one that is back is noticed by the next call.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import TypeVar
from urllib.parse import urlsplit
from xml.etree import ElementTree

import httpx
import trio

from cadcfs import __version__
from cadcfs.errors import CadcfsError, Offline, TimedOut, Unavailable
from cadcfs.network.distrust import reason_of

log = logging.getLogger(__name__)

T = TypeVar("T")

FAILURES = 3
"""Failures in a row after which a service is looked at before it is asked again."""
LOOK_TIME = 3.0
"""Seconds for the availability document: it is small, and made without the database's help."""


@dataclass
class _Trouble:
    """What is wrong with one service."""

    since: float = field(default_factory=time.time)
    failures: int = 0
    reason: str = ""
    looked: float = -1.0
    verdict: CadcfsError | None = None
    looking: trio.Lock = field(default_factory=trio.Lock)


@dataclass(frozen=True)
class Health:
    """How one service does; times in seconds since 1970.

    *answered* is when it last did, None for never; *since* when its troubles began, and *reason*
    what the last of them was.
    """

    service: str
    is_well: bool
    answered: float | None
    since: float | None = None
    reason: str = ""


class Hosts:
    """What is known of all services. For the event loop only.

    Parameters
    ----------
    offline
        Begin without the network.
    check_every
        Seconds after which a long wait is worth a look whether the service is still there.
    """

    def __init__(self, *, offline: bool = False, check_every: float = 120.0) -> None:
        self._offline = offline
        self.check_every = check_every
        self._troubles: dict[str, _Trouble] = {}
        self._answered: dict[str, float] = {}
        self._http: httpx.AsyncClient | None = None
        self.first_failure = trio.Event()
        """Set once a service did not answer."""

    @property
    def is_offline(self) -> bool:
        return self._offline

    def switch(self, *, offline: bool) -> None:
        """Leave the network alone from now on, or use it again."""
        if offline != self._offline:
            log.info("offline: %s", "on" if offline else "off")
        self._offline = offline

    def health(self) -> list[Health]:
        """How each service does that was asked since the start."""
        found = []
        for service in sorted({*self._answered, *self._troubles}):
            answered, trouble = self._answered.get(service), self._troubles.get(service)
            if trouble is None or (answered is not None and trouble.failures < FAILURES):
                found.append(Health(service, True, answered))
            else:
                found.append(Health(service, False, answered, trouble.since, trouble.reason))
        return found

    async def admit(self, url: str) -> None:
        """Return if the service behind *url* may be asked.

        Raises
        ------
        Offline
            The network is switched off, or the service cannot be reached.
        Unavailable
            The service itself says that it is not available.
        """
        if self._offline:
            raise Offline(f"{url}: offline was asked for; `cadcfs offline off` ends it")
        trouble = self._troubles.get(service_of(url))
        if trouble is not None and trouble.failures >= FAILURES:
            verdict = await self._look(service_of(url), trouble)
            if verdict is not None:
                raise verdict

    def answered(self, url: str) -> None:
        """The service behind *url* works."""
        service = service_of(url)
        self._answered[service] = time.time()
        trouble = self._troubles.pop(service, None)
        if trouble is not None and trouble.failures >= FAILURES:
            log.info("%s answers again", service)

    def failed(self, url: str, reason: object) -> None:
        """The service behind *url* did not answer, or answered that it is broken."""
        service = service_of(url)
        trouble = self._troubles.setdefault(service, _Trouble())
        trouble.failures += 1
        trouble.reason = str(reason)
        self.first_failure.set()
        if trouble.failures == FAILURES:
            log.info("%s fails again and again (%s): looking before asking", service, reason)

    async def while_alive(self, url: str, work: Callable[[], Awaitable[T]]) -> T:
        """What *work* returns; given up when the service behind *url* is gone meanwhile.

        A connection that was lost without a word would be waited for in vain.
        """
        gone: CadcfsError | None = None
        done: list[T] = []
        failure: CadcfsError | None = None

        async def check(scope: trio.CancelScope) -> None:
            nonlocal gone
            while gone is None:
                await trio.sleep(self.check_every)
                gone = await self._availability(service_of(url))
            scope.cancel()

        async with trio.open_nursery() as nursery:
            nursery.start_soon(check, nursery.cancel_scope)
            try:
                done.append(await work())
            except CadcfsError as exc:
                # Not out of the nursery, which would wrap it.
                failure = exc
            nursery.cancel_scope.cancel()
        if done:
            return done[0]
        if failure is None:
            failure = TimedOut(f"{url}: no answer any more: {gone}")
        raise failure

    async def _look(self, service: str, trouble: _Trouble) -> CadcfsError | None:
        came = trio.current_time()
        async with trouble.looking:
            # A look that began after this caller came is as good as one of its own.
            if trouble.looked < came:
                began = trio.current_time()
                trouble.verdict = await self._availability(service)
                trouble.looked = began
                if trouble.verdict is None:
                    # The next failure is looked into again.
                    trouble.failures = FAILURES - 1
                else:
                    trouble.reason = str(trouble.verdict)
        return trouble.verdict

    async def availability(self, url: str) -> CadcfsError | None:
        """Why the service behind *url* says, or shows, that it cannot be used; None where not."""
        return await self._availability(service_of(url))

    async def _availability(self, service: str) -> CadcfsError | None:
        """Why *service* cannot be used; None where it can, as far as it tells."""
        if self._http is None:
            # No connection is kept, so that there is nothing to close.
            limits = httpx.Limits(max_keepalive_connections=0)
            self._http = httpx.AsyncClient(
                headers={"User-Agent": f"cadcfs/{__version__}"},
                timeout=LOOK_TIME, limits=limits, trust_env=True,
            )  # fmt: skip
        try:
            with trio.fail_after(LOOK_TIME):
                response = await self._http.get(f"{service}/availability")
        except (httpx.HTTPError, httpx.InvalidURL, trio.TooSlowError) as exc:
            return Offline(f"{service} cannot be reached ({reason_of(exc)})")
        return _told(service, response.status_code, response.text)


def service_of(url: str) -> str:
    """Host and first part of the path: CADC's services of one host live and die by themselves."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}/{parts.path.strip('/').partition('/')[0]}"


def _told(service: str, status: int, text: str) -> CadcfsError | None:
    """What an availability document says; other answers show at least that somebody is there."""
    try:
        root = ElementTree.fromstring(text)  # noqa: S314  (expat refuses entity bombs)
    except ElementTree.ParseError:
        broken = status >= 500
        return Unavailable(f"{service} is broken: HTTP {status}") if broken else None
    words = {element.tag.rpartition("}")[2]: (element.text or "").strip() for element in root}
    if words.get("available", "true") not in ("false", "0"):
        return None
    return Unavailable(f"{service} is not available: {words.get('note', 'no reason given')}")
