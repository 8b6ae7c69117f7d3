"""The block cache from outside, for the command: what is in it, whether it is sound, what stays.

Works beside mounts that use the same directory. Blocking.
"""

from __future__ import annotations

import contextlib
import hashlib
import sqlite3
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from cadcfs.cache.blocks import BLOCK
from cadcfs.cache.index import Entry, ForeignFormatError, Index
from cadcfs.cache.presence import MapFile, Presence
from cadcfs.cache.recovery import data_path, unlinked
from cadcfs.cache.store import DIRECTORY
from cadcfs.errors import UserError

ACCOUNTS = "accounts"
"""Below a cache directory: those of accounts."""


@dataclass(frozen=True)
class Kept:
    """One file of the cache: how many bytes are *here*, how many it takes on disk.

    *used* in seconds since 1970.
    """

    name: str
    key: str
    size: int
    md5: str | None
    here: int
    taken: int
    used: float
    is_pinned: bool

    @property
    def uri(self) -> str:
        """What was read: the key begins with it."""
        return self.key.partition(" ")[0]


@dataclass(frozen=True)
class Verdict:
    """What a check found: blocks that were looked at, and those that were damaged.

    *whole* is whether all of it matches the archive's checksum; None where that cannot be said.
    """

    blocks: int
    damaged: tuple[int, ...]
    whole: bool | None

    @property
    def is_sound(self) -> bool:
        return not self.damaged and self.whole is not False


def stores(cache_dir: Path) -> list[Store]:
    """The stores of a cache directory: the public one, then those of accounts."""
    roots = [cache_dir, *sorted((cache_dir / ACCOUNTS).glob("account-*"))]
    return [Store(root / DIRECTORY) for root in roots if (root / DIRECTORY).is_dir()]


class Store:
    """One directory of blocks with its index."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def used(self) -> int:
        """Bytes on disk, with what writers were granted."""
        with self._index() as index:
            return index.used()

    def files(self) -> list[Kept]:
        """All files, the least recently used first."""
        with self._index() as index:
            entries, pinned = index.entries(), index.pinned()
        return [
            Kept(e.name, e.key, e.size, e.md5, self._here(e), e.taken, e.used, e.name in pinned)
            for e in entries
        ]

    def pin(self, names: Iterable[str]) -> None:
        """Keep the files *names* from being evicted, also such as are not here yet."""
        with self._index() as index, index.transaction():
            index.pin(names)

    def unpin(self, names: Iterable[str]) -> None:
        with self._index() as index, index.transaction():
            index.unpin(names)

    def remove(self, file: Kept) -> bool:
        """Remove a file; False where a mount has it open."""
        if not unlinked(self.root, file.name):
            return False
        with self._index() as index, index.transaction():
            index.remove(file.name)
            index.unpin([file.name])
        return True

    def verify(self, file: Kept) -> Verdict:
        """Check each block that is here, and the whole where that is; what is damaged goes."""
        presence, kept = self._presence(file.name, file.key, file.size)
        digest = hashlib.md5(usedforsecurity=False)
        damaged = []
        here = [b for b in range(presence.blocks) if presence.here[b]]
        with data_path(self.root, file.name).open("rb") as data:
            for block in here:
                data.seek(block * presence.block_size)
                content = data.read(presence.length(block))
                digest.update(content)
                # A block that a mount has evicted meanwhile is not in the map any more.
                sound = presence.sum(block, content) == presence.sums[block]
                if not sound and kept.says_here(block):
                    damaged.append(block)
        whole = None
        if file.md5 and len(here) == presence.blocks and not damaged:
            whole = digest.hexdigest() == file.md5
        for block in range(presence.blocks) if whole is False else damaged:
            presence.drop(block)
        if damaged or whole is False:
            kept.save(range(presence.blocks) if whole is False else damaged)
        return Verdict(len(here), tuple(damaged), whole)

    def _here(self, entry: Entry) -> int:
        return self._presence(entry.name, entry.key, entry.size)[0].bytes_here()

    def _presence(self, name: str, key: str, size: int) -> tuple[Presence, MapFile]:
        presence = Presence(key, size, BLOCK)
        kept = MapFile(presence, data_path(self.root, name).with_suffix(".map"))
        kept.load()
        return presence, kept

    @contextlib.contextmanager
    def _index(self) -> Iterator[Index]:
        try:
            index = Index(self.root / "index.sqlite")
        except (sqlite3.Error, ForeignFormatError) as exc:
            raise UserError(
                f"the index of {self.root} cannot be used ({exc}); the next mount mends it"
            ) from exc
        try:
            yield index
        except sqlite3.Error as exc:
            raise UserError(f"the index of {self.root} fails: {exc}") from exc
        finally:
            index.close()
