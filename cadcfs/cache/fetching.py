"""Ranges on their way from a source into a cache file: who waits for them, how many at once."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import trio

from cadcfs.cache.blocks import BlockFile
from cadcfs.errors import CadcfsError, Corrupt, Unavailable
from cadcfs.tasks import guarded

log = logging.getLogger(__name__)

Sink = Callable[[int, bytes], None]

LARGEST_FETCH = 16 << 20
"""Bytes in one request."""
PIECE = 8 << 20
"""Bytes in one of several requests side by side (measured: smaller ones lose to the round trip)."""
LEAST_PIECE = 256 << 10
SLOW = 50e6
"""Bytes per second of one stream below which more of them pay off."""
FAR = 0.02
"""Seconds to the first byte from which on one stream is taken to be slow, before that is known."""
STREAMS = 4
"""Requests side by side for one file ..."""
ALL_STREAMS = 8
"""... and for all files, where one stream is slow."""
BUDGET = 64 << 20
"""Bytes under way that nobody has asked for yet."""


class RangeSource(Protocol):
    """Where the bytes of one version of one file come from."""

    async def fetch(self, start: int, stop: int, sink: Sink) -> None:
        """Hand the bytes [start, stop) to *sink*(offset, data), in order, perhaps in a thread.

        Bytes that were handed over before may come again. Raises `cadcfs.errors`; the bytes are
        of this version or it raises `RemoteChanged`.
        """


def piece_of(window: int, streams: int) -> int:
    """Bytes of each of several requests that share a window."""
    return min(PIECE, max(LEAST_PIECE, window // streams))


class Pace:
    """How fast one stream of one file was lately."""

    def __init__(self) -> None:
        self.rate: float | None = None
        self.first: float | None = None

    def note(self, size: int, first: float, seconds: float) -> None:
        """*size* bytes came within *seconds*, the first of them *first* seconds after the question.

        Few bytes tell of the round trip alone.
        """
        self.first = first if self.first is None else min(self.first, first)
        if size >= 1 << 20 and seconds > 0:
            rate = size / seconds
            self.rate = rate if self.rate is None else 0.5 * (self.rate + rate)

    @property
    def streams(self) -> int:
        """Requests side by side that are worth it."""
        if self.rate is None:
            return STREAMS if self.first is not None and self.first > FAR else 1
        return STREAMS if self.rate < SLOW else 1


class Fetch:
    """One request under way for the blocks [start, stop)."""

    def __init__(self, blocks: range, *, ahead: bool) -> None:
        self.blocks = blocks
        self.error: CadcfsError | None = None
        self.scope = trio.CancelScope()
        self.waiting = 0
        self.runs = 0
        self.ahead = ahead
        self.heard = 0.0
        """When its last byte came, in seconds, monotonic."""

    def leave_if_unwanted(self) -> None:
        """End it once nobody waits for it and no run goes that way."""
        if not self.waiting and not self.runs:
            self.scope.cancel()


class Transfer:
    """One version's cache file, its source, and what is under way between them."""

    def __init__(self, file: BlockFile, source: RangeSource) -> None:
        self.file = file
        self.source = source
        self.under_way: dict[int, Fetch] = {}
        self.progress = trio.Event()
        self.pace = Pace()

    def wake(self) -> None:
        self.progress.set()
        self.progress = trio.Event()

    def lacking(self, wanted: range) -> list[range]:
        """Runs of blocks that are neither here nor under way."""
        found = []
        for run in self.file.presence.absent(wanted.start, wanted.stop):
            start = run.start
            for block in run:
                if block in self.under_way:
                    if block > start:
                        found.append(range(start, block))
                    start = block + 1
            if start < run.stop:
                found.append(range(start, run.stop))
        return found

    def fetches(self) -> set[Fetch]:
        return set(self.under_way.values())


@dataclass
class FetchCounts:
    """Since the start."""

    requests: int = 0
    taken: int = 0
    cancelled: int = 0


