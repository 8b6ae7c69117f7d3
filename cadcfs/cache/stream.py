"""An open file, read(offset, size): what is here, what to fetch, how far ahead.

Hits are served inline on the event loop. Misses wait for their own blocks only; each block is
fetched once however many ask for it, also through several open files of one version. Fetches run
in the cache's nursery, so an interrupted reader takes nothing away from others; a fetch that
nobody waits for, and that no run of reads is heading for, is ended.
"""

from __future__ import annotations

import logging
import time
from typing import Protocol

from cadcfs.cache.fetching import Fetch, Fetching, piece_of
from cadcfs.cache.patience import Patience
from cadcfs.cache.readahead import LARGEST_SLOW, Cursor, ReadAhead
from cadcfs.cache.shared import Shared, Tending, leave
from cadcfs.errors import CadcfsError, Corrupt

log = logging.getLogger(__name__)

FIRST = 128 * 1024
"""Bytes of the first fetch of a file at least: what the kernel asks for anyway."""


class Owner(Protocol):
    """What an open file needs of all of them (`streams.Streams`)."""

    fetching: Fetching
    tending: Tending
    patience: float
    hits: int
    misses: int

    def release(self, shared: Shared) -> None: ...


class Stream:
    """One open file."""

    def __init__(self, streams: Owner, shared: Shared) -> None:
        self._streams = streams
        self._shared = shared
        self._ahead = ReadAhead()
        seconds = getattr(shared.source, "patience", streams.patience)
        self._patience = Patience(shared.file.version.key, seconds, shared.failure)
        self._walk = Cursor(0, 0)
        """From one FITS header to the next."""

    def read_now(self, offset: int, size: int) -> bytes | None:
        """The bytes if they are here, else None; never waits."""
        file = self._shared.file
        found = file.read_now(offset, size)
        # What was on its way when the file was refused may have come since.
        if found is None or file.mismatches > 1:
            return None
        self._streams.hits += 1
        file.last_read = time.time()
        cursor = self._follow(offset, len(found))
        if offset <= self._shared.fits.awaited < offset + size:
            self._learn(offset, size)
        if cursor.end + LARGEST_SLOW > cursor.ahead:
            self._look_ahead(cursor)
        return found

    async def read(self, offset: int, size: int) -> bytes:
        """The bytes; short only at the end of the file.

        Raises
        ------
        CadcfsError
            What the source said; a read that comes two seconds later asks again.
        """
        file = self._shared.file
        size = max(0, min(size, file.version.size - offset))
        self._patience.recall(self._blocks(offset, size))
        self._streams.misses += 1
        cursor = self._follow(offset, size)
        for _ in range(3):
            if file.mismatches > 1:
                raise Corrupt(f"{file.version.key}: its bytes do not match its checksum")
            # After a mismatch only the whole can be checked again.
            span = (0, file.version.size) if file.mismatches else (offset, size)
            try:
                with self._shared.pinned(self._blocks(*span)) as wanted:
                    await self._ensure(wanted, cursor, offset)
                    found = file.read_now(offset, size)
            except Corrupt as exc:
                if file.mismatches != 1:
                    raise
                log.warning("%s; fetching it once more", exc)
                continue
            if found is not None:
                file.last_read = time.time()
                self._learn(offset, size)
                self._look_ahead(cursor)
                return found
            file.forget(offset, size)
        raise Corrupt(f"{file.version.key}: bytes {offset}+{size} cannot be kept; check the disk")

    @property
    def mismatches(self) -> int:
        """How often the whole file was thrown away: what was read before that may be wrong."""
        return self._shared.file.mismatches

    async def aclose(self) -> None:
        for cursor in (*self._ahead.runs(), self._walk):
            leave(cursor)
        self._streams.release(self._shared)

    def _follow(self, offset: int, size: int) -> Cursor:
        if self._shared.fits.in_header(offset, size):
            # From header to header is no run: what lies between them is not wanted.
            return Cursor(offset, offset + size)
        cursor, left = self._ahead.follow(offset, size)
        if left is not None:
            leave(left)
        return cursor

    def _blocks(self, offset: int, size: int) -> range:
        step = self._shared.file.presence.block_size
        return range(offset // step, -(-(offset + size) // step) if size else offset // step)

    async def _ensure(self, wanted: range, cursor: Cursor, offset: int) -> None:
        """Wait until the blocks are here; start what nobody fetches yet."""
        shared = self._shared
        presence = shared.file.presence
        waited_on: set[Fetch] = set()
        since = time.monotonic()
        try:
            while presence.here.find(0, wanted.start, wanted.stop) >= 0:
                absent = [b for b in wanted if not presence.here[b]]
                for fetch in waited_on:
                    if fetch.error is not None and any(b in fetch.blocks for b in absent):
                        raise fetch.error
                progress = shared.progress
                self._start(wanted, cursor, offset)
                for fetch in {shared.under_way[b] for b in absent if b in shared.under_way}:
                    if fetch not in waited_on:
                        fetch.waiting += 1
                        waited_on.add(fetch)
                # What another process has fetched is here now, and nothing is under way for it;
                # and what came before it was known that somebody waits woke nobody.
                if any(b in shared.under_way and not presence.here[b] for b in absent):
                    await self._patience.wait(progress, waited_on, since)
        except CadcfsError as exc:
            self._patience.remember(wanted, exc)
            raise
        finally:
            for fetch in waited_on:
                fetch.waiting -= 1
                fetch.leave_if_unwanted()

    def _start(self, wanted: range, cursor: Cursor, offset: int) -> None:
        """Fetch those of *wanted* that are neither here nor under way, and what goes with them."""
        shared = self._shared
        lacking = shared.lacking(wanted)
        if not lacking:
            return
        shared.file.refresh(wanted)
        for run in shared.lacking(self._with_neighbours(wanted, offset)):
            if run.start < wanted.stop and run.stop > wanted.start:
                self._streams.fetching.start(shared, run)
        self._streams.tending.wake()
        self._look_ahead(cursor)

    def _with_neighbours(self, wanted: range, offset: int) -> range:
        """The blocks that are sure to be asked for with these: a header's, or a tile's."""
        shared = self._shared
        presence = shared.file.presence
        first = FIRST // presence.block_size
        if not presence.count and not shared.under_way:
            start = wanted.start // first * first
            return range(start, max(wanted.stop, min(start + first, presence.blocks)))
        asked = wanted.stop * presence.block_size - offset
        extent = shared.fits.extent(offset, asked, shared.file.read_now)
        stop = min(presence.blocks, -(-extent // presence.block_size))
        return range(wanted.start, max(wanted.stop, stop))

    def _learn(self, offset: int, size: int) -> None:
        """Read on in the headers that have arrived; fetch the next one if the reader walks."""
        shared = self._shared
        following = shared.fits.walked(offset, size, shared.file.read_now)
        if following is not None:
            wanted = self._blocks(following, FIRST // 2)
            blocks = range(wanted.start, min(wanted.stop, shared.file.presence.blocks))
            started, _ = self._streams.fetching.start_ahead(shared, blocks, FIRST)
            self._keep(self._walk, started)

    def _look_ahead(self, cursor: Cursor) -> None:
        """Keep as much under way beyond the cursor as its run deserves."""
        shared = self._shared
        presence = shared.file.presence
        slow = shared.pace.streams > 1
        window = min(cursor.window(slow=slow), shared.file.keeping.capacity // 2)
        # Few requests, none of them small: half a window at a time, or one piece of several.
        piece = piece_of(window, shared.pace.streams) if slow else window // 2
        if not window or cursor.end + window - piece < cursor.ahead:
            return
        limit = shared.fits.end_of_run(cursor.start, cursor.end)
        end = min(cursor.end + window, limit)
        first = max(cursor.end, cursor.ahead) // presence.block_size
        stop = min(presence.blocks, -(-end // presence.block_size))
        if slow and end < limit:
            stop -= (stop - first) % (piece // presence.block_size)
        if first < stop:
            started, reached = self._streams.fetching.start_ahead(shared, range(first, stop), piece)
            self._keep(cursor, started)
            cursor.ahead = reached * presence.block_size
        elif stop == presence.blocks:
            cursor.ahead = presence.size + LARGEST_SLOW

    def _keep(self, cursor: Cursor, fetches: list[Fetch]) -> None:
        for done in [f for f in cursor.fetches if f.blocks[0] not in self._shared.under_way]:
            cursor.fetches.discard(done)
        for fetch in fetches:
            fetch.runs += 1
            cursor.fetches.add(fetch)
