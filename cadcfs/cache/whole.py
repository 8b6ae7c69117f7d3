"""Files that must be made whole before they have a size: cutouts, headers, unpacked images.

Generic: takes makers, knows no archive. A file is made once however many ask, kept on disk with a
record of its size and checksum, and checked against it at its first use in the life of a process.
Damage is a miss and a log line. A making goes on when its asker is gone; one that needs longer
than the patience is `Pending` and found whole the next time.
"""

from __future__ import annotations

import contextlib
import logging
import os
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar, TypeVarTuple, Unpack

import trio

from cadcfs.cache.records import Made, Records, Refused
from cadcfs.errors import CadcfsError, Corrupt, NoContent, NotFound, Pending, Unavailable

log = logging.getLogger(__name__)

T = TypeVar("T")
Ts = TypeVarTuple("Ts")

Maker = Callable[[Path], Awaitable[None]]
"""Writes a whole file under the given path; raises `cadcfs.errors`, or OSError of that path."""

AHEAD = 4
"""Makings under way that nobody has asked for yet, over all directories."""
MEMORY = 256 << 20
"""Bytes of made files that are held in memory while the disk fails."""
TOO_LONG = 900.0
"""Seconds after which a making is given up, also one that goes on behind."""


@dataclass(frozen=True)
class WholeStatistics:
    """Counts since the start."""

    made: int
    refused: int
    failed: int
    under_way: int


class _Flight:
    """One making under way and who waits for it."""

    def __init__(self) -> None:
        self.done = trio.Event()
        self.error: CadcfsError | None = None


