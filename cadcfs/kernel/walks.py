"""The walk guard: a program that walks through the tree does not ask the archive for all of it.

Each group of processes may ask so many new questions a minute, half of them at once. Further ones
wait for their turn; what is cached is answered as ever. Programs that index whatever is mounted
get what is known and nothing else.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass

import trio

from cadcfs.cache.asker import Asker
from cadcfs.errors import Busy, NotAdmitted
from cadcfs.kernel.callers import Caller, Lookers, caller_of

log = logging.getLogger(__name__)

PERIOD = 60.0
"""Seconds that an allowance is for."""
MARGIN = 0.25
"""Seconds before a deadline in which a refusal can still be told in words."""
GROUPS = 1000
"""Groups that are remembered although they have waited for nothing lately."""


class Walks:
    """The allowances of all groups. For the event loop only.

    Parameters
    ----------
    allowance
        New questions a minute; 0 for no limit.
    indexers
        Names of programs that get cached answers only.
    patience
        Seconds that a turn is waited for at most.
    """

    def __init__(self, allowance: int, indexers: Iterable[str], patience: float) -> None:
        self._allowance = allowance
        self._indexers = Lookers(indexers)
        self._patience = patience
        self._groups: dict[str, _Group] = {}
        self._told: dict[frozenset[str], float] = {}

    def asker(self, pid: int, uid: int) -> Asker:
        """Who asks on behalf of thread *pid*; looked at when it asks something new."""
        return _Guarded(self, pid, uid)

    def is_indexer(self, caller: Caller) -> bool:
        return self._indexers.has(caller)

    def refuse_indexer(self, caller: Caller) -> None:
        """`Busy` for a program that must not cause anything to be fetched."""
        if self.is_indexer(caller):
            words = f"{caller} indexes whatever is mounted: it gets what is cached"
            # It tries every directory that there is.
            if trio.current_time() - self._told.get(caller.names, -PERIOD) >= PERIOD:
                self._told[caller.names] = trio.current_time()
                log.info("%s, EBUSY for the rest", words)
            raise NotAdmitted(words)

    async def turn(self, caller: Caller) -> None:
        """Wait until *caller* may ask one more question.

        Raises
        ------
        Busy
            The turn would come after the deadline, or never.
        """
        self.refuse_indexer(caller)
        if not self._allowance:
            return
        group = self._group(caller)
        deadline = min(
            trio.current_time() + self._patience, trio.current_effective_deadline() - MARGIN
        )
        pause = group.expected_pause()
        if pause and trio.current_time() + pause < deadline:
            group.tell(f"{caller} waits for its turn: it opens many new directories")
            with trio.move_on_at(deadline):
                await group.take()
                return
        elif not pause:
            group.take_now()
            return
        raise Busy(
            f"{caller} opens more than {self._allowance} new directories a minute, and its next "
            "turn comes too late"
        )

    def turn_nowait(self, caller: Caller) -> bool:
        """Take a turn for *caller* if there is one."""
        if self.is_indexer(caller):
            return False
        if self._allowance:
            group = self._group(caller)
            if group.expected_pause():
                return False
            group.take_now()
        return True

    def _group(self, caller: Caller) -> _Group:
        found = self._groups.get(caller.group)
        if found is None:
            if len(self._groups) >= GROUPS:
                self._groups = {n: g for n, g in self._groups.items() if not g.is_idle()}
            found = self._groups[caller.group] = _Group(self._allowance)
        return found


@dataclass(frozen=True)
class _Guarded:
    """One call of the kernel (`cache.asker.Asker`)."""

    walks: Walks
    pid: int
    uid: int

    async def turn(self) -> None:
        await self.walks.turn(caller_of(self.pid, self.uid))

    def turn_nowait(self) -> bool:
        return self.walks.turn_nowait(caller_of(self.pid, self.uid))


class _Pace:
    """Times of turns: so many in any period, half of them in a burst (GCRA, ITU-T I.371)."""

    def __init__(self, allowance: int) -> None:
        self._interval = PERIOD / allowance
        self._burst = (max(1, allowance // 2) - 1) * self._interval
        self._arrival = 0.0
        self._taken: deque[float] = deque(maxlen=allowance)

    def copy(self) -> _Pace:
        other = object.__new__(_Pace)
        other._interval, other._burst = self._interval, self._burst
        other._arrival, other._taken = self._arrival, self._taken.copy()
        return other

    def next_turn(self, now: float) -> float:
        turn = max(now, self._arrival - self._burst)
        if len(self._taken) == self._taken.maxlen:
            turn = max(turn, self._taken[0] + PERIOD)
        return turn

    def take(self, now: float) -> None:
        self._taken.append(now)
        self._arrival = max(now, self._arrival) + self._interval

    def is_idle(self, now: float) -> bool:
        return not self._taken or self._taken[-1] + PERIOD < now


class _Group:
    """One group of processes: its pace, and those of it that wait, first come first served."""

    def __init__(self, allowance: int) -> None:
        self._pace = _Pace(allowance)
        self._queue = trio.StrictFIFOLock()
        self._told = -PERIOD

    def expected_pause(self) -> float:
        """Seconds that one more would wait, as things are."""
        now = when = trio.current_time()
        queue = self._queue.statistics()
        pace = self._pace.copy()
        for _ in range(queue.tasks_waiting + queue.locked):
            when = pace.next_turn(when)
            pace.take(when)
        return pace.next_turn(when) - now

    def take_now(self) -> None:
        self._pace.take(trio.current_time())

    async def take(self) -> None:
        async with self._queue:
            # Only who holds the lock takes turns, so that the next one cannot move away.
            await trio.sleep_until(self._pace.next_turn(trio.current_time()))
            self.take_now()

    def tell(self, words: str) -> None:
        """Log *words* once a period."""
        now = trio.current_time()
        if now - self._told >= PERIOD:
            log.info("%s", words)
        self._told = now

    def is_idle(self) -> bool:
        return not self._queue.locked() and self._pace.is_idle(trio.current_time())
