"""All open files, by version: opened, counted, and let go of."""

from __future__ import annotations

import time

import trio

from cadcfs.cache.fetching import BUDGET, Fetching, RangeSource
from cadcfs.cache.fits import FitsMap
from cadcfs.cache.patience import LastFailure
from cadcfs.cache.shared import Shared, StreamStatistics, Tending, Transferring
from cadcfs.cache.store import BlockStore
from cadcfs.cache.stream import Stream
from cadcfs.cache.version import Version

INDEX_TIME = 0.3
"""Seconds that a report waits for the cache's index."""


class Streams:
    """All open files, by version."""

    def __init__(self, store: BlockStore, nursery: trio.Nursery, *, patience: float = 60.0) -> None:
        self._store = store
        self.patience = patience
        self.fetching = Fetching(nursery, min(BUDGET, store.quota // 4))
        self._shared: dict[Version, Shared] = {}
        self._opening = trio.Lock()
        self._threads = trio.CapacityLimiter(4)
        self._looks = trio.CapacityLimiter(1)
        self.tending = Tending(store, self._shared, nursery, self._opening)
        self.hits = self.misses = 0

    def statistics(self) -> StreamStatistics:
        users = sum(shared.users for shared in self._shared.values())
        counts = self.fetching.counts
        return StreamStatistics(
            users, counts.requests, counts.taken, self.hits, self.misses, counts.cancelled,
            self._store.room.evicted,
        )  # fmt: skip

    def transferring(self) -> list[Transferring]:
        """The files of which bytes are on their way."""
        return [shared.transferring() for shared in self._shared.values() if shared.under_way]

    async def used(self) -> int | None:
        """Bytes that the cache takes on disk; None where its index does not answer at once."""
        with trio.move_on_after(INDEX_TIME):
            return await trio.to_thread.run_sync(
                self._store.used, limiter=self._looks, abandon_on_cancel=True
            )
        return None

    async def open(self, version: Version, source: RangeSource) -> Stream:
        if version not in self._shared:
            await self.tending.make_way()
        shared = self._shared.get(version)
        if shared is None:
            shared = await self._opened(version, source)
        elif not shared.users:
            shared.source = source
        shared.users += 1
        return Stream(self, shared)

    async def _opened(self, version: Version, source: RangeSource) -> Shared:
        file = self._store.open_absent(version)
        if file is None:
            async with self._opening:
                if version in self._shared:
                    return self._shared[version]
                file = await trio.to_thread.run_sync(
                    self._store.open, version, limiter=self._threads
                )
        shared = self._shared[version] = Shared(file, source)
        shared.fits = FitsMap(version.size, file.layout)
        shared.failure = LastFailure()
        return shared

    async def here(self, version: Version) -> int:
        """Bytes of *version* that are in the cache."""
        shared = self._shared.get(version)
        if shared is not None:
            return shared.file.presence.bytes_here()
        return await trio.to_thread.run_sync(self._count, version, limiter=self._threads)

    def _count(self, version: Version) -> int:
        if self._store.open_absent(version) is not None:
            return 0
        file = self._store.open(version)
        try:
            return file.presence.bytes_here()
        finally:
            self._store.close([file])

    def release(self, shared: Shared) -> None:
        """One open file less; the last one ends the fetches, and the file lingers."""
        shared.users -= 1
        shared.left = time.monotonic()
        if not shared.users:
            for fetch in shared.fetches():
                fetch.leave_if_unwanted()
        self.tending.wake()

    async def aclose(self) -> None:
        """Keep what is here of all files; at the end."""
        self.tending.end()
        for shared in self._shared.values():
            shared.file.layout = shared.fits.packed()
        files = [shared.file for shared in self._shared.values()]
        self._shared.clear()
        await trio.to_thread.run_sync(self._store.close, files)
        await trio.to_thread.run_sync(self._store.end)
