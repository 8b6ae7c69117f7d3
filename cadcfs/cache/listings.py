"""Answers by key: fresh ones at once, stale ones at once and asked again behind, one flight a key.

Generic: knows no archive. Kept in memory as long as they are small in sum, and on disk (diskcache)
for the next mount and for days without a network. A damaged entry is a miss.
"""

from __future__ import annotations

import logging
import math
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Sized
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import trio

from cadcfs.cache.asker import current_asker, on_behalf_of
from cadcfs.cache.flight import Flight
from cadcfs.errors import Busy, CadcfsError, Pending, Unavailable
from cadcfs.network.behind import behind
from cadcfs.tasks import guarded

if TYPE_CHECKING:
    import diskcache

log = logging.getLogger(__name__)

T = TypeVar("T")

NOTHING_FRESH = 60.0
"""Seconds that an empty answer is believed: a new target should not stay hidden for long."""
STALE_FACTOR = 24.0
"""An answer up to so many lives old is shown while it is asked again; an older one waits."""
MEMORY_ROWS = 2_000_000
"""Rows kept in memory over all answers."""
ERRORS = 1000
"""Answers whose last failure is remembered."""
DISK_BYTES = 1 << 30
"""Limit of the answers on disk; the least recently stored go first."""


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


@dataclass(frozen=True)
class _Known:
    value: Any
    stored: float
    expired: bool = False


class Listings:
    """A cache of whole answers. Methods are for the event loop; disk work goes to threads."""

    def __init__(self, directory: Path, nursery: trio.Nursery, *, patience: float = 120.0) -> None:
        self._directory = directory
        self._nursery = nursery
        self._patience = patience
        self._known: OrderedDict[str, _Known] = OrderedDict()
        self._rows = 0
        self._flights: dict[str, Flight] = {}
        self._threads = trio.CapacityLimiter(2)
        self._disk: diskcache.Cache | None = None
        self._disk_works = True
        self._loads = 0
        self._failures = 0
        self._errors: OrderedDict[str, str] = OrderedDict()

    def statistics(self) -> ListingStatistics:
        return ListingStatistics(
            len(self._known), self._rows, self._loads, self._failures, len(self._flights),
            sum(flight.waiting for flight in self._flights.values()),
            sum(key in self._known for key in self._errors),
        )  # fmt: skip

    async def text(self, key: str, load: Callable[[], Awaitable[str]], fresh: float) -> str:
        """A short text answer (`archive.services.Memory`)."""
        return await self.get(key, load, fresh)

    def peek(self, key: str) -> Any | None:  # noqa: ANN401  (the caller knows what it stored)
        """What memory holds under *key*, of any age; never waits."""
        known = self._known.get(key)
        return None if known is None else known.value

    async def history(self, key: str) -> History:
        """What happened to the answer under *key*; never asks the network."""
        known = await self._remembered(key)
        flight = self._flights.get(key)
        return History(
            stored=None if known is None else known.stored,
            rows=0 if known is None else _rows(known.value) - 1,
            is_stale=known is not None and (known.expired or key in self._errors),
            since=None if flight is None else flight.since,
            error=self._errors.get(key, ""),
        )

    async def expire(self, key: str) -> None:
        """Ask again at the next occasion; the old answer stands in where nothing answers."""
        known = await self._remembered(key)
        if known is not None:
            self._known[key] = replace(known, expired=True)

    def stored(self, key: str) -> float | None:
        """When the answer in memory was stored, in seconds since 1970."""
        known = self._known.get(key)
        return None if known is None else known.stored

    async def recall(self, key: str) -> Any | None:  # noqa: ANN401
        """What memory or disk hold, of any age; never asks the network."""
        known = await self._remembered(key)
        return None if known is None else known.value

    async def put(self, key: str, value: object) -> None:
        """Keep *value* under *key*, as if it had been loaded now."""
        known = _Known(value, time.time())
        self._keep(key, known)
        await self._store(key, known)

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
        known = await self._remembered(key)
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
        return self._known[key].value  # type: ignore[no-any-return]

    async def _turn(self, key: str, known: _Known | None) -> None:
        """Wait until the asker may ask something new; somebody else may ask it meanwhile."""
        asker = current_asker()
        if asker is not None and key not in self._flights and self._known.get(key) is known:
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
                known = _Known(await load(), time.time())
                self._keep(key, known)
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
            await self._store(key, known)

    def _failed(self, key: str, exc: Exception) -> None:
        self._failures += 1
        self._errors[key] = str(exc)
        while len(self._errors) > ERRORS:
            self._errors.popitem(last=False)

    def _keep(self, key: str, known: _Known) -> None:
        old = self._known.pop(key, None)
        self._rows += _rows(known.value) - (_rows(old.value) if old else 0)
        self._known[key] = known
        while self._rows > MEMORY_ROWS and len(self._known) > 1:
            _, dropped = self._known.popitem(last=False)
            self._rows -= _rows(dropped.value)

    async def _remembered(self, key: str) -> _Known | None:
        if key in self._known:
            self._known.move_to_end(key)
            return self._known[key]
        found = await self._in_thread(self._read, key)
        # Another task may have loaded a newer answer meanwhile.
        if found is not None and key not in self._known:
            self._keep(key, found)
        return self._known.get(key)

    def _read(self, key: str) -> _Known | None:
        found = self._opened().get(key)
        if isinstance(found, tuple) and len(found) == 2 and isinstance(found[0], float):
            return _Known(found[1], found[0])
        return None

    async def _store(self, key: str, known: _Known) -> None:
        await self._in_thread(lambda k: self._opened().set(k, (known.stored, known.value)), key)

    async def _in_thread(self, work: Callable[[str], Any], key: str) -> Any:  # noqa: ANN401
        """Disk trouble of any kind is a miss: answers must come without a disk, too."""
        try:
            return await trio.to_thread.run_sync(work, key, limiter=self._threads)
        except Exception as exc:  # noqa: BLE001  (sqlite, pickle and the file system all may fail)
            if self._disk_works:
                log.warning("answers are not kept on disk (%r); check %s", exc, self._directory)
            self._disk_works = False
            return None

    def _opened(self) -> diskcache.Cache:
        if self._disk is None:
            import diskcache

            self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._disk = diskcache.Cache(str(self._directory), size_limit=DISK_BYTES)
        return self._disk

    def close(self) -> None:
        """Close the files on disk; blocking, at the end."""
        if self._disk is not None:
            self._disk.close()


def _rows(value: object) -> int:
    return 1 if isinstance(value, str) or not isinstance(value, Sized) else 1 + len(value)


def _has_content(value: object) -> bool:
    return not isinstance(value, Sized) or len(value) > 0
