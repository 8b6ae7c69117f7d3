"""Blocks of one version of one file: which are here, reading, taking and giving them up.

The daemon does not trust what it wrote: the map on disk says "here" only after the bytes are safe
there, and each block is checked against its checksum at its first use in the life of a process,
and again when the file was changed by somebody else. Damage is a miss and a log line.
"""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Iterable
from concurrent.futures import Executor
from dataclasses import dataclass
from pathlib import Path

from cadcfs.cache.arrivals import Arrivals
from cadcfs.cache.datafile import DataFile, Memory
from cadcfs.cache.index import Entry
from cadcfs.cache.presence import MapFile, Presence, runs
from cadcfs.cache.room import Room
from cadcfs.cache.verification import WholeCheck
from cadcfs.errors import Corrupt, Unavailable

log = logging.getLogger(__name__)

BLOCK = 64 * 1024
"""Bytes: what random reads of headers and tiles pay for at most (measured: twice what is asked)."""
PAGE = 4096
"""Bytes that a file system takes at once."""


@dataclass(frozen=True)
class Version:
    """One version of one remote file.

    Parameters
    ----------
    key
        What tells it from all other files and versions.
    size
        Bytes.
    md5
        Of the whole file, in hexadecimal; None where the archive does not tell.
    """

    key: str
    size: int
    md5: str | None


@dataclass(frozen=True)
class Means:
    """What all open files of one process share: threads for digests, and memory without a disk."""

    executor: Executor
    memory: Memory


@dataclass(frozen=True)
class Place:
    """Where a file is kept: path without suffix, and the room that it shares."""

    path: Path
    room: Room

    @property
    def name(self) -> str:
        return self.path.name


