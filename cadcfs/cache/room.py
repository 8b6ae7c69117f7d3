"""How much may be on disk: the quota, the floor of free space, and who makes room.

Room is granted by the index in slabs and given out here in memory, so that a block costs a
subtraction. When the index has none left, files that no process has open go first, the least
recently used ahead; then the oldest blocks of files that only this process has open.
"""

from __future__ import annotations

import contextlib
import fcntl
import logging
import os
import sqlite3
import threading
import uuid
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Protocol, TypeVar

from cadcfs.cache.complaints import Complaints
from cadcfs.cache.index import Entry, Index
from cadcfs.cache.recovery import dismiss_dead, rebuild, space_of, unlinked

log = logging.getLogger(__name__)

T = TypeVar("T")

SLAB = 16 << 20
"""Bytes that are granted at once."""
INDEX_SLACK = 512 * 1024
"""Bytes that the index may grow by between two looks at its size."""


class Holder(Protocol):
    """An open cache file, as the room sees it. Its lock comes after the room's."""

    last_read: float

    @property
    def name(self) -> str:
        """What the index calls it; "" for what is not on disk."""

    def settle(self) -> tuple[Entry, int] | None:
        """What it takes on disk now, and how many granted bytes that used up."""

    def punch(self, size: int) -> None:
        """Give back at least *size* bytes, if it has them and nobody waits for them."""


