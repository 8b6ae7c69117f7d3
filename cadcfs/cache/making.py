"""One making of a file: its bytes, its place in the cache or outside it, and making it again."""

from __future__ import annotations

import logging
import os
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TypeVar, TypeVarTuple

import trio

from cadcfs.cache.fetching import Sink
from cadcfs.cache.records import Made, Records, measured
from cadcfs.cache.store import BlockStore, NewFile
from cadcfs.cache.version import Version
from cadcfs.errors import RemoteChanged, Unavailable

log = logging.getLogger(__name__)

T = TypeVar("T")
Ts = TypeVarTuple("Ts")

Maker = Callable[[Path], Awaitable[None]]
"""Writes a whole file under the given path; raises `cadcfs.errors`, or OSError of that path."""

SPARE = 256 << 20
"""Bytes of made files that are held although the cache has no room for them."""
CHUNK = 1 << 20


class Makings:
    """Makes files and puts them where they are found again. For the event loop."""

    def __init__(self, records: Records, store: BlockStore) -> None:
        self._records = records
        self._store = store
        self._spare: OrderedDict[str, int] = OrderedDict()
        self._threads = trio.CapacityLimiter(4)
        self.made = 0
        """Files made since the start."""

    async def fresh(self, key: str, maker: Maker) -> tuple[int, NewFile | None]:
        """A new making: its open file, and its place in the cache if that has one."""
        new = None
        try:
            new = await self.in_thread(self._store.new_file)
            await maker(new.path)
            self.made += 1
            return os.open(new.path, os.O_RDONLY | os.O_CLOEXEC), new
        except OSError as exc:
            # A full or broken disk must not fail a read.
            self._store.room.complaints.tell(
                log, "the cache's disk fails (%s): %s is made in memory", exc, key
            )
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
        self.made += 1
        return fd, None

    async def take(self, key: str, fd: int, new: NewFile | None) -> None:
        """Keep a making, which is known under *key* from now on."""
        try:
            made = Made(*await self.in_thread(measured, fd))
            kept = new is not None and await self.in_thread(self._keep, new, version_of(key, made))
            await self.in_thread(self._records.keep, key, made)
        except BaseException:
            os.close(fd)
            _discard(new)
            raise
        if kept:
            os.close(fd)
        else:
            self._hold(key, fd)

    def _keep(self, new: NewFile, version: Version) -> bool:
        try:
            return new.keep(version)
        except OSError as exc:
            self._store.room.complaints.tell(
                log, "%s is not kept (%s); check the cache's disk", version.key, exc
            )
            return False

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
        await self.in_thread(self._records.keep, key, made)

    async def in_thread(self, work: Callable[[*Ts], T], *args: *Ts) -> T:
        return await trio.to_thread.run_sync(work, *args, limiter=self._threads)

    def close(self) -> None:
        """Give back what is held; at the end."""
        while self._spare:
            os.close(self._spare.popitem()[1])


class Remake:
    """Where bytes come from that the cache has lost: the file is made again, once per stream.

    *patience* is how many seconds a reader waits for that, as for a making.
    """

    def __init__(
        self, makings: Makings, key: str, maker: Maker, made: Made, patience: float
    ) -> None:
        self.patience = patience
        self._makings = makings
        self._key = key
        self._maker = maker
        self._made = made
        self._file: OwnFile | None = None
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

    async def _again(self) -> OwnFile:
        held = self._makings.spare(self._key)
        if held is not None:
            return OwnFile(held)
        fd, new = await self._makings.fresh(self._key, self._maker)
        file = OwnFile(fd)
        _discard(new)
        size, checksum = await trio.to_thread.run_sync(measured, fd)
        if (size, checksum) != (self._made.size, self._made.checksum):
            later = Made(size, checksum, self._made.generation + 1)
            await self._makings.replace(self._key, later)
            raise RemoteChanged(f"{self._key} is another file than it was")
        return file


class OwnFile:
    """An open file without a name, closed when nobody needs it any more."""

    def __init__(self, fd: int) -> None:
        self.fd = fd

    def __del__(self) -> None:
        os.close(self.fd)


def version_of(key: str, made: Made) -> Version:
    return Version(f"made {key} {made.checksum}", made.size, None)


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
