"""Whole answers by key: in memory as long as they are small in sum, and on disk (diskcache).

What is on disk is for the next mount, and for days without a network. A damaged entry is a miss.
"""

from __future__ import annotations

import logging
from collections import OrderedDict
from collections.abc import Callable, Sized
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import trio

if TYPE_CHECKING:
    import diskcache

log = logging.getLogger(__name__)

MEMORY_ROWS = 2_000_000
"""Rows kept in memory over all answers."""
DISK_BYTES = 1 << 30
"""Limit of the answers on disk; the least recently stored go first."""


@dataclass(frozen=True)
class Kept:
    """An answer, and when it was heard, in seconds since 1970."""

    value: Any
    stored: float
    expired: bool = False
    """True where somebody wants a newer one."""


class Shelf:
    """Keeps answers. Methods are for the event loop, save `close`; disk work goes to threads."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._known: OrderedDict[str, Kept] = OrderedDict()
        self.rows = 0
        self._threads = trio.CapacityLimiter(2)
        self._disk: diskcache.Cache | None = None
        self._disk_works = True

    def __len__(self) -> int:
        return len(self._known)

    def __contains__(self, key: str) -> bool:
        """True where memory holds it."""
        return key in self._known

    def peek(self, key: str) -> Kept | None:
        """What memory holds; never waits."""
        return self._known.get(key)

    def keep(self, key: str, known: Kept) -> None:
        """Have it in memory."""
        old = self._known.pop(key, None)
        self.rows += rows_of(known.value) - (rows_of(old.value) if old else 0)
        self._known[key] = known
        while self.rows > MEMORY_ROWS and len(self._known) > 1:
            _, dropped = self._known.popitem(last=False)
            self.rows -= rows_of(dropped.value)

    async def find(self, key: str) -> Kept | None:
        """What memory or disk hold."""
        if key in self._known:
            self._known.move_to_end(key)
            return self._known[key]
        found = await self._in_thread(self._read, key)
        # Another task may have loaded a newer answer meanwhile.
        if found is not None and key not in self._known:
            self.keep(key, found)
        return self._known.get(key)

    def _read(self, key: str) -> Kept | None:
        found = self._opened().get(key)
        if isinstance(found, tuple) and len(found) == 2 and isinstance(found[0], float):
            return Kept(found[1], found[0])
        return None

    async def store(self, key: str, known: Kept) -> None:
        """Have it on disk, too."""
        await self._in_thread(lambda k: self._opened().set(k, (known.stored, known.value)), key)

    async def _in_thread(self, work: Callable[[str], Any], key: str) -> Any:  # noqa: ANN401
        """Disk trouble of any kind is a miss: answers must come without a disk, too."""
        try:
            return await trio.to_thread.run_sync(self._alone, work, key, limiter=self._threads)
        except Exception as exc:  # noqa: BLE001  (sqlite, pickle and the file system all may fail)
            if self._disk_works:
                log.warning("answers are not kept on disk (%r); check %s", exc, self._directory)
            self._disk_works = False
            return None

    def _alone(self, work: Callable[[str], Any], key: str) -> Any:  # noqa: ANN401
        """Do *work*, and close this thread's connection to the database.

        Threads come and go; what they leave open stays, with its pages, until Python looks for
        cycles, which may take long.
        """
        try:
            return work(key)
        finally:
            self.close()

    def _opened(self) -> diskcache.Cache:
        if self._disk is None:
            import diskcache

            self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._disk = diskcache.Cache(str(self._directory), size_limit=DISK_BYTES)
        return self._disk

    def close(self) -> None:
        """Close the files on disk; blocking, at the end."""
        if self._disk is not None:
            self._disk.close()


def rows_of(value: object) -> int:
    return 1 if isinstance(value, str) or not isinstance(value, Sized) else 1 + len(value)
