"""The blocks of one version that are here: each is checked at its first use in this process.

And again when the file was changed by somebody else. Damage is a miss and a log line.
"""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Iterable

from cadcfs.cache.datafile import DataFile
from cadcfs.cache.keeping import Keeping
from cadcfs.cache.presence import Presence

log = logging.getLogger(__name__)


class CheckedBlocks:
    """What can be read of one version.

    `read_now` is for the event loop and takes no lock; the rest is for the holder of *lock*. A
    block's flag is set after its bytes are written and cleared before they go; a reader that saw
    bytes go meanwhile looks again (`_drops` is another object after each time).
    """

    def __init__(self, presence: Presence, keeping: Keeping, lock: threading.Lock) -> None:
        self.presence = presence
        self._keeping = keeping
        self._lock = lock
        self._drops = object()

    def read_now(self, offset: int, size: int) -> bytes | None:
        """The bytes if all of them are here and sound, else None."""
        presence, data = self.presence, self._keeping.data
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
        kept = self._keeping.map
        for block in wrong:
            if kept is not None:
                # Else the next look at what other processes have fetched would bring it back.
                kept.distrust(block)
            if kept is None or kept.says_here(block):
                log.warning(
                    "block %d of %s is damaged; it is fetched again", block, self.presence.key
                )
        if wrong:
            self.drop(wrong)
        else:
            self.presence.verified[blocks.start : blocks.stop] = b"\1" * len(blocks)

    def drop(self, blocks: Iterable[int]) -> None:
        """Let *blocks* be absent from now on."""
        for block in blocks:
            self.presence.drop(block)
        self._drops = object()

    def drop_all(self) -> None:
        self.drop(range(self.presence.blocks))

    def distrust(self) -> None:
        """Look at each block again: the file was changed by somebody else."""
        self.presence.verified[:] = bytes(self.presence.blocks)
        self._drops = object()