class Room:
    """The room of one cache directory, as one process sees it. Blocking; for any thread."""

    def __init__(self, root: Path, limit: int, floor: int) -> None:
        self._root = root
        self.limit = limit
        self._floor = floor
        self._lock = threading.RLock()
        self._index: Index | None = None
        self.writer = uuid.uuid4().hex
        self._writer_fd = -1
        self._free = 0
        self._holders: set[Holder] = set()
        self._works = True
        self.evicted = 0
        self.complaints = Complaints()

    def take(self, size: int) -> bool:
        """Leave to write *size* bytes more; False if nothing can be evicted for them."""
        with self._lock:
            if self._free < size:
                self._free += self._ask(lambda index: self._enlarge(index, size)) or 0
            if self._free < size:
                return False
            self._free -= size
            return True

    def prepare(self) -> None:
        """Open the index.

        Raises
        ------
        ForeignFormatError
            It is of another format.
        """
        self._ask(lambda _: None)

    def record(self, entry: Entry, granted: int) -> None:
        """A whole file was put in place; it took *granted* bytes."""

        def put(index: Index) -> None:
            with index.transaction():
                index.put([entry], in_use=False)
                index.grant(self.writer, -granted)

        self._ask(put)

    def enter(self, holder: Holder) -> None:
        """*holder* begins to write, and may be asked for room; it is written down when settled."""
        with self._lock:
            self._holders.add(holder)

    def settle(self, holders: Iterable[Holder], *, in_use: bool = True) -> None:
        """Write down what *holders* take, in one go."""

        def write_down(index: Index) -> None:
            with index.transaction():
                self._write_down(index, holders, in_use=in_use)

        self._ask(write_down)

    def leave(self, holders: Sequence[Holder]) -> None:
        with self._lock:
            self.settle(holders, in_use=False)
            self._holders.difference_update(holders)

    def find(self, *, name: str = "", key: str = "") -> Entry | None:
        """What the index knows of a file."""
        return self._ask(lambda index: index.find(name=name, key=key))

    def used(self) -> int:
        """Bytes that the cache takes, all processes together."""
        return self._ask(lambda index: index.used()) or 0

    def close(self) -> None:
        """Give back what was granted and not used."""
        with self._lock:
            if self._index is None:
                return
            self._ask(lambda index: index.dismiss(self.writer))
            if self._index is not None:
                self._index.close()
            self._index = None
            (self._root / "writers" / self.writer).unlink(missing_ok=True)
            os.close(self._writer_fd)
            self._writer_fd = -1

    def _write_down(self, index: Index, holders: Iterable[Holder], *, in_use: bool) -> None:
        settled = [found for holder in holders if (found := holder.settle()) is not None]
        index.put([entry for entry, _ in settled], in_use=in_use)
        spent = sum(written for _, written in settled)
        if spent:
            index.grant(self.writer, -spent)

    def _ask(self, work: Callable[[Index], T]) -> T | None:
        """What *work* makes of the index; None after trouble, which is a log line.

        A damaged index is set aside, and made anew the next time.
        """
        with self._lock:
            try:
                if self._index is None:
                    self._index = self._opened()
                found = work(self._index)
            except (sqlite3.Error, OSError) as exc:
                if self._works:
                    log.warning("the cache's index fails (%s); check %s", exc, self._root)
                self._works = False
                if _is_damage(exc):
                    self._set_index_aside()
                return None
            self._works = True
            return found

    def _opened(self) -> Index:
        try:
            index = Index(self._root / "index.sqlite")
        except sqlite3.DatabaseError as exc:
            if not _is_damage(exc):
                raise
            log.warning("the cache's index is damaged (%s); it is made anew", exc)
            self._set_index_aside()
            index = Index(self._root / "index.sqlite")
            rebuild(index, self._root)
        if self._writer_fd < 0:
            writers = self._root / "writers"
            writers.mkdir(mode=0o700, exist_ok=True)
            path = writers / self.writer
            self._writer_fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            fcntl.flock(self._writer_fd, fcntl.LOCK_EX)
        with index.transaction():
            dismiss_dead(index, self._root, self.writer)
        return index

    def _set_index_aside(self) -> None:
        if self._index is not None:
            with contextlib.suppress(sqlite3.Error):
                self._index.close()
        self._index = None
        for suffix in ("-wal", "-shm"):
            (self._root / f"index.sqlite{suffix}").unlink(missing_ok=True)
        with contextlib.suppress(FileNotFoundError):
            (self._root / "index.sqlite").replace(self._root / "index.damaged")

    def _enlarge(self, index: Index, size: int) -> int:
        """Have at least *size* bytes granted; how many were."""
        slab = max(size - self._free, min(SLAB, self.limit // 16))
        with index.transaction():
            if self._lacking(index, slab) > 0:
                dismiss_dead(index, self._root, self.writer)
                self._make_room(index, slab)
            lacking = self._lacking(index, slab)
            if lacking > 0:
                slab -= lacking
            if slab < size - self._free:
                return 0
            index.grant(self.writer, slab)
        return slab

    def _lacking(self, index: Index, size: int) -> int:
        """Bytes that are too many on disk once *size* bytes more are written."""
        own = sum(space_of(path) for path in self._root.glob("index.*")) + INDEX_SLACK
        disk = os.statvfs(self._root)
        return max(
            index.used() + own + size - self.limit,
            self._floor + size - disk.f_bavail * disk.f_frsize,
        )

    def _make_room(self, index: Index, size: int) -> None:
        after = (-1.0, "")
        while self._lacking(index, size) > 0:
            found = index.oldest(after, 16)
            if not found:
                break
            for used, name, taken in found:
                after = (used, name)
                if taken and unlinked(self._root, name):
                    index.remove(name)
                    self.evicted += 1
                    if self._lacking(index, size) <= 0:
                        return
        pinned = index.pinned()
        for holder in sorted(self._holders, key=lambda h: h.last_read):
            if holder.name in pinned:
                continue
            lacking = self._lacking(index, size)
            if lacking <= 0:
                return
            holder.punch(lacking)
            self._write_down(index, [holder], in_use=True)


def _is_damage(exc: Exception) -> bool:
    """True for a file that is no database (any more); not for a full disk or a long wait."""
    return isinstance(exc, sqlite3.DatabaseError) and not isinstance(exc, sqlite3.OperationalError)