class Fetching:
    """Runs requests in a nursery, within limits. For the event loop."""

    def __init__(self, nursery: trio.Nursery, budget: int = BUDGET) -> None:
        self._nursery = nursery
        self._budget = budget
        self._ahead = 0
        self._slow_streams = 0
        self.counts = FetchCounts()

    def start(self, transfer: Transfer, blocks: range) -> list[Fetch]:
        """Fetch all of *blocks*, which somebody waits for, in requests of bounded size."""
        step = max(1, LARGEST_FETCH // transfer.file.presence.block_size)
        return [
            self._start(transfer, range(first, min(first + step, blocks.stop)), ahead=False)
            for first in range(blocks.start, blocks.stop, step)
        ]

    def start_ahead(self, transfer: Transfer, blocks: range, piece: int) -> tuple[list[Fetch], int]:
        """Fetch some of *blocks* as far as the limits let; and up to which block it went.

        Where one stream is slow, in requests of *piece* bytes.
        """
        size = transfer.file.presence.block_size
        streams = transfer.pace.streams
        step = max(1, (piece if streams > 1 else LARGEST_FETCH) // size)
        started: list[Fetch] = []
        for lacking in transfer.lacking(blocks):
            for first in range(lacking.start, lacking.stop, step):
                next_ = range(first, min(first + step, lacking.stop))
                if not self._may_start(transfer, streams, len(next_) * size):
                    return started, first
                started.append(self._start(transfer, next_, ahead=True))
        return started, blocks.stop

    def _may_start(self, transfer: Transfer, streams: int, size: int) -> bool:
        if self._ahead + size > self._budget:
            return False
        if streams == 1:
            return True
        return len(transfer.fetches()) < streams and self._slow_streams < ALL_STREAMS

    def _start(self, transfer: Transfer, blocks: range, *, ahead: bool) -> Fetch:
        fetch = Fetch(blocks, ahead=ahead)
        transfer.under_way.update(dict.fromkeys(blocks, fetch))
        self.counts.requests += 1
        if ahead:
            self._ahead += len(blocks) * transfer.file.presence.block_size
        self._nursery.start_soon(guarded, self._run, transfer, fetch)
        return fetch

    async def _run(self, transfer: Transfer, fetch: Fetch) -> None:
        slow = transfer.pace.streams > 1
        self._slow_streams += slow
        filler = Filler(transfer, fetch, trio.lowlevel.current_trio_token())
        size = transfer.file.presence.block_size
        start, stop = fetch.blocks.start * size, fetch.blocks.stop * size
        asked = time.monotonic()
        try:
            with fetch.scope:
                await transfer.source.fetch(
                    start, min(stop, transfer.file.version.size), filler.take
                )
                transfer.pace.note(
                    filler.taken, filler.began - asked, time.monotonic() - filler.began
                )
        except CadcfsError as exc:
            fetch.error = exc
        except Exception as exc:
            log.exception("a fetch failed in an unforeseen way: %s", transfer.file.version.key)
            fetch.error = Unavailable(f"{transfer.file.version.key}: {exc!r}")
        finally:
            filler.end()
            self._slow_streams -= slow
            if fetch.ahead:
                self._ahead -= len(fetch.blocks) * size
            # Without an error: whoever came to wait meanwhile starts another one.
            self.counts.cancelled += fetch.scope.cancelled_caught
            for block in fetch.blocks:
                if transfer.under_way.get(block) is fetch:
                    del transfer.under_way[block]
            self.counts.taken += filler.taken
            transfer.wake()


class Filler:
    """Cuts what arrives into blocks and stores them; called in the carrier's threads."""

    def __init__(self, transfer: Transfer, fetch: Fetch, token: trio.lowlevel.TrioToken) -> None:
        self._transfer = transfer
        self._token = token
        self._fetch = fetch
        self._block = fetch.blocks.start
        self._rest = b""
        self._next = fetch.blocks.start * transfer.file.presence.block_size
        # Two sites may be asked for the same range: whoever is ahead fills.
        self._lock = threading.Lock()
        self._ended = False
        self.taken = 0
        self.began = time.monotonic()

    def take(self, offset: int, data: bytes) -> None:
        with self._lock:
            if self._ended:
                raise Unavailable(f"{self._transfer.file.version.key}: nobody waits any more")
            skip = self._next - offset
            if skip < 0:
                raise Corrupt(f"{self._transfer.file.version.key}: a hole before byte {offset}")
            if skip >= len(data):
                return
            fresh = data[skip:] if skip else data
            self._fetch.heard = time.monotonic()
            if not self.taken:
                self.began = self._fetch.heard
            self._next += len(fresh)
            self.taken += len(fresh)
            self._store(self._rest + fresh if self._rest else fresh)

    def _store(self, content: bytes) -> None:
        presence = self._transfer.file.presence
        ready = len(content)
        if self._next < presence.size:
            ready -= ready % presence.block_size
        self._rest = content[ready:]
        if ready:
            self._transfer.file.write(self._block, content if not self._rest else content[:ready])
            self._block += -(-ready // presence.block_size)
            if self._block >= self._fetch.blocks.stop:
                return  # the end of the fetch wakes everybody, at once
            if self._fetch.waiting:
                self._token.run_sync_soon(self._transfer.wake, idempotent=True)

    def end(self) -> None:
        """Take nothing more: the blocks may be fetched by somebody else from now on."""
        self._ended = True
