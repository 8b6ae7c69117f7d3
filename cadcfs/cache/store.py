"""The directory of the block cache: opens its files, takes in files that were made whole.

    blocks-v2/index.sqlite       what is here and when it was used (index.py)
    blocks-v2/writers/<id>       locked by each process as long as it lives (room.py)
    blocks-v2/ab/<name>.data     the bytes, sparse (datafile.py)
    blocks-v2/ab/<name>.map      which blocks, and their checksums (presence.py)
    blocks-v2/new/<id>-<number>  files that are being made whole

Nothing is scanned at start, however much is here. Another format has another directory; one that
claims to be this one and is not is set aside.
"""

from __future__ import annotations

import hashlib
import itertools
import logging
import os
import shutil
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from cadcfs.cache.blocks import BLOCK, BlockFile, Means, Place, Version
from cadcfs.cache.datafile import Memory
from cadcfs.cache.index import Entry, ForeignFormatError
from cadcfs.cache.presence import MapFile, Presence
from cadcfs.cache.recovery import data_path, taken_by
from cadcfs.cache.room import Room

log = logging.getLogger(__name__)

DIRECTORY = "blocks-v2"
QUOTA = 50 << 30
FLOOR = 1 << 30


class BlockStore:
    """Cheap to make: nothing is touched before the first file is opened. Methods block.

    Parameters
    ----------
    quota
        Bytes on disk at most, all processes that share the directory together.
    floor
        Bytes of the file system that stay free for others.
    """

    def __init__(
        self, root: Path, *, quota: int = QUOTA, floor: int = FLOOR, block_size: int = BLOCK
    ) -> None:
        self._root = root / DIRECTORY
        self._block_size = block_size
        self.quota = quota
        self.room = Room(self._root, quota, floor)
        self._means = Means(ThreadPoolExecutor(2, "md5"), Memory())
        self._numbers = itertools.count()
        self._works: bool | None = None

    def open(self, version: Version) -> BlockFile:
        """The cache file of *version*. Without a usable disk, one that keeps little, in memory."""
        if not self._prepared():
            return BlockFile(version, None, self._block_size, self._means)
        file = self._unloaded(version)
        file.load()
        return file

    def open_absent(self, version: Version) -> BlockFile | None:
        """The same if nothing of it is here, else None; does not block."""
        if not self._works or os.path.exists(data_path(self._root, name_of(version))):  # noqa: PTH110
            return None
        return self._unloaded(version)

    def _unloaded(self, version: Version) -> BlockFile:
        path = data_path(self._root, name_of(version)).with_suffix("")
        return BlockFile(version, Place(path, self.room), self._block_size, self._means)

    def find(self, key: str) -> Version | None:
        """The version that was kept last under *key*: for files whose size shows when made."""
        entry = self.room.find(key=key) if self._prepared() else None
        return None if entry is None else Version(entry.key, entry.size, entry.md5)

    def used(self) -> int:
        """Bytes on disk, all processes together; makes nothing where nothing was kept yet."""
        return self.room.used() if (self._root / "index.sqlite").exists() else 0

    def new_file(self) -> NewFile:
        """A file to be made whole; blocking.

        Raises
        ------
        OSError
            There is no usable cache directory.
        """
        if not self._prepared():
            raise OSError(f"the cache directory {self._root} cannot be used; see the log")
        directory = self._root / "new"
        directory.mkdir(mode=0o700, exist_ok=True)
        path = directory / f"{self.room.writer}-{next(self._numbers)}"
        path.touch(mode=0o600)
        return NewFile(self, path)

    def adopt(self, version: Version, path: Path) -> bool:
        """Take the whole file *path* (of this directory, see `new_file`) in as *version*.

        From then on it is a cache file like all others: counted, evicted, checked block by block;
        `Streams.open` finds it, and asks its source again for what was damaged or evicted. False,
        and *path* is gone, where there is no room for it.
        """
        size = path.stat().st_size
        if size != version.size:
            raise ValueError(f"{version.key}: {size} bytes were made, {version.size} announced")
        presence = Presence(version.key, version.size, self._block_size)
        overhead = 4096 + -(-8 * presence.blocks // 4096) * 4096
        granted = -(-size // 4096) * 4096 + overhead
        if not self.room.take(granted):
            path.unlink()
            return False
        with path.open("rb") as file:
            for block in range(presence.blocks):
                presence.add(block, presence.sum(block, file.read(self._block_size)))
            os.fdatasync(file.fileno())
        name = name_of(version)
        data = data_path(self._root, name)
        data.parent.mkdir(mode=0o700, exist_ok=True)
        data.with_suffix(".map").unlink(missing_ok=True)
        path.replace(data)
        MapFile(presence, data.with_suffix(".map")).save(range(presence.blocks))
        taken = taken_by(self._root, name)
        self.room.record(Entry(name, version.key, size, version.md5, taken, data.stat().st_mtime),
                         granted)  # fmt: skip
        return True

    def save(self, files: Iterable[BlockFile]) -> None:
        """Make what is here of *files* survive a crash."""
        saving = [file for file in files if file.keeping.needs_saving]
        for file in saving:
            file.save()
        if saving:
            self.room.settle(saving)

    def close(self, files: Sequence[BlockFile]) -> None:
        """Save and close *files*."""
        for file in files:
            file.save()
        opened = [file for file in files if file.keeping.was_opened]
        if opened:
            self.room.leave(opened)
        for file in files:
            file.close()

    def end(self) -> None:
        """At the end of the process, after all files were closed."""
        self._means.executor.shutdown()
        self.room.close()

    def _prepared(self) -> bool:
        if self._works is None:
            self._works = self._prepare()
        return self._works

    def _prepare(self) -> bool:
        try:
            self._root.mkdir(mode=0o700, parents=True, exist_ok=True)
            owner = self._root.stat().st_uid
            if owner != os.geteuid():
                raise PermissionError(f"it belongs to the user with the number {owner}")
            try:
                self.room.prepare()
            except ForeignFormatError as exc:
                self._set_aside(str(exc))
                self.room.prepare()
        except OSError as exc:
            log.warning("nothing is kept in %s (%s); name another directory", self._root, exc)
            return False
        return True

    def _set_aside(self, why: str) -> None:
        aside = self._root.with_name(f"{self._root.name}.aside")
        shutil.rmtree(aside, ignore_errors=True)
        self._root.rename(aside)
        self._root.mkdir(mode=0o700)
        log.warning("%s is of another format (%s): set aside as %s", self._root, why, aside)


class NewFile:
    """A file that is being made; `keep` or `discard` it."""

    def __init__(self, store: BlockStore, path: Path) -> None:
        self._store = store
        self.path = path

    def keep(self, version: Version) -> bool:
        """Let it be *version* from now on; False where there is no room for it."""
        return self._store.adopt(version, self.path)

    def discard(self) -> None:
        self.path.unlink(missing_ok=True)


def name_of(version: Version) -> str:
    return hashlib.sha256(f"{version.key}\n{version.size}".encode()).hexdigest()
