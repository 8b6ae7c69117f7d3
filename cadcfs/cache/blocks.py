"""Blocks of one version of one file: reading, taking and giving them up.

The daemon does not trust what it wrote: the map on disk says "here" only after the bytes are safe
there, and each block is checked against its checksum when it is used (`checked.py`); a whole file
is checked against the archive's (`verdict.py`).
"""

from __future__ import annotations

import os
import threading
import time

from cadcfs.cache.arrivals import Arrivals
from cadcfs.cache.checked import CheckedBlocks
from cadcfs.cache.datafile import DataFile
from cadcfs.cache.index import Entry
from cadcfs.cache.keeping import Keeping, rounded
from cadcfs.cache.presence import Presence, runs
from cadcfs.cache.verdict import Verdict
from cadcfs.cache.version import Means, Place, Version
from cadcfs.errors import Corrupt, Unavailable

__all__ = ["BLOCK", "BlockFile", "Means", "Place", "Version"]

BLOCK = 64 * 1024
"""Bytes: what random reads of headers and tiles pay for at most (measured: twice what is asked)."""


class BlockFile:
    """What is here of one version. `read_now` is for the event loop; the rest is for threads."""

    def __init__(
        self, version: Version, place: Place | None, block_size: int, means: Means
    ) -> None:
        self.version = version
        self.presence = Presence(version.key, version.size, block_size)
        self.pins: list[range] = []
        """Blocks that somebody waits for; only the event loop changes this."""
        self.last_read = time.time()
        self.layout: str | None = None
        """What is known of the inner structure; kept with the file."""
        self.keeping = Keeping(self.presence, place, means.memory)
        self._place = place
        self._lock = threading.Lock()
        self._checked = CheckedBlocks(self.presence, self.keeping, self._lock)
        self.read_now = self._checked.read_now
        self._verdict = Verdict(version, self._checked, self.keeping, means.executor, self._lock)
        self._arrivals = Arrivals(self.presence)
        self._closed = False

    def load(self) -> None:
        """Take over what earlier processes left."""
        if self._place is None or self.keeping.map is None:
            return
        self.keeping.opened(self, self._checked.distrust)
        self.keeping.map.load()
        self._arrivals.note(runs(b for b in range(self.presence.blocks) if self.presence.here[b]))
        entry = self._place.room.find(name=self._place.name)
        self.layout = None if entry is None else entry.layout

    def refresh(self, wanted: range) -> None:
        """See what another process has fetched meanwhile; cheap enough for the event loop."""
        if self.keeping.map is not None and self.keeping.data is not None:
            self.keeping.map.refresh(wanted)

    @property
    def name(self) -> str:
        """What the index calls it (`room.Holder`)."""
        return self._place.name if self._place is not None else ""

    @property
    def mismatches(self) -> int:
        """How often the whole did not match its checksum."""
        return self._verdict.mismatches

    def write(self, block: int, content: bytes) -> None:
        """Take whole blocks from *block* on.

        The last one of the file to arrive is not here before the whole matches its checksum.

        Raises
        ------
        Corrupt
            It does not; nothing of the file is here any more.
        Unavailable
            The file was closed meanwhile.
        """
        presence, offset = self.presence, block * self.presence.block_size
        sums = self._sums(block, content)
        data = self._room_for(len(content))
        with self._lock:
            if self._closed:
                # A thread whose reader went away; the number may be another file's by now.
                raise Unavailable(f"{presence.key} was closed")
            self._put(data, offset, content)
            withheld = self._verdict.withheld(block, len(sums), offset + len(content))
            for number, checksum in enumerate(sums, block):
                if number != withheld:
                    presence.add(number, checksum)
            self._arrivals.note((range(block, block + len(sums)),))
        self._verdict.feed(offset, content)
        if withheld is not None:
            begin = (withheld - block) * presence.block_size
            self._verdict.complete(withheld, content[begin : begin + presence.block_size])

    def _sums(self, block: int, content: bytes) -> list[int]:
        presence, view = self.presence, memoryview(content)
        step = presence.block_size
        sums = [
            presence.sum(block + index, view[begin : begin + step])
            for index, begin in enumerate(range(0, len(view), step))
        ]
        if self._verdict.matched and sums != presence.sums[block : block + len(sums)].tolist():
            # What was checked as a whole and then evicted comes back as it was, or not at all.
            raise Corrupt(f"{presence.key}: bytes differ from those that matched its checksum")
        return sums

    def _put(self, data: DataFile, offset: int, content: bytes) -> None:
        try:
            self.keeping.write(data, offset, content)
        except OSError as exc:
            if data.path is None:
                raise
            self._leave_disk(data, str(exc))
            data.write(offset, content)

    def _room_for(self, size: int) -> DataFile:
        """The data file, with leave to write *size* bytes to it; memory where there is no room."""
        data = self.keeping.data or self.keeping.opened(self, self._checked.distrust)
        size = rounded(size)
        if data.path is None:
            over = self.keeping.excess(size)
            if over > 0:
                self.punch(max(over, self.keeping.capacity // 4))
        elif self._place is not None and not self._place.room.take(size):
            with self._lock:
                if data.path is not None:
                    self._leave_disk(data, "no room within the quota and the free space")
        return data

    def _leave_disk(self, data: DataFile, why: str) -> None:
        """Go on in memory: a full or broken disk must not fail a read. With the lock held."""
        self.keeping.complain("%s is read without the disk: %s", why)
        self._checked.drop_all()
        self.keeping.leave_disk(data)

    def forget(self, offset: int, size: int) -> None:
        """Drop the blocks of a range whose bytes could not be read back."""
        step = self.presence.block_size
        with self._lock:
            self._checked.drop(
                range(offset // step, min(self.presence.blocks, -(-(offset + size) // step)))
            )

    def settle(self) -> tuple[Entry, int] | None:
        """What it takes on disk now, and how many granted bytes that used up (`room.Holder`)."""
        with self._lock:
            if self._place is None or self.keeping.data is None or self._closed:
                return None
            taken, spent = self.keeping.settled(self.keeping.data)
        version = self.version
        entry = Entry(
            self._place.name, version.key, version.size, version.md5, taken, self.last_read,
            self.layout,
        )  # fmt: skip
        return entry, spent

    def punch(self, size: int) -> None:
        """Give up the blocks that came first, of *size* bytes (`room.Holder`)."""
        data = self.keeping.data
        if data is None:
            return
        with self._lock, data.alone() as alone:
            if not alone or self._closed:
                return
            step = self.presence.block_size
            going = self._arrivals.leaving(
                -(-size // step), tuple(self.pins), self._verdict.digested
            )
            self._checked.drop(going)
            try:
                self.keeping.write_map(going)
                for run in runs(going):
                    data.punch(run.start * step, len(run) * step)
            except OSError as exc:
                self.keeping.complain("no room can be made in %s: %s", exc)

    def save(self) -> None:
        """Make what is here survive a crash: first the data, then the map that says so."""
        with self._lock:
            data = self.keeping.data
            if self.keeping.map is None or data is None or self._closed:
                return
            saving, self.presence.unsaved = self.presence.unsaved, set()
            fd = data.fd
        if not saving:
            return
        try:
            os.fdatasync(fd)
            with self._lock:
                self.keeping.write_map(saving)
        except OSError as exc:
            self.keeping.complain("%s is not kept (%s); check the cache's disk", exc)

    def close(self) -> None:
        """Let go of the file; what was not saved is lost."""
        with self._lock:
            self._closed = True
            self.keeping.close()
