"""read(offset, size): what is here, what to fetch, how far ahead.

Hits are served inline on the event loop. Misses wait for their own blocks only; each block is
fetched once however many ask for it, also through several open files of one version. Fetches run
in the cache's nursery, so an interrupted reader takes nothing away from others.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import trio

from cadcfs.cache.blocks import BlockFile, Version
from cadcfs.cache.readahead import LARGEST, ReadAhead
from cadcfs.cache.store import BlockStore
from cadcfs.errors import CadcfsError, Corrupt, Unavailable

log = logging.getLogger(__name__)

Sink = Callable[[int, bytes], None]

FIRST = 128 * 1024
"""Bytes of the first fetch of a file at least: what the kernel asks for anyway."""
LARGEST_FETCH = 16 << 20
"""Bytes in one request."""
FLUSH = 32 << 20
"""Bytes that arrive before the map is written again."""


class RangeSource(Protocol):
    """Where the bytes of one version of one file come from."""

    async def fetch(self, start: int, stop: int, sink: Sink) -> None:
        """Hand the bytes [start, stop) to *sink*(offset, data), in order, perhaps in a thread.

        Raises `cadcfs.errors`; the bytes are of this version or it raises `RemoteChanged`.
        """


@dataclass(frozen=True)
class StreamStatistics:
    """Counts since the start."""

    open_files: int
    fetches: int
    fetched_bytes: int


class _Fetch:
    """One request under way for the blocks [first, stop)."""

    def __init__(self, blocks: range) -> None:
        self.blocks = blocks
        self.error: CadcfsError | None = None
        self.scope = trio.CancelScope()


class _Shared:
    """What all open files of one version have in common."""

    def __init__(self, file: BlockFile, source: RangeSource) -> None:
        self.file = file
        self.source = source
        self.users = 0
        self.under_way: dict[int, _Fetch] = {}
        self.progress = trio.Event()
        self.unflushed = 0

    def wake(self) -> None:
        self.progress.set()
        self.progress = trio.Event()


class Streams:
    """All open files, by version."""

    def __init__(self, store: BlockStore, nursery: trio.Nursery) -> None:
        self._store = store
        self._nursery = nursery
        self._shared: dict[Version, _Shared] = {}
        self._opening = trio.Lock()
        self._threads = trio.CapacityLimiter(4)
        self._fetches = 0
        self._fetched = 0

    def statistics(self) -> StreamStatistics:
        users = sum(shared.users for shared in self._shared.values())
        return StreamStatistics(users, self._fetches, self._fetched)

    async def open(self, version: Version, source: RangeSource) -> Stream:
        async with self._opening:
            shared = self._shared.get(version)
            if shared is None:
                file = await trio.to_thread.run_sync(
                    self._store.open, version, limiter=self._threads
                )
                shared = self._shared[version] = _Shared(file, source)
            shared.users += 1
        shared.source = source
        return Stream(self, shared)

    async def aclose(self) -> None:
        """Keep what is here of all files; at the end."""
        files = [shared.file for shared in self._shared.values()]
        await trio.to_thread.run_sync(self._store.close, files)
        await trio.to_thread.run_sync(self._store.end)

    async def release(self, shared: _Shared) -> None:
        """One open file less; the last one ends the fetches and writes the map."""
        shared.users -= 1
        if shared.users:
            return
        for fetch in set(shared.under_way.values()):
            fetch.scope.cancel()
        # Shielded: a map that is not written costs the next reader the whole file.
        with trio.CancelScope(shield=True):
            async with self._opening:
                if shared.users or self._shared.get(shared.file.version) is not shared:
                    return
                while shared.under_way:
                    await shared.progress.wait()
                del self._shared[shared.file.version]
                await trio.to_thread.run_sync(
                    self._store.close, [shared.file], limiter=self._threads
                )

    def fetch(self, shared: _Shared, blocks: range) -> None:
        """Start fetching absent *blocks*, in requests of bounded size."""
        step = max(1, LARGEST_FETCH // shared.file.presence.block_size)
        for first in range(blocks.start, blocks.stop, step):
            part = _Fetch(range(first, min(first + step, blocks.stop)))
            shared.under_way.update(dict.fromkeys(part.blocks, part))
            self._fetches += 1
            self._nursery.start_soon(self._run, shared, part)

    async def _run(self, shared: _Shared, part: _Fetch) -> None:
        filler = _Filler(shared, part, trio.lowlevel.current_trio_token())
        size = shared.file.presence.block_size
        start, stop = (
            part.blocks.start * size,
            min(part.blocks.stop * size, shared.file.version.size),
        )
        try:
            with part.scope:
                await shared.source.fetch(start, stop, filler.take)
        except CadcfsError as exc:
            part.error = exc
        except Exception as exc:
            log.exception("a fetch failed in an unforeseen way: %s", shared.file.version.key)
            part.error = Unavailable(f"{shared.file.version.key}: {exc!r}")
        finally:
            if part.error is None and part.scope.cancelled_caught:
                part.error = Unavailable(f"{shared.file.version.key}: the fetch was given up")
            for block in part.blocks:
                if shared.under_way.get(block) is part:
                    del shared.under_way[block]
            self._fetched += filler.taken
            shared.unflushed += filler.taken
            shared.wake()
        if shared.unflushed >= FLUSH:
            shared.unflushed = 0
            await trio.to_thread.run_sync(self._store.save, [shared.file], limiter=self._threads)


class _Filler:
    """Cuts what arrives into blocks and stores them; called in the carrier's thread."""

    def __init__(self, shared: _Shared, part: _Fetch, token: trio.lowlevel.TrioToken) -> None:
        self._shared = shared
        self._token = token
        self._block = part.blocks.start
        self._buffer = bytearray()
        self._next = part.blocks.start * shared.file.presence.block_size
        self.taken = 0

    def take(self, offset: int, data: bytes) -> None:
        # After a retry a source may hand over again what had arrived before.
        skip = self._next - offset
        if skip < 0:
            raise Corrupt(f"{self._shared.file.version.key}: a hole before byte {offset}")
        fresh = data[skip:] if skip else data
        self._buffer += fresh
        self._next += len(fresh)
        self.taken += len(fresh)
        self._store()

    def _store(self) -> None:
        presence = self._shared.file.presence
        stored = 0
        while self._block < presence.blocks:
            length = presence.length(self._block)
            if len(self._buffer) - stored < length:
                break
            content = bytes(memoryview(self._buffer)[stored : stored + length])
            if not presence.here[self._block]:
                self._shared.file.write(self._block, content)
            self._block += 1
            stored += length
        if stored:
            del self._buffer[:stored]
            self._token.run_sync_soon(self._shared.wake, idempotent=True)


