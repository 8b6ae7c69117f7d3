"""Blocks of one version of one file on disk: a sparse file, and a map of what is in it.

The daemon does not trust what it wrote: the map is renamed into place after the data is on disk,
and each block is checked against its checksum at its first use in the life of a process. Damage
is a miss and a log line.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import logging
import os
import threading
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from cadcfs.cache.presence import Presence, replace_file
from cadcfs.errors import Corrupt, Unavailable

log = logging.getLogger(__name__)

BLOCK = 64 * 1024
"""Bytes: what random reads of headers and tiles pay for at most (measured: twice what is asked)."""


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


class BlockStore:
    """A directory of cache files; cheap to make, nothing is scanned."""

    def __init__(self, root: Path, *, block_size: int = BLOCK) -> None:
        self._root = root / "blocks-v1"
        self._block_size = block_size

    def open(self, version: Version) -> BlockFile:
        """The cache file of *version*; blocking. Without a disk, one that keeps nothing."""
        digest = hashlib.sha256(f"{version.key}\n{version.size}".encode()).hexdigest()
        directory = self._root / digest[:2]
        try:
            directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            return BlockFile(version, directory / digest, self._block_size)
        except OSError as exc:
            log.warning("nothing is kept of %s (%s); check the cache directory", version.key, exc)
            return BlockFile(version, None, self._block_size)


class BlockFile:
    """What is here of one version. Reads are for the event loop, the rest for threads."""

    def __init__(self, version: Version, path: Path | None, block_size: int) -> None:
        self.version = version
        self.presence = Presence(version.key, version.size, block_size)
        self._map_path = path and path.with_suffix(".map")
        self._lock = threading.Lock()
        self._flushing = threading.Lock()
        self._dirty = False
        self._in_memory = False
        self.mismatches = 0
        self._fd = self._open(path)
        self._load()

    def _open(self, path: Path | None) -> int:
        if path is not None:
            fd = os.open(path.with_suffix(".data"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            try:
                # Another process has it: two writers of one map could each undo the other.
                fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                os.close(fd)
            else:
                return fd
            self._map_path = None
            return os.open(path.parent, os.O_RDWR | os.O_TMPFILE | os.O_CLOEXEC, 0o600)
        self._map_path, self._in_memory = None, True
        return os.memfd_create("cadcfs", os.MFD_CLOEXEC)

    def _load(self) -> None:
        if self._map_path is None:
            return
        try:
            known = self.presence.unpack(self._map_path.read_bytes())
        except FileNotFoundError:
            return
        except OSError as exc:
            log.warning("%s cannot be read (%s); its blocks are fetched again", self._map_path, exc)
            return
        if not known:
            log.warning("%s is damaged; its blocks are fetched again", self._map_path)

    def read_now(self, offset: int, size: int) -> bytes | None:
        """The bytes if all of them are here and sound, else None."""
        end = min(offset + size, self.version.size)
        if end <= offset:
            return b""
        first, last = offset // self.presence.block_size, (end - 1) // self.presence.block_size
        for block in range(first, last + 1):
            if not self.presence.verified[block] and not self._verify(block):
                return None
        found = os.pread(self._fd, end - offset, offset)
        return found if len(found) == end - offset else None

    def missing(self, start: int, stop: int) -> Iterator[range]:
        """Runs of absent blocks among the blocks [start, stop)."""
        block = start
        while block < stop:
            if self.presence.here[block]:
                block += 1
                continue
            end = block + 1
            while end < stop and not self.presence.here[end]:
                end += 1
            yield range(block, end)
            block = end

    def write(self, block: int, content: bytes | memoryview) -> None:
        """Take one whole block; blocking.

        The last one to arrive is not here before the whole file matches its checksum.

        Raises
        ------
        Corrupt
            It does not; nothing of the file is here any more.
        """
        with self._lock:
            if self._fd < 0:
                # A thread whose reader went away; its number may be another file's by now.
                raise Unavailable(f"{self.version.key} was closed")
            self._put(block * self.presence.block_size, content)
            self._dirty = True
            if self.version.md5 and self.presence.is_last(block):
                self._compare()
            self.presence.add(block, zlib.crc32(content))

    def _put(self, offset: int, content: bytes | memoryview) -> None:
        done = 0
        while done < len(content):
            try:
                done += os.pwrite(self._fd, content[done:], offset + done)
            except OSError as exc:
                self._leave_disk(exc)
                done = 0

    def _leave_disk(self, exc: OSError) -> None:
        """Go on in memory: a full or broken disk must not fail a read."""
        if self._in_memory:
            raise exc
        log.warning("the cache's disk fails (%s): %s is read uncached", exc, self.version.key)
        memory = os.memfd_create("cadcfs", os.MFD_CLOEXEC)
        # In one step, for the event loop may be reading from this number right now.
        os.dup2(memory, self._fd, inheritable=False)
        os.close(memory)
        self._in_memory, self._map_path = True, None
        for block in range(self.presence.blocks):
            self.presence.drop(block)

    def forget(self, offset: int, size: int) -> None:
        """Drop the blocks of a range whose bytes could not be read back."""
        for block in range(
            offset // self.presence.block_size,
            min(self.presence.blocks, -(-(offset + size) // self.presence.block_size)),
        ):
            self.presence.drop(block)

    def _compare(self) -> None:
        found = self._md5()
        if found == self.version.md5:
            return
        self.mismatches += 1
        for block in range(self.presence.blocks):
            self.presence.drop(block)
        raise Corrupt(
            f"{self.version.key}: the bytes that arrived have MD5 {found}, "
            f"the archive says {self.version.md5}; they are thrown away"
        )

    def flush(self) -> None:
        """Make what is here survive a crash: first the data, then the map that says so."""
        with self._flushing:
            with self._lock:
                if self._map_path is None or not self._dirty or self._fd < 0:
                    return
                self._dirty = False
                packed = self.presence.packed(bytes(self.presence.here))
            try:
                os.fdatasync(self._fd)
                replace_file(self._map_path, packed)
            except OSError as exc:
                self._dirty = True
                log.warning("%s is not kept (%s); check the cache's disk", self._map_path, exc)

    def close(self) -> None:
        self.flush()
        with self._flushing, self._lock:
            os.close(self._fd)
            self._fd = -1

    def _md5(self) -> str:
        digest = hashlib.md5(usedforsecurity=False)
        offset = 0
        while chunk := os.pread(self._fd, 1 << 20, offset):
            digest.update(chunk[: self.version.size - offset])
            offset += len(chunk)
        return digest.hexdigest()

    def _verify(self, block: int) -> bool:
        """Check a block that an earlier process left; a damaged one is absent from now on."""
        presence = self.presence
        if not presence.here[block]:
            return False
        content = b""
        with contextlib.suppress(OSError):
            content = os.pread(self._fd, presence.length(block), block * presence.block_size)
        if len(content) == presence.length(block) and (
            zlib.crc32(content) == presence.checksums[block]
        ):
            presence.verified[block] = 1
            return True
        log.warning("block %d of %s is damaged; it is fetched again", block, self.version.key)
        presence.drop(block)
        return False