class BlockFile:
    """What is here of one version.

    `read_now` is for the event loop and takes no lock; the rest blocks, and is for threads. A
    block's flag is set after its bytes are written and cleared before they go; a reader that saw
    bytes go meanwhile looks again (`_drops` is another object after each time).
    """

    def __init__(
        self, version: Version, place: Place | None, block_size: int, means: Means
    ) -> None:
        self.version = version
        self.presence = Presence(version.key, version.size, block_size)
        self.pins: list[range] = []
        """Blocks that somebody waits for; only the event loop changes this."""
        self.last_read = time.time()
        self.mismatches = 0
        self.layout: str | None = None
        """What is known of the inner structure; kept with the file."""
        self._place = place
        self._map: MapFile | None = None
        if place is not None:
            self._map = MapFile(self.presence, place.path.with_suffix(".map"))
        self._data: DataFile | None = None
        self._lock = threading.Lock()
        self._opening = threading.Lock()
        self._arrivals = Arrivals(self.presence)
        self._drops = object()
        self._unsettled = 0
        self._last_taken = 0
        self._matched = False
        self._withholds = False
        self._closed = False
        self._memory = means.memory
        self._whole = None
        if version.md5:
            self._whole = WholeCheck(version.size, means.executor, self.read_now, self._judge_late)

    def load(self) -> None:
        """Take over what earlier processes left."""
        if self._place is None or self._map is None:
            return
        self._open_data()
        self._map.load()
        self._arrivals.note(runs(b for b in range(self.presence.blocks) if self.presence.here[b]))
        entry = self._place.room.find(name=self._place.name)
        self.layout = None if entry is None else entry.layout

    def refresh(self, wanted: range) -> None:
        """See what another process has fetched meanwhile; cheap enough for the event loop."""
        if self._map is not None and self._data is not None:
            self._map.refresh(wanted)

    @property
    def name(self) -> str:
        """What the index calls it (`room.Holder`)."""
        return self._place.name if self._place is not None else ""

    @property
    def capacity(self) -> int:
        """Bytes that are kept of it at most."""
        if self._map is not None and self._place is not None:
            return self._place.room.limit
        return self._memory.share

    @property
    def was_opened(self) -> bool:
        """True once anything of it was on disk."""
        return self._place is not None and self._data is not None

    @property
    def needs_saving(self) -> bool:
        return self._map is not None and bool(self.presence.unsaved)

    def read_now(self, offset: int, size: int) -> bytes | None:
        """The bytes if all of them are here and sound, else None."""
        presence, data = self.presence, self._data
        end = min(offset + size, presence.size)
        if end <= offset:
            return b""
        if data is None:
            return None
        first, stop = offset // presence.block_size, -(-end // presence.block_size)
        for _ in range(3):
            drops = self._drops
            if presence.verified.find(0, first, stop) < 0:
                found = os.pread(data.fd, end - offset, offset)
            else:
                blocks = self._verified(data, first, stop, drops)
                if blocks is None:
                    return None
                begin = offset - first * presence.block_size
                found = blocks[begin : begin + end - offset]
            # Only now: a hole that opened during the read shows by one of these.
            if not data.was_touched() and drops is self._drops:
                return found if len(found) == end - offset else None
        return None

    def _verified(self, data: DataFile, first: int, stop: int, drops: object) -> bytes | None:
        """The blocks [first, stop) if all match their checksums; damaged ones are dropped."""
        presence = self.presence
        if presence.here.find(0, first, stop) >= 0:
            return None
        start = first * presence.block_size
        try:
            found = os.pread(data.fd, (stop - first) * presence.block_size, start)
        except OSError:
            found = b""
        view = memoryview(found)
        wrong = []
        for block in range(first, stop):
            begin = (block - first) * presence.block_size
            content = view[begin : begin + presence.length(block)]
            if presence.sum(block, content) != presence.sums[block]:
                wrong.append(block)
        # Not while a thread gives up blocks, and not if one has: these would look verified for
        # ever. Whoever has the lock has it for a moment only; then they are looked at again.
        if self._lock.acquire(blocking=False):
            try:
                if drops is self._drops:
                    self._judge_blocks(range(first, stop), wrong)
            finally:
                self._lock.release()
        return None if wrong else found

    def _judge_blocks(self, blocks: range, wrong: list[int]) -> None:
        for block in wrong:
            if self._map is None or self._map.says_here(block):
                log.warning(
                    "block %d of %s is damaged; it is fetched again", block, self.presence.key
                )
        if wrong:
            self._drop(wrong)
        else:
            self.presence.verified[blocks.start : blocks.stop] = b"\1" * len(blocks)

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
            withheld = self._last_absent(block, len(sums), offset + len(content))
            self._withholds = self._withholds or withheld is not None
            for number, checksum in enumerate(sums, block):
                if number != withheld:
                    presence.add(number, checksum)
            self._arrivals.note((range(block, block + len(sums)),))
        if self._whole is not None and not self._matched:
            self._whole.feed(offset, content)
        if withheld is not None:
            begin = (withheld - block) * presence.block_size
            self._complete(withheld, content[begin : begin + presence.block_size])

    def _last_absent(self, block: int, count: int, end: int) -> int | None:
        """The last block that the whole lacks, if it is among these *count* from *block* on."""
        presence = self.presence
        absent = presence.here.count(0, block, block + count)
        if self._whole is None or self._matched or not absent:
            return None
        complete = absent == presence.blocks - presence.count
        # Or what came before may be gone again, but was digested in its turn.
        digested = self._whole.queued // presence.block_size
        if complete or (
            end == presence.size and presence.here.find(0, min(digested, block), block) < 0
        ):
            return presence.here.rfind(0, block, block + count)
        return None

    def _sums(self, block: int, content: bytes) -> list[int]:
        presence, view = self.presence, memoryview(content)
        step = presence.block_size
        sums = [
            presence.sum(block + index, view[begin : begin + step])
            for index, begin in enumerate(range(0, len(view), step))
        ]
        if self._matched and sums != presence.sums[block : block + len(sums)].tolist():
            # What was checked as a whole and then evicted comes back as it was, or not at all.
            raise Corrupt(f"{presence.key}: bytes differ from those that matched its checksum")
        return sums

    def _put(self, data: DataFile, offset: int, content: bytes) -> None:
        try:
            data.write(offset, content)
            if data.path is None:
                return
            self._unsettled += -(-len(content) // PAGE) * PAGE
        except OSError as exc:
            if data.path is None:
                raise
            self._leave_disk(data, str(exc))
            data.write(offset, content)

    def _complete(self, block: int, content: bytes) -> None:
        """Let the last block in once the whole matches."""
        assert self._whole is not None
        begin = block * self.presence.block_size

        def rest(offset: int, size: int) -> bytes | None:
            if begin <= offset < begin + len(content):
                return content[offset - begin :]
            return self.read_now(offset, size if offset > begin else min(size, begin - offset))

        found = self._whole.result(rest)
        with self._lock:
            self._withholds = False
            if found is None or found == self.version.md5:
                # None: parts of it were evicted before all of it was here.
                self._matched = found is not None
                self.presence.add(block, self.presence.sum(block, content))
                return
            self.mismatches += 1
            self._drop(range(self.presence.blocks))
            if self._map is not None:
                self._map.save(range(self.presence.blocks))
        self._whole.restart()
        raise Corrupt(
            f"{self.version.key}: the bytes that arrived have MD5 {found}, "
            f"the archive says {self.version.md5}; they are thrown away"
        )

    def _judge_late(self, found: str) -> None:
        """The verdict on a file of which the last bytes were served before others had come.

        Only a file that does not fit into the cache comes here: nothing of it waits for the whole.
        """
        with self._lock:
            if self._withholds or self._matched:
                return
            self._matched = found == self.version.md5
            if not self._matched:
                log.warning(
                    "%s: what was read has MD5 %s, the archive says %s",
                    self.version.key, found, self.version.md5,
                )  # fmt: skip
                self.mismatches = 2
                self._drop(range(self.presence.blocks))

    def _room_for(self, size: int) -> DataFile:
        """The data file, with leave to write *size* bytes to it; memory where there is no room."""
        data = self._data or self._open_data()
        size = -(-size // PAGE) * PAGE
        if data.path is None:
            over = self.presence.count * self.presence.block_size + size - self._memory.share
            if over > 0:
                self.punch(max(over, self._memory.share // 4))
        elif self._place is not None and not self._place.room.take(size):
            with self._lock:
                if data.path is not None:
                    self._leave_disk(data, "no room within the quota and the free space")
        return data

    def _open_data(self) -> DataFile:
        with self._opening:
            if self._data is None and self._place is not None:
                overhead = PAGE + -(-8 * self.presence.blocks // PAGE) * PAGE
                try:
                    self._data = self._opened(self._place.path.with_suffix(".data"))
                    self._unsettled += overhead * self._place.room.take(overhead)
                    self._place.room.enter(self)
                except OSError as exc:
                    log.warning("%s is not kept (%s); check the cache", self.version.key, exc)
                    self._map = None
            if self._data is None:
                self._data = DataFile.in_memory()
                self._memory.files += 1
            return self._data

    def _opened(self, path: Path) -> DataFile:
        try:
            return DataFile.on_disk(path, self._distrust)
        except FileNotFoundError:
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            return DataFile.on_disk(path, self._distrust)

    def _distrust(self) -> None:
        """Look at each block again: the file was changed by somebody else."""
        self.presence.verified[:] = bytes(self.presence.blocks)
        self._drops = object()

    def _leave_disk(self, data: DataFile, why: str) -> None:
        """Go on in memory: a full or broken disk must not fail a read. With the lock held."""
        log.warning("%s is read without the disk: %s", self.version.key, why)
        self._last_taken = self._taken(data)
        self._map = None
        self._drop(range(self.presence.blocks))
        data.move_to_memory()
        self._memory.files += 1

    def _taken(self, data: DataFile) -> int:
        assert self._place is not None
        try:
            return data.taken() + self._place.path.with_suffix(".map").stat().st_blocks * 512
        except OSError:
            return data.taken()

    def _drop(self, blocks: Iterable[int]) -> None:
        for block in blocks:
            self.presence.drop(block)
        self._drops = object()

    def forget(self, offset: int, size: int) -> None:
        """Drop the blocks of a range whose bytes could not be read back."""
        step = self.presence.block_size
        with self._lock:
            self._drop(
                range(offset // step, min(self.presence.blocks, -(-(offset + size) // step)))
            )

    def settle(self) -> tuple[Entry, int] | None:
        """What it takes on disk now, and how many granted bytes that used up (`room.Holder`)."""
        with self._lock:
            if self._place is None or self._data is None or self._closed:
                return None
            taken = self._last_taken if self._data.path is None else self._taken(self._data)
            spent, self._unsettled = self._unsettled, 0
        version = self.version
        entry = Entry(
            self._place.name, version.key, version.size, version.md5, taken, self.last_read,
            self.layout,
        )  # fmt: skip
        return entry, spent

    def punch(self, size: int) -> None:
        """Give up the blocks that came first, of *size* bytes (`room.Holder`)."""
        data = self._data
        if data is None:
            return
        with self._lock, data.alone() as alone:
            if not alone or self._closed:
                return
            step = self.presence.block_size
            digested = self.presence.blocks
            if self._whole is not None and self._whole.queued and not self._matched:
                digested = self._whole.position // step
            going = self._arrivals.leaving(-(-size // step), tuple(self.pins), digested)
            self._drop(going)
            try:
                if self._map is not None:
                    self._map.save(going)
                for run in runs(going):
                    data.punch(run.start * step, len(run) * step)
            except OSError as exc:
                log.warning("no room can be made in %s: %s", self.presence.key, exc)

    def save(self) -> None:
        """Make what is here survive a crash: first the data, then the map that says so."""
        with self._lock:
            if self._map is None or self._data is None or self._closed:
                return
            saving, self.presence.unsaved = self.presence.unsaved, set()
            fd = self._data.fd
        if not saving:
            return
        try:
            os.fdatasync(fd)
            with self._lock:
                if self._map is not None:
                    self._map.save(saving)
        except OSError as exc:
            log.warning("%s is not kept (%s); check the cache's disk", self.version.key, exc)

    def close(self) -> None:
        """Let go of the file; what was not saved is lost."""
        with self._lock:
            self._closed = True
            if self._data is not None:
                self._memory.files -= self._data.path is None
                self._data.close()
                self._data = None
