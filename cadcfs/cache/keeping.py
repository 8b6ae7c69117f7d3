"""Where the bytes of one version lie: a data file and its map on disk, or memory without one."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterable
from pathlib import Path

from cadcfs.cache.datafile import DataFile, Memory
from cadcfs.cache.presence import MapFile, Presence
from cadcfs.cache.room import Holder
from cadcfs.cache.version import Place
from cadcfs.errors import Unavailable

log = logging.getLogger(__name__)

PAGE = 4096
"""Bytes that a file system takes at once."""


class Keeping:
    """The data file of one version and its map, opened when they are needed. Blocking."""

    def __init__(self, presence: Presence, place: Place | None, memory: Memory) -> None:
        self.data: DataFile | None = None
        self.map: MapFile | None = None
        if place is not None:
            self.map = MapFile(presence, place.path.with_suffix(".map"))
        self._presence = presence
        self._place = place
        self._memory = memory
        self._opening = threading.Lock()
        self._unsettled = 0
        self._last_taken = 0

    @property
    def capacity(self) -> int:
        """Bytes that are kept of it at most."""
        if self.map is not None and self._place is not None:
            return self._place.room.limit
        return self._memory.share

    @property
    def was_opened(self) -> bool:
        """True once anything of it was on disk."""
        return self._place is not None and self.data is not None

    @property
    def needs_saving(self) -> bool:
        return self.map is not None and bool(self._presence.unsaved)

    def opened(self, holder: Holder, distrust: Callable[[], None]) -> DataFile:
        """The data file; *holder* is asked for its room, *distrust* hears of others' changes."""
        with self._opening:
            if self.data is None and self._place is not None:
                overhead = PAGE + -(-8 * self._presence.blocks // PAGE) * PAGE
                try:
                    self.data = _opened(self._place.path.with_suffix(".data"), distrust)
                    self._unsettled += overhead * self._place.room.take(overhead)
                    self._place.room.enter(holder)
                except OSError as exc:
                    self.complain("%s is not kept (%s); check the cache", exc)
                    self.map = None
            if self.data is None:
                self.data = self._in_memory()
                self._memory.files += 1
            return self.data

    def _in_memory(self) -> DataFile:
        try:
            return DataFile.in_memory()
        except OSError as exc:
            raise Unavailable(
                f"{self._presence.key} cannot be read now ({exc}); raise the limit of open files"
            ) from exc

    def write(self, data: DataFile, offset: int, content: bytes) -> None:
        data.write(offset, content)
        if data.path is not None:
            self._unsettled += rounded(len(content))

    def leave_disk(self, data: DataFile) -> None:
        """Go on in memory, with nothing; no block may count as here any more."""
        self._last_taken = self._taken(data)
        self.map = None
        data.move_to_memory()
        self._memory.files += 1

    def complain(self, words: str, why: object) -> None:
        """Log *words*, with the key and *why*, if the disk's trouble was not told lately."""
        if self._place is not None:
            self._place.room.complaints.tell(log, words, self._presence.key, why)

    def excess(self, size: int) -> int:
        """Bytes that are too many in memory once *size* bytes more are there."""
        return self._presence.count * self._presence.block_size + size - self._memory.share

    def settled(self, data: DataFile) -> tuple[int, int]:
        """What it takes on disk now, and how many granted bytes that used up."""
        taken = self._last_taken if data.path is None else self._taken(data)
        spent, self._unsettled = self._unsettled, 0
        return taken, spent

    def write_map(self, blocks: Iterable[int]) -> None:
        """Write down what is here of *blocks*, if there is a map."""
        if self.map is not None:
            self.map.save(blocks)

    def close(self) -> None:
        if self.data is not None:
            self._memory.files -= self.data.path is None
            self.data.close()
            self.data = None

    def _taken(self, data: DataFile) -> int:
        assert self._place is not None
        try:
            return data.taken() + self._place.path.with_suffix(".map").stat().st_blocks * 512
        except OSError:
            return data.taken()


def rounded(size: int) -> int:
    """What *size* bytes take on disk."""
    return -(-size // PAGE) * PAGE


def _opened(path: Path, distrust: Callable[[], None]) -> DataFile:
    try:
        return DataFile.on_disk(path, distrust)
    except FileNotFoundError:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        return DataFile.on_disk(path, distrust)
