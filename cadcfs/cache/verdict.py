"""Whether the whole of a file matches its checksum; its last block waits for that."""

from __future__ import annotations

import logging
import threading
from concurrent.futures import Executor

from cadcfs.cache.checked import CheckedBlocks
from cadcfs.cache.keeping import Keeping
from cadcfs.cache.verification import WholeCheck
from cadcfs.cache.version import Version
from cadcfs.errors import Corrupt

log = logging.getLogger(__name__)


class Verdict:
    """What is known of the whole of one version; nothing is where the archive tells no checksum.

    The last block to arrive is not here before the whole matches. Only a file that does not fit
    into the cache is judged late: what came first is gone when the last bytes arrive.
    """

    def __init__(
        self, version: Version, checked: CheckedBlocks, keeping: Keeping, executor: Executor,
        lock: threading.Lock,
    ) -> None:  # fmt: skip
        self.mismatches = 0
        """How often the whole did not match; after two nothing of it is read any more."""
        self.matched = False
        self._version = version
        self._checked = checked
        self._presence = checked.presence
        self._keeping = keeping
        self._lock = lock
        self._withholds = False
        self._whole = None
        if version.md5:
            self._whole = WholeCheck(version.size, executor, checked.read_now, self._judge_late)

    @property
    def digested(self) -> int:
        """Blocks from the beginning on that no checksum needs any more."""
        if self._whole is None or self.matched or not self._whole.queued:
            return self._presence.blocks
        return self._whole.queued // self._presence.block_size

    def withheld(self, block: int, count: int, end: int) -> int | None:
        """The last block that the whole lacks, if it is among these *count* from *block* on.

        *end* is where they end in the file, in bytes. With the lock held.
        """
        presence = self._presence
        absent = presence.here.count(0, block, block + count)
        if self._whole is None or self.matched or not absent:
            return None
        complete = absent == presence.blocks - presence.count
        # Or what came before may be gone again, but was digested in its turn.
        digested = self._whole.queued // presence.block_size
        if complete or (
            end == presence.size and presence.here.find(0, min(digested, block), block) < 0
        ):
            self._withholds = True
            return presence.here.rfind(0, block, block + count)
        return None

    def feed(self, offset: int, content: bytes) -> None:
        """Bytes have arrived; waits if too many have not been digested yet."""
        if self._whole is not None and not self.matched:
            self._whole.feed(offset, content)

    def complete(self, block: int, content: bytes) -> None:
        """Let the last block in once the whole matches.

        Raises
        ------
        Corrupt
            It does not; nothing of the file is here any more.
        """
        assert self._whole is not None
        begin = block * self._presence.block_size

        def rest(offset: int, size: int) -> bytes | None:
            if begin <= offset < begin + len(content):
                return content[offset - begin :]
            return self._checked.read_now(
                offset, size if offset > begin else min(size, begin - offset)
            )

        found = self._whole.result(rest)
        with self._lock:
            self._withholds = False
            if found is None or found == self._version.md5:
                # None: parts of it were evicted before all of it was here.
                self.matched = found is not None
                self._presence.add(block, self._presence.sum(block, content))
                return
            self._mismatched()
        self._whole.restart()
        raise Corrupt(
            f"{self._version.key}: the bytes that arrived have MD5 {found}, "
            f"the archive says {self._version.md5}; they are thrown away"
        )

    def _judge_late(self, found: str) -> None:
        """The verdict on a file of which the last bytes were served before others had come."""
        with self._lock:
            if self._withholds or self.matched:
                return
            self.matched = found == self._version.md5
            if not self.matched:
                log.warning(
                    "%s: what was read has MD5 %s, the archive says %s",
                    self._version.key, found, self._version.md5,
                )  # fmt: skip
                self.mismatches = 1
                self._mismatched()

    def _mismatched(self) -> None:
        # Once more only if then all of it can be here together.
        self.mismatches += 1 if self._version.size <= self._keeping.capacity // 2 else 2
        self._checked.drop_all()
        self._keeping.write_map(range(self._presence.blocks))
