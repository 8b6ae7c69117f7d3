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
from collections import OrderedDict
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar, TypeVarTuple

import trio

from cadcfs.cache.blocks import Version
from cadcfs.cache.records import Made, Records, Refused, measured
from cadcfs.cache.store import BlockStore, NewFile
from cadcfs.cache.stream import Sink, Stream, Streams
from cadcfs.errors import CadcfsError, NoContent, NotFound, Pending, RemoteChanged, Unavailable

log = logging.getLogger(__name__)

T = TypeVar("T")
Ts = TypeVarTuple("Ts")

Maker = Callable[[Path], Awaitable[None]]
"""Writes a whole file under the given path; raises `cadcfs.errors`, or OSError of that path."""

AHEAD = 4
"""Makings under way that nobody has asked for yet, over all directories."""
SPARE = 256 << 20
"""Bytes of made files that are held although the cache has no room for them."""
TOO_LONG = 900.0
"""Seconds after which a making is given up, also one that goes on behind."""
LONGEST = 140.0
"""Seconds that a read waits while a file is made again; a call may not take longer."""
CHUNK = 1 << 20


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
        self._store = store
        self._streams = streams
        self._nursery = nursery
        self._patience = patience
        self._flights: dict[str, _Flight] = {}
        self._spare: OrderedDict[str, int] = OrderedDict()
        self._threads = trio.CapacityLimiter(4)
        self._queue: list[tuple[str, Maker]] = []
        self._pumps = 0
        self._counts = {"made": 0, "refused": 0, "failed": 0}

    def statistics(self) -> WholeStatistics:
        return WholeStatistics(**self._counts, under_way=len(self._flights))

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
            await self._in_thread(self._records.load, new)

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
        again = Remake(self, key, maker, made)
        return made, await self._streams.open(_version(key, made), again)

    @asynccontextmanager
    async def file(self, key: str, maker: Maker) -> AsyncIterator[Path]:
        """A path under which the file can be read meanwhile; raises as `make` does."""
        _, stream = await self.open(key, maker)
        copy = _OwnFile(os.memfd_create("cadcfs", os.MFD_CLOEXEC))
        try:
            offset = 0
            while data := await stream.read(offset, CHUNK):
                await self._in_thread(os.write, copy.fd, data)
                offset += len(data)
        finally:
            await stream.aclose()
        yield Path(f"/proc/self/fd/{copy.fd}")

    def ahead(self, wanted: Sequence[tuple[str, Maker]]) -> None:
        """Make *wanted* in this order, a few at a time; takes the place of what waits so far."""
        self._queue = [(k, m) for k, m in wanted if self._records.peek(k) is None][::-1]
        while self._pumps < min(AHEAD, len(self._queue)):
            self._pumps += 1
            self._nursery.start_soon(self._pump)

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
            self._nursery.start_soon(self._fly, key, maker, flight)
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
            fd, new = await self.fresh(key, maker)
        except NotFound as exc:
            self._counts["refused"] += 1
            refusal = Refused.of(exc, lasting=isinstance(exc, NoContent))
            await self._in_thread(self._records.keep, key, refusal)
            raise
        await self._take(key, fd, new)

    async def fresh(self, key: str, maker: Maker) -> tuple[int, NewFile | None]:
        """A new making: its open file, and its place in the cache if that has one."""
        new = None
        try:
            new = await self._in_thread(self._store.new_file)
            await maker(new.path)
            self._counts["made"] += 1
            return os.open(new.path, os.O_RDONLY | os.O_CLOEXEC), new
        except OSError as exc:
            # A full or broken disk must not fail a read.
            log.warning("the cache's disk fails (%s): %s is made in memory", exc, key)
            _discard(new)
        except BaseException:
            _discard(new)
            raise
        fd = os.memfd_create("cadcfs", os.MFD_CLOEXEC)
        try:
            # By the number of this process, for a maker may be a process of its own.
            await maker(Path(f"/proc/{os.getpid()}/fd/{fd}"))
        except BaseException:
            os.close(fd)
            raise
        self._counts["made"] += 1
        return fd, None

    async def _take(self, key: str, fd: int, new: NewFile | None) -> None:
        try:
            made = Made(*await self._in_thread(measured, fd))
            kept = new is not None and await self._in_thread(_keep, new, _version(key, made))
            await self._in_thread(self._records.keep, key, made)
        except BaseException:
            os.close(fd)
            _discard(new)
            raise
        if kept:
            os.close(fd)
        else:
            self._hold(key, fd)

    def _hold(self, key: str, fd: int) -> None:
        """Keep what the cache has no room for, for those who stat before they open."""
        if key in self._spare:
            os.close(self._spare.pop(key))
        self._spare[key] = fd
        while len(self._spare) > 1 and sum(os.fstat(f).st_size for f in self._spare.values()) > (
            SPARE
        ):
            os.close(self._spare.popitem(last=False)[1])

    def spare(self, key: str) -> int | None:
        """A file of one's own with what is held under *key*."""
        held = self._spare.get(key)
        return None if held is None else os.dup(held)

    async def replace(self, key: str, made: Made) -> None:
        """Another content was made than before: it is another generation from now on."""
        await self._in_thread(self._records.keep, key, made)

    async def _in_thread(self, work: Callable[[*Ts], T], *args: *Ts) -> T:
        return await trio.to_thread.run_sync(work, *args, limiter=self._threads)

    def close(self) -> None:
        """Give back what is held; at the end."""
        while self._spare:
            os.close(self._spare.popitem()[1])


