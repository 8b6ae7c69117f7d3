"""Files that must be made whole before they have a size: cutouts, headers, unpacked images.

Generic: takes makers, knows no archive. A file is made once however many ask, and goes into the
block cache, where it is counted, checked and evicted like all others; its size and checksum are
kept apart, so that stat needs no content. What was evicted or damaged is made again when it is
read, and has to be what it was. A making goes on when its asker is gone; one that needs longer
than the patience is `Pending` and found whole the next time.
"""

from __future__ import annotations

import logging
import os
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import trio

from cadcfs.cache.making import CHUNK, Maker, Makings, OwnFile, Remake, version_of
from cadcfs.cache.records import Made, Records, Refused
from cadcfs.cache.store import BlockStore
from cadcfs.cache.stream import Stream
from cadcfs.cache.streams import Streams
from cadcfs.errors import CadcfsError, NoContent, NotFound, Pending, Unavailable
from cadcfs.tasks import guarded

__all__ = ["Maker", "WholeStatistics", "Wholes"]

log = logging.getLogger(__name__)

AHEAD = 4
"""Makings under way that nobody has asked for yet, over all directories."""
TOO_LONG = 900.0
"""Seconds after which a making is given up, also one that goes on behind."""


@dataclass(frozen=True)
class WholeStatistics:
    """Counts since the start."""

    made: int
    refused: int
    failed: int
    under_way: int


class _Flight:
    """One making under way and who waits for it."""

    def __init__(self) -> None:
        self.done = trio.Event()
        self.error: CadcfsError | None = None


class Wholes:
    """All made files by key. Methods are for the event loop; disk work goes to threads."""

    def __init__(
        self, root: Path, store: BlockStore, streams: Streams, nursery: trio.Nursery, *,
        patience: float = 120.0,
    ) -> None:  # fmt: skip
        self._records = Records(root / "made-v1")
        self._makings = Makings(self._records, store)
        self._streams = streams
        self._nursery = nursery
        self._patience = patience
        self._flights: dict[str, _Flight] = {}
        self._queue: list[tuple[str, Maker]] = []
        self._pumps = 0
        self._counts = {"refused": 0, "failed": 0}

    def statistics(self) -> WholeStatistics:
        return WholeStatistics(self._makings.made, **self._counts, under_way=len(self._flights))

    def known(self, key: str) -> Made | None:
        """What was made under *key*, also if it was evicted since; never waits."""
        found = self._records.peek(key)
        return found if isinstance(found, Made) else None

    def is_refused(self, key: str) -> bool:
        """True for what cannot be made, as was said lately; never waits."""
        found = self._records.peek(key)
        return isinstance(found, Refused) and found.is_fresh()

    async def recall(self, keys: Iterable[str]) -> None:
        """Have at hand what the disk knows of *keys*; never asks the network."""
        new = [key for key in keys if self._records.peek(key) is None]
        if new:
            await self._makings.in_thread(self._records.load, new)

    async def make(self, key: str, maker: Maker) -> Made:
        """The file under *key*, made if it never was.

        Raises
        ------
        Pending
            It needs longer than the patience; it goes on behind.
        CadcfsError
            What *maker* raised.
        """
        flight = self._start(key, maker)
        with trio.move_on_after(self._patience):
            await flight.done.wait()
        if not flight.done.is_set():
            raise Pending(f"not ready within {self._patience:g} s; it is being made: {key}")
        if flight.error is not None:
            raise flight.error
        made = self.known(key)
        assert made is not None
        return made

    async def open(self, key: str, maker: Maker) -> tuple[Made, Stream]:
        """The file under *key*, made if it never was; raises as `make` does."""
        made = await self.make(key, maker)
        again = Remake(self._makings, key, maker, made, self._patience)
        return made, await self._streams.open(version_of(key, made), again)

    @asynccontextmanager
    async def file(self, key: str, maker: Maker) -> AsyncIterator[Path]:
        """A path under which the file can be read meanwhile; raises as `make` does."""
        _, stream = await self.open(key, maker)
        copy = OwnFile(os.memfd_create("cadcfs", os.MFD_CLOEXEC))
        try:
            offset = 0
            while data := await stream.read(offset, CHUNK):
                await self._makings.in_thread(os.write, copy.fd, data)
                offset += len(data)
        finally:
            await stream.aclose()
        yield Path(f"/proc/self/fd/{copy.fd}")

    def ahead(self, wanted: Sequence[tuple[str, Maker]]) -> None:
        """Make *wanted* in this order, a few at a time; takes the place of what waits so far."""
        self._queue = [(k, m) for k, m in wanted if self._records.peek(k) is None][::-1]
        while self._pumps < min(AHEAD, len(self._queue)):
            self._pumps += 1
            self._nursery.start_soon(guarded, self._pump)

    async def _pump(self) -> None:
        try:
            while self._queue:
                key, maker = self._queue.pop()
                flight = self._start(key, maker)
                await flight.done.wait()
                if flight.error is not None and not isinstance(flight.error, NotFound):
                    # The next ones would fail as well, and nobody has asked for them.
                    log.info("nothing more is made ahead: %s", flight.error)
                    self._queue.clear()
        finally:
            self._pumps -= 1

    def _start(self, key: str, maker: Maker) -> _Flight:
        flight = self._flights.get(key)
        if flight is None:
            flight = _Flight()
            if self.known(key) is not None:
                flight.done.set()
                return flight
            self._flights[key] = flight
            # In the cache's own nursery: the first asker may be interrupted, others wait on.
            self._nursery.start_soon(guarded, self._fly, key, maker, flight)
        return flight

    async def _fly(self, key: str, maker: Maker, flight: _Flight) -> None:
        finished = False
        try:
            with trio.fail_after(TOO_LONG):
                await self._ensure(key, maker)
            finished = True
        except trio.TooSlowError:
            flight.error = Unavailable(f"{key}: not made within {TOO_LONG:g} s")
        except CadcfsError as exc:
            flight.error = exc
        except Exception as exc:
            log.exception("a making failed in an unforeseen way: %s", key)
            flight.error = Unavailable(f"{key}: {exc!r}")
        finally:
            if flight.error is not None and not isinstance(flight.error, NotFound):
                self._counts["failed"] += 1
            if not finished and flight.error is None:
                flight.error = Unavailable(f"{key}: the mount is ending")
            del self._flights[key]
            flight.done.set()

    async def _ensure(self, key: str, maker: Maker) -> None:
        await self.recall([key])
        known = self._records.peek(key)
        if isinstance(known, Refused) and known.is_fresh():
            raise known.error()
        if isinstance(known, Made):
            return
        try:
            fd, new = await self._makings.fresh(key, maker)
        except NotFound as exc:
            self._counts["refused"] += 1
            refusal = Refused.of(exc, lasting=isinstance(exc, NoContent))
            await self._makings.in_thread(self._records.keep, key, refusal)
            raise
        await self._makings.take(key, fd, new)

    def close(self) -> None:
        """Give back what is held; at the end."""
        self._makings.close()
