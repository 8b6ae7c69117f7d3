"""In which order the blocks of a file came, for giving them up in that order."""

from __future__ import annotations

from collections import deque
from collections.abc import Collection, Iterable, Iterator

from cadcfs.cache.presence import Presence


class Arrivals:
    """Blocks of one file, first come first to go. The holder of the file's lock calls it."""

    def __init__(self, presence: Presence) -> None:
        self._presence = presence
        self._order: deque[range] = deque()

    def note(self, blocks: Iterable[range]) -> None:
        """*blocks* came, in this order."""
        self._order.extend(blocks)

    def leaving(self, count: int, pins: Iterable[range], digested: int) -> list[int]:
        """Up to *count* blocks that can be given up.

        Never those in *pins*, for which somebody waits; those from *digested* on only where the
        others are too few, since a checksum of the whole still lacks them.
        """
        pinned = {block for pin in pins for block in pin}
        before = range(digested)
        found = list(self._first(count, pinned, before))
        if len(found) < count:
            found += self._first(count - len(found), pinned, range(self._presence.blocks), found)
        return found

    def _first(
        self, count: int, pinned: Collection[int], among: range, gone: Iterable[int] = ()
    ) -> Iterator[int]:
        taken = set(gone)
        for _ in range(len(self._order)):
            run = self._order.popleft()
            for number, block in enumerate(run):
                if count <= 0:
                    self._order.appendleft(run[number:])
                    return
                if not self._presence.here[block] or block in taken:
                    continue
                if block in pinned or block not in among:
                    self._order.append(range(block, block + 1))
                    continue
                count -= 1
                yield block