class Remake:
    """Where bytes come from that the cache has lost: the file is made again, once per stream."""

    patience = LONGEST

    def __init__(self, wholes: Wholes, key: str, maker: Maker, made: Made) -> None:
        self._wholes = wholes
        self._key = key
        self._maker = maker
        self._made = made
        self._file: _OwnFile | None = None
        self._making = trio.Lock()

    async def fetch(self, start: int, stop: int, sink: Sink) -> None:
        """Hand the bytes [start, stop) to *sink*(offset, data), in order.

        Raises
        ------
        RemoteChanged
            What is made now is not what was made before.
        """
        async with self._making:
            if self._file is None:
                self._file = await self._again()
        await trio.to_thread.run_sync(_hand, self._file.fd, start, stop, sink)

    async def _again(self) -> _OwnFile:
        held = self._wholes.spare(self._key)
        if held is not None:
            return _OwnFile(held)
        fd, new = await self._wholes.fresh(self._key, self._maker)
        file = _OwnFile(fd)
        _discard(new)
        size, checksum = await trio.to_thread.run_sync(measured, fd)
        if (size, checksum) != (self._made.size, self._made.checksum):
            later = Made(size, checksum, self._made.generation + 1)
            await self._wholes.replace(self._key, later)
            raise RemoteChanged(f"{self._key} is another file than it was")
        return file


class _OwnFile:
    """An open file without a name, closed when nobody needs it any more."""

    def __init__(self, fd: int) -> None:
        self.fd = fd

    def __del__(self) -> None:
        os.close(self.fd)


def _version(key: str, made: Made) -> Version:
    return Version(f"made {key} {made.checksum}", made.size, None)


def _keep(new: NewFile, version: Version) -> bool:
    try:
        return new.keep(version)
    except OSError as exc:
        log.warning("%s is not kept (%s); check the cache's disk", version.key, exc)
        return False


def _discard(new: NewFile | None) -> None:
    if new is not None:
        new.discard()


def _hand(fd: int, start: int, stop: int, sink: Sink) -> None:
    while start < stop:
        data = os.pread(fd, min(CHUNK, stop - start), start)
        if not data:
            raise Unavailable("a file that was made again is shorter than it was")
        sink(start, data)
        start += len(data)
