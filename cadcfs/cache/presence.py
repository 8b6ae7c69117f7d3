"""Which blocks of one cache file are here, and the checksum of each.

In memory a block is absent, here, or verified in this process. On disk the map is a heading
(magic, size, block size, key) and eight bytes a block: the XXH3 of its bytes, seeded with the file
and the block's number; zero is absent. So an entry needs no checksum of its own: one that was
damaged, or that belongs to another block or file, matches no bytes, and several processes may
write entries side by side.
"""

from __future__ import annotations

import hashlib
import logging
import os
import struct
from array import array
from collections.abc import Iterable, Iterator
from pathlib import Path

import xxhash

log = logging.getLogger(__name__)

MAGIC = b"cadcfs map 2\n"
_HEADING = struct.Struct("<QII")
_ENTRY = 8
_SEEDS = (1 << 64) - 1


class Presence:
    """The blocks of one file."""

    def __init__(self, key: str, size: int, block_size: int) -> None:
        self.key = key
        self.size = size
        self.block_size = block_size
        self.blocks = -(-size // block_size)
        self.here = bytearray(self.blocks)
        self.verified = bytearray(self.blocks)
        self.sums = array("Q", bytes(_ENTRY * self.blocks))
        self.count = 0
        self.unsaved: set[int] = set()
        digest = hashlib.blake2b(f"{key}\n{size}".encode(), digest_size=8).digest()
        self._seed = int.from_bytes(digest, "little")

    def length(self, block: int) -> int:
        """Bytes in *block*; the last one is shorter."""
        return min(self.block_size, self.size - block * self.block_size)

    def sum(self, block: int, content: bytes | memoryview) -> int:
        """The checksum of *content* as this block of this file; never 0."""
        return xxhash.xxh3_64_intdigest(content, (self._seed + block) & _SEEDS) or 1

    def bytes_here(self) -> int:
        """Bytes in all blocks that are here."""
        return sum(self.length(block) for block in range(self.blocks) if self.here[block])

    def add(self, block: int, checksum: int) -> None:
        self.sums[block] = checksum
        self.count += not self.here[block]
        self.here[block] = self.verified[block] = 1
        self.unsaved.add(block)

    def drop(self, block: int) -> None:
        self.count -= self.here[block]
        self.here[block] = self.verified[block] = 0
        self.unsaved.discard(block)

    def absent(self, start: int, stop: int) -> Iterator[range]:
        """Runs of absent blocks among the blocks [start, stop)."""
        stop = min(stop, self.blocks)
        while (first := self.here.find(0, start, stop)) >= 0:
            start = self.here.find(1, first, stop)
            start = stop if start < 0 else start
            yield range(first, start)

    def heading(self) -> bytes:
        name = self.key.encode("utf-8", "surrogateescape")
        return MAGIC + _HEADING.pack(self.size, self.block_size, len(name)) + name


class MapFile:
    """The map on disk. Blocking; whoever writes holds the file's lock within this process."""

    def __init__(self, presence: Presence, path: Path) -> None:
        self._presence = presence
        self._path = path
        self._heading = presence.heading()
        self._seen: tuple[int, int] = (0, 0)
        self._damaged: dict[int, int] = {}

    def load(self) -> None:
        """Take what the map on disk says is here; a map that is not this file's says nothing."""
        try:
            with self._path.open("rb") as file:
                heading = file.read(len(self._heading))
                entries = file.read(_ENTRY * self._presence.blocks)
        except FileNotFoundError:
            return
        except OSError as exc:
            log.warning("%s cannot be read (%s); its blocks are fetched again", self._path, exc)
            return
        if heading != self._heading:
            log.warning("%s is damaged; its blocks are fetched again", self._path)
            self._path.unlink(missing_ok=True)
            return
        self._take(0, entries)

    def refresh(self, wanted: range) -> None:
        """Take what another process has added meanwhile among the blocks *wanted*."""
        try:
            found = self._path.stat()
            if (found.st_mtime_ns, wanted.start) == self._seen:
                return
            with self._path.open("rb") as file:
                if file.read(len(self._heading)) != self._heading:
                    return
                file.seek(_ENTRY * wanted.start, os.SEEK_CUR)
                self._take(wanted.start, file.read(_ENTRY * len(wanted)))
            self._seen = (found.st_mtime_ns, wanted.start)
        except OSError:
            return

    def _take(self, first: int, entries: bytes) -> None:
        presence = self._presence
        told = array("Q", entries[: len(entries) // _ENTRY * _ENTRY])
        for block, checksum in enumerate(told, first):
            if checksum and not presence.here[block] and self._damaged.get(block) != checksum:
                presence.sums[block] = checksum
                presence.here[block] = 1
                presence.count += 1

    def distrust(self, block: int) -> None:
        """Do not believe the entry of *block* as it is any more: its bytes are others."""
        self._damaged[block] = self._presence.sums[block]

    def says_here(self, block: int) -> bool:
        """False where another process has evicted the block, or the map is gone."""
        try:
            with self._path.open("rb") as file:
                file.seek(len(self._heading) + _ENTRY * block)
                return any(file.read(_ENTRY))
        except OSError:
            return False

    def save(self, blocks: Iterable[int]) -> None:
        """Write the entries of *blocks* as they are now."""
        presence = self._presence
        fd = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            if os.pread(fd, len(self._heading), 0) != self._heading:
                os.ftruncate(fd, 0)
                _write_all(fd, self._heading, 0)
            for run in runs(blocks):
                entries = array("Q", (presence.sums[b] if presence.here[b] else 0 for b in run))
                _write_all(fd, entries.tobytes(), len(self._heading) + _ENTRY * run.start)
        finally:
            os.close(fd)


def _write_all(fd: int, content: bytes, offset: int) -> None:
    done = 0
    while done < len(content):
        done += os.pwrite(fd, content[done:], offset + done)


def runs(blocks: Iterable[int]) -> Iterator[range]:
    """Runs of consecutive numbers, in order."""
    start = stop = -1
    for block in sorted(blocks):
        if block != stop:
            if stop > start:
                yield range(start, stop)
            start = block
        stop = block + 1
    if stop > start:
        yield range(start, stop)