class Wholes:
    """All made files by key. Methods are for the event loop; disk work goes to threads."""

    def __init__(self, root: Path, nursery: trio.Nursery, *, patience: float = 120.0) -> None:
        self._records = Records(root / "made-v1")
        self._nursery = nursery
        self._patience = patience
        self._flights: dict[str, _Flight] = {}
        self._sound: set[str] = set()
        self._memory: OrderedDict[str, int] = OrderedDict()
        self._threads = trio.CapacityLimiter(4)
        self._queue: list[tuple[str, Maker]] = []
        self._pumps = 0
        self._counts = {"made": 0, "refused": 0, "failed": 0}
        nursery.start_soon(self._in_thread, self._records.sweep)

    def statistics(self) -> WholeStatistics:
        return WholeStatistics(**self._counts, under_way=len(self._flights))

    def known(self, key: str) -> Made | None:
        """What was made under *key*, here or thrown away since; never waits."""
        found = self._records.peek(key)
        return found if isinstance(found, Made) else None

    def is_refused(self, key: str) -> bool:
        """True for what cannot be made, as was said lately; never waits."""
        found = self._records.peek(key)
        return isinstance(found, Refused) and found.is_fresh()

    async def recall(self, keys: Iterable[str]) -> None:
        """Have at hand what the disk knows of *keys*; never asks the network."""
        new = [key for key in keys if self._records.peek(key) is None]
        if new:
            await trio.to_thread.run_sync(self._records.load, new, limiter=self._threads)

    async def make(self, key: str, maker: Maker) -> Made:
        """The file under *key*, made if it is not here.

        Raises
        ------
        Pending
            It needs longer than the patience; it goes on behind.
        CadcfsError
            What *maker* raised.
        """
        flight = self._start(key, maker)
        with trio.move_on_after(self._patience):
            await flight.done.wait()
        if not flight.done.is_set():
            raise Pending(f"not ready within {self._patience:g} s; it is being made: {key}")
        if flight.error is not None:
            raise flight.error
        made = self.known(key)
        assert made is not None
        return made

    async def open(self, key: str, maker: Maker) -> WholeFile:
        """The file under *key*, made if it is not here; raises as `make` does."""
        for _ in range(2):
            made = await self.make(key, maker)
            try:
                return WholeFile(await self._in_thread(self._open, key), made)
            except OSError as exc:
                log.warning("%s cannot be opened (%s); it is made again", key, exc)
                self._sound.discard(key)
        raise Corrupt(f"{key} cannot be kept; check the cache's disk")

    def ahead(self, wanted: Sequence[tuple[str, Maker]]) -> None:
        """Make *wanted* in this order, a few at a time; takes the place of what waits so far."""
        self._queue = [(k, m) for k, m in wanted if self._records.peek(k) is None][::-1]
        while self._pumps < min(AHEAD, len(self._queue)):
            self._pumps += 1
            self._nursery.start_soon(self._pump)

    async def _pump(self) -> None:
        try:
            while self._queue:
                key, maker = self._queue.pop()
                try:
                    flight = self._start(key, maker)
                    await flight.done.wait()
                    if flight.error is not None:
                        raise flight.error
                except NotFound:
                    continue
                except CadcfsError as exc:
                    # The next ones would fail as well, and nobody has asked for them.
                    log.info("nothing more is made ahead: %s", exc)
                    self._queue.clear()
        finally:
            self._pumps -= 1

    def _start(self, key: str, maker: Maker) -> _Flight:
        flight = self._flights.get(key)
        if flight is None:
            flight = _Flight()
            if key in self._sound and self.known(key) is not None:
                flight.done.set()
                return flight
            self._flights[key] = flight
            # In the cache's own nursery: the first asker may be interrupted, others wait on.
            self._nursery.start_soon(self._fly, key, maker, flight)
        return flight

    async def _fly(self, key: str, maker: Maker, flight: _Flight) -> None:
        finished = False
        try:
            with trio.fail_after(TOO_LONG):
                await self._ensure(key, maker)
            finished = True
        except trio.TooSlowError:
            flight.error = Unavailable(f"{key}: not made within {TOO_LONG:g} s")
        except CadcfsError as exc:
            flight.error = exc
        except Exception as exc:
            log.exception("a making failed in an unforeseen way: %s", key)
            flight.error = Unavailable(f"{key}: {exc!r}")
        finally:
            if flight.error is not None and not isinstance(flight.error, NotFound):
                self._counts["failed"] += 1
            if not finished and flight.error is None:
                flight.error = Unavailable(f"{key}: the mount is ending")
            del self._flights[key]
            flight.done.set()

    async def _ensure(self, key: str, maker: Maker) -> None:
        await self.recall([key])
        known = self._records.peek(key)
        if isinstance(known, Refused) and known.is_fresh():
            raise known.error()
        if isinstance(known, Made) and await self._in_thread(self._records.is_sound, key, known):
            self._sound.add(key)
            return
        try:
            await self._make(key, maker)
        except NotFound as exc:
            self._counts["refused"] += 1
            refusal = Refused.of(exc, lasting=isinstance(exc, NoContent))
            await self._in_thread(self._records.refuse, key, refusal)
            raise
        self._counts["made"] += 1
        self._sound.add(key)

    async def _make(self, key: str, maker: Maker) -> None:
        """On disk, or in memory where the disk fails: that must not fail a read."""
        try:
            path = await self._in_thread(self._records.new_path, key)
            try:
                await maker(path)
                await self._in_thread(self._records.keep, key, path)
            finally:
                with contextlib.suppress(OSError):
                    path.unlink(missing_ok=True)
        except OSError as exc:
            log.warning("the cache's disk fails (%s): %s is made in memory", exc, key)
            fd = os.memfd_create("cadcfs", os.MFD_CLOEXEC)
            # By our own number, for a maker may be a process of its own.
            path = Path(f"/proc/{os.getpid()}/fd/{fd}")
            try:
                await maker(path)
                await self._in_thread(self._records.measure, key, path)
            except BaseException:
                os.close(fd)
                raise
            self._hold(key, fd)

    def _hold(self, key: str, fd: int) -> None:
        if key in self._memory:
            os.close(self._memory.pop(key))
        self._memory[key] = fd
        while len(self._memory) > 1 and self._held_bytes() > MEMORY:
            dropped, old = self._memory.popitem(last=False)
            self._sound.discard(dropped)
            os.close(old)

    def _held_bytes(self) -> int:
        return sum(os.fstat(fd).st_size for fd in self._memory.values())

    def _open(self, key: str) -> int:
        held = self._memory.get(key)
        path = self._records.path(key) if held is None else Path(f"/proc/self/fd/{held}")
        return os.open(path, os.O_RDONLY | os.O_CLOEXEC)

    async def _in_thread(self, work: Callable[[Unpack[Ts]], T], *args: *Ts) -> T:
        return await trio.to_thread.run_sync(work, *args, limiter=self._threads)

    def close(self) -> None:
        """Give memory back; at the end."""
        while self._memory:
            os.close(self._memory.popitem()[1])


class WholeFile:
    """One open file; all of it is here."""

    def __init__(self, fd: int, made: Made) -> None:
        self._fd = fd
        self.made = made

    def read_now(self, offset: int, size: int) -> bytes | None:
        """The bytes; None where the disk does not give them back."""
        wanted = max(0, min(size, self.made.size - offset))
        try:
            found = os.pread(self._fd, wanted, offset)
        except OSError:
            return None
        return found if len(found) == wanted else None

    async def read(self, offset: int, size: int) -> bytes:
        """Only what `read_now` could not give.

        Raises
        ------
        Corrupt
        """
        raise Corrupt(f"bytes {offset}+{size} of a made file cannot be read; check the disk")

    async def aclose(self) -> None:
        os.close(self._fd)
