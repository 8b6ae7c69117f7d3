"""Answers by key: fresh ones at once, stale ones at once and asked again behind, one flight a key.

Generic: knows no archive. What was answered is kept by `Shelf`.
"""

from __future__ import annotations

import logging
import math
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Sized
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

import trio

from cadcfs.cache.asker import current_asker, on_behalf_of
from cadcfs.cache.flight import Flight
from cadcfs.cache.shelf import Kept, Shelf, rows_of
from cadcfs.errors import Busy, CadcfsError, Pending, Unavailable
from cadcfs.network.behind import behind
from cadcfs.tasks import guarded

log = logging.getLogger(__name__)

T = TypeVar("T")

NOTHING_FRESH = 60.0
"""Seconds that an empty answer is believed: a new target should not stay hidden for long."""
STALE_FACTOR = 24.0
"""An answer up to so many lives old is shown while it is asked again; an older one waits."""
ERRORS = 1000
"""Answers whose last failure is remembered."""


@dataclass(frozen=True)
class ListingStatistics:
    """Counts since the start."""

    known: int
    rows: int
    loads: int
    failures: int
    in_flight: int
    waiting: int
    stale: int


@dataclass(frozen=True)
class History:
    """What happened to one answer: seconds since 1970, None for never; *error* "" for none.

    *is_stale*: a newer answer was asked for, and did not come yet.
    """

    stored: float | None
    rows: int
    is_stale: bool
    since: float | None
    error: str


class Listings:
    """A cache of whole answers. Methods are for the event loop; disk work goes to threads."""

    def __init__(self, directory: Path, nursery: trio.Nursery, *, patience: float = 120.0) -> None:
        self._shelf = Shelf(directory)
        self._nursery = nursery
        self._patience = patience
        self._flights: dict[str, Flight] = {}
        self._loads = 0
        self._failures = 0
        self._errors: OrderedDict[str, str] = OrderedDict()

    def statistics(self) -> ListingStatistics:
        return ListingStatistics(
            len(self._shelf), self._shelf.rows, self._loads, self._failures, len(self._flights),
            sum(flight.waiting for flight in self._flights.values()),
            sum(key in self._shelf for key in self._errors),
        )  # fmt: skip

    async def text(self, key: str, load: Callable[[], Awaitable[str]], fresh: float) -> str:
        """A short text answer (`archive.services.Memory`)."""
        return await self.get(key, load, fresh)

    def peek(self, key: str) -> Any | None:  # noqa: ANN401  (the caller knows what it stored)
        """What memory holds under *key*, of any age; never waits."""
        known = self._shelf.peek(key)
        return None if known is None else known.value

    async def history(self, key: str) -> History:
        """What happened to the answer under *key*; never asks the network."""
        known = await self._shelf.find(key)
        flight = self._flights.get(key)
        return History(
            stored=None if known is None else known.stored,
            rows=0 if known is None else rows_of(known.value) - 1,
            is_stale=known is not None and (known.expired or key in self._errors),
            since=None if flight is None else flight.since,
            error=self._errors.get(key, ""),
        )

    async def expire(self, key: str) -> None:
        """Ask again at the next occasion; the old answer stands in where nothing answers."""
        known = await self._shelf.find(key)
        if known is not None:
            self._shelf.keep(key, replace(known, expired=True))

    def stored(self, key: str) -> float | None:
        """When the answer in memory was stored, in seconds since 1970."""
        known = self._shelf.peek(key)
        return None if known is None else known.stored

    async def recall(self, key: str) -> Any | None:  # noqa: ANN401
        """What memory or disk hold, of any age; never asks the network."""
        known = await self._shelf.find(key)
        return None if known is None else known.value

    async def put(self, key: str, value: object) -> None:
        """Keep *value* under *key*, as if it had been loaded now."""
        known = Kept(value, time.time())
        self._shelf.keep(key, known)
        await self._shelf.store(key, known)

    async def get(self, key: str, load: Callable[[], Awaitable[T]], fresh: float) -> T:
        """The answer under *key*, loaded at most once however many ask at the same time.

        Parameters
        ----------
        fresh
            Seconds that an answer is believed without asking again.

        Raises
        ------
        Pending
            The load needs longer than the patience; it goes on behind.
        Busy
            The asker has asked too much, and nothing is known.
        CadcfsError
            What *load* raised, when no older answer can stand in.
        """
        known = await self._shelf.find(key)
        if known is not None:
            age = math.inf if known.expired else abs(time.time() - known.stored)
            if age < (fresh if _has_content(known.value) else min(fresh, NOTHING_FRESH)):
                return known.value  # type: ignore[no-any-return]
            is_stale = age < fresh * STALE_FACTOR and _has_content(known.value)
            # While it is being asked, who comes later need not wait for it.
            if is_stale or key in self._flights:
                self._refresh(key, load)
                return known.value  # type: ignore[no-any-return]
        try:
            await self._turn(key, known)
            await self._start(key, load).wait(key, self._patience)
        except (Unavailable, Pending, Busy) as exc:
            if known is None:
                raise
            log.warning("%s; showing the answer of %s", exc, time.ctime(known.stored))
            return known.value  # type: ignore[no-any-return]
        found = await self._shelf.find(key)
        if found is None:
            raise Unavailable(f"{key}: neither memory nor the disk has room for the answer")
        return found.value  # type: ignore[no-any-return]

    async def _turn(self, key: str, known: Kept | None) -> None:
        """Wait until the asker may ask something new; somebody else may ask it meanwhile."""
        asker = current_asker()
        if asker is not None and key not in self._flights and self._shelf.peek(key) is known:
            await asker.turn()

    def _refresh(self, key: str, load: Callable[[], Awaitable[Any]]) -> None:
        """Ask again behind, if whoever caused it may."""
        asker = current_asker()
        if key not in self._flights and (asker is None or asker.turn_nowait()):
            self._start(key, load).behind = True

    def _start(self, key: str, load: Callable[[], Awaitable[Any]]) -> Flight:
        flight = self._flights.get(key)
        if flight is None or not flight.is_wanted:
            flight = self._flights[key] = Flight()
            # In the cache's own nursery: the first asker may be interrupted, others wait on.
            self._nursery.start_soon(guarded, self._fly, key, load, flight)
        return flight

    async def _fly(self, key: str, load: Callable[[], Awaitable[Any]], flight: Flight) -> None:
        self._loads += 1
        known = None
        try:
            # What a question needs to be asked (where the service is) is nobody's turn.
            with flight.scope, on_behalf_of(None), behind(flight.behind):
                known = Kept(await load(), time.time())
                self._shelf.keep(key, known)
                self._errors.pop(key, None)
        except CadcfsError as exc:
            self._failed(key, exc)
            flight.error = exc
        except Exception as exc:
            self._failed(key, exc)
            log.exception("a load failed in an unforeseen way: %s", key)
            flight.error = Unavailable(f"{key}: {exc!r}")
        finally:
            if known is None and flight.error is None:
                flight.error = Unavailable(f"{key}: the mount is ending")
            # Landed before it is stored: an answer that is on its way to disk is no question.
            if self._flights.get(key) is flight:
                del self._flights[key]
            flight.done.set()
        if known is not None:
            await self._shelf.store(key, known)

    def _failed(self, key: str, exc: Exception) -> None:
        self._failures += 1
        self._errors[key] = str(exc)
        while len(self._errors) > ERRORS:
            self._errors.popitem(last=False)

    def close(self) -> None:
        """Close the files on disk; blocking, at the end."""
        self._shelf.close()


def _has_content(value: object) -> bool:
    return not isinstance(value, Sized) or len(value) > 0