class Stream:
    """One open file."""

    def __init__(self, streams: Streams, shared: _Shared) -> None:
        self._streams = streams
        self._shared = shared
        self._ahead = ReadAhead()

    def read_now(self, offset: int, size: int) -> bytes | None:
        """The bytes if they are here, else None; never waits."""
        found = self._shared.file.read_now(offset, size)
        if found is not None:
            self._look_ahead(offset, len(found))
        return found

    async def read(self, offset: int, size: int) -> bytes:
        """The bytes; short only at the end of the file.

        Raises
        ------
        CadcfsError
            What the source said; the next read asks again.
        """
        file = self._shared.file
        size = max(0, min(size, file.version.size - offset))
        for _ in range(2):
            if file.mismatches > 1:
                raise Corrupt(f"{file.version.key}: its bytes do not match its checksum")
            try:
                # After a mismatch only the whole can be checked again.
                await self._ensure(*((0, file.version.size) if file.mismatches else (offset, size)))
            except Corrupt as exc:
                if file.mismatches > 1:
                    raise
                log.warning("%s; fetching it once more", exc)
                continue
            found = file.read_now(offset, size)
            if found is not None:
                self._look_ahead(offset, size)
                return found
            file.forget(offset, size)
        raise Corrupt(f"{file.version.key}: bytes {offset}+{size} cannot be kept; check the disk")

    async def aclose(self) -> None:
        await self._streams.release(self._shared)

    async def _ensure(self, offset: int, size: int) -> None:
        """Wait until the blocks of the range are here; start what nobody fetches yet."""
        wanted = self._wanted(offset, size)
        shared = self._shared
        waited_on: set[_Fetch] = set()
        while True:
            absent = [b for b in wanted if not shared.file.presence.here[b]]
            if not absent:
                return
            for fetch in waited_on:
                if fetch.error is not None and any(b in fetch.blocks for b in absent):
                    raise fetch.error
            progress = shared.progress
            self._start(wanted)
            waited_on.update(shared.under_way[b] for b in absent if b in shared.under_way)
            await progress.wait()

    def _wanted(self, offset: int, size: int) -> range:
        presence = self._shared.file.presence
        size_of = presence.block_size
        wanted = range(offset // size_of, -(-(offset + size) // size_of) if size else 0)
        if not self._shared.under_way and not any(presence.here):
            at_least = FIRST // size_of
            first = wanted.start // at_least * at_least
            wanted = range(first, max(wanted.stop, min(first + at_least, presence.blocks)))
        return wanted

    def _start(self, wanted: range) -> None:
        """Fetch those of *wanted* that are neither here nor under way."""
        for run in self._shared.file.presence.absent(wanted.start, wanted.stop):
            start = run.start
            for block in run:
                if block in self._shared.under_way:
                    if block > start:
                        self._streams.fetch(self._shared, range(start, block))
                    start = block + 1
            if start < run.stop:
                self._streams.fetch(self._shared, range(start, run.stop))

    def _look_ahead(self, offset: int, size: int) -> None:
        cursor, window = self._ahead.window(offset, size)
        # Only when less than half of the window is under way: few requests, none of them small.
        if not window or cursor.end + window // 2 <= cursor.known_here:
            return
        presence = self._shared.file.presence
        first = cursor.end // presence.block_size
        stop = min(presence.blocks, -(-(cursor.end + window) // presence.block_size))
        self._start(range(first, stop))
        cursor.known_here = stop * presence.block_size
        if stop == presence.blocks:
            cursor.known_here += LARGEST
