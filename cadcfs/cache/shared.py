"""What all open files of one version have in common, and when these are saved and closed."""

from __future__ import annotations

import errno
import resource
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import trio

from cadcfs.cache.fetching import Transfer
from cadcfs.cache.fits import FitsMap
from cadcfs.cache.patience import LastFailure
from cadcfs.cache.readahead import Cursor
from cadcfs.cache.store import BlockStore
from cadcfs.cache.version import Version
from cadcfs.tasks import guarded

SAVE_EVERY = 5.0
"""Seconds between two times that what has arrived is made to survive a crash."""
LINGER = 10.0
"""Seconds that a file stays open after its last reader: programs open the same one many times."""
LINGERING = 128
"""Files that linger at most ..."""
LINGERING_PART = 8
"""... and not more than this part of the descriptors that the process may have."""
RESERVED = 96
"""Descriptors for all but files: sockets, databases, the kernel's device."""
LEAST = 16
"""Files that may be open in any case."""


@dataclass(frozen=True)
class StreamStatistics:
    """Counts since the start."""

    open_files: int
    fetches: int
    fetched_bytes: int
    hits: int = 0
    misses: int = 0
    cancelled: int = 0
    evicted_files: int = 0


@dataclass(frozen=True)
class Transferring:
    """A file of which bytes are coming: how many are *here* of its *size*."""

    file: str
    here: int
    size: int


class Shared(Transfer):
    """One version that is open, or was until a moment ago."""

    users = 0
    left = 0.0
    saved = 0.0
    fits: FitsMap
    failure: LastFailure

    def transferring(self) -> Transferring:
        version, presence = self.file.version, self.file.presence
        here = min(presence.count * presence.block_size, version.size)
        return Transferring(version.key.partition(" ")[0], here, version.size)

    @contextmanager
    def pinned(self, wanted: range) -> Iterator[range]:
        """Keep blocks from being evicted while somebody waits for them."""
        self.file.pins.append(wanted)
        try:
            yield wanted
        finally:
            self.file.pins.remove(wanted)


class Tending:
    """Saves and closes files in time; runs only while there are any to look after.

    *opening* is held meanwhile: a file that is being closed is not opened again.
    """

    def __init__(
        self, store: BlockStore, files: dict[Version, Shared], nursery: trio.Nursery,
        opening: trio.Lock,
    ) -> None:  # fmt: skip
        self._store = store
        self._files = files
        self._nursery = nursery
        self._opening = opening
        self._running = False
        self._ending = trio.Event()
        descriptors, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
        self._lingering = min(LINGERING, descriptors // LINGERING_PART)
        self._most = max(LEAST, descriptors - RESERVED)

    def wake(self) -> None:
        """There is something to look after."""
        if not self._running:
            self._running = True
            self._nursery.start_soon(guarded, self._run)

    def end(self) -> None:
        self._ending.set()

    async def make_way(self) -> None:
        """Leave a descriptor for one more file, and some for the network.

        Raises
        ------
        OSError
            Too many files are open (EMFILE).
        """
        if len(self._files) >= self._most:
            await self._once(linger=0.0)
        if len(self._files) >= self._most:
            raise OSError(
                errno.EMFILE,
                f"{len(self._files)} files are open; raise the limit of descriptors (ulimit -n)",
            )

    async def _run(self) -> None:
        try:
            while not self._ending.is_set() and await self._once():
                with trio.move_on_after(1):
                    await self._ending.wait()
        finally:
            self._running = False

    async def _once(self, linger: float = LINGER) -> bool:
        """Save what has waited long enough, close what nobody uses; True if more will follow."""
        now = time.monotonic()
        closing = self._unused(now, linger)
        saving = [
            s for s in self._files.values()
            if s.file.keeping.needs_saving and s not in closing
            and (not s.users or now - s.saved > SAVE_EVERY)
        ]  # fmt: skip
        for shared in closing:
            del self._files[shared.file.version]
            shared.file.layout = shared.fits.packed()
        for shared in saving:
            shared.saved = now
            shared.file.layout = shared.fits.packed()
        # Shielded: a map that is not written costs the next reader the whole file.
        with trio.CancelScope(shield=True):
            async with self._opening:
                await self._write(saving, closing)
        return any(
            not s.users or s.under_way or s.file.keeping.needs_saving for s in self._files.values()
        )

    def _unused(self, now: float, linger: float) -> list[Shared]:
        """What nobody has had open for *linger* seconds, or is too much; the longest first."""
        idle = sorted(
            (s for s in self._files.values() if not s.users and not s.under_way),
            key=lambda shared: shared.left,
        )
        closing = [s for s in idle if now - s.left > linger]
        return closing + idle[len(closing) : len(idle) - self._lingering]

    async def _write(self, saving: list[Shared], closing: list[Shared]) -> None:
        def work() -> None:
            self._store.save([shared.file for shared in saving])
            if closing:
                self._store.close([shared.file for shared in closing])

        if saving or closing:
            await trio.to_thread.run_sync(work)


def leave(cursor: Cursor) -> None:
    """Give up a run: what is under way for it alone ends."""
    for fetch in cursor.fetches:
        fetch.runs -= 1
        fetch.leave_if_unwanted()
    cursor.fetches.clear()
