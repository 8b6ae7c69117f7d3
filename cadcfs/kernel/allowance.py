"""How much stat may make: a bounded number of files and bytes a minute that nobody opens.

GNU tar stats a file before it opens it and stores an empty one if it sees size 0, so a stat must
make what has no size yet. But a program that stats a whole directory must not have a thousand
cutouts made. What is opened afterwards is given back, so tar and cp never wait.
"""

from __future__ import annotations

import logging
from collections import OrderedDict, defaultdict
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

import trio

from cadcfs.errors import Busy

log = logging.getLogger(__name__)

PERIOD = 60.0
"""Seconds after which what was made counts no more."""
BYTES = 2 << 30
"""Bytes that one group of processes may have made by stat in that time."""


@dataclass
class _Turn:
    """One file made, or being made, by stat."""

    since: float
    size: int = 0


class StatAllowance:
    """Turns of each group of processes. For the event loop only."""

    def __init__(self, files: int, patience: float) -> None:
        self._files = files
        self._patience = patience
        self._taken: defaultdict[str, OrderedDict[int, _Turn]] = defaultdict(OrderedDict)
        self._changed = trio.Event()

    @asynccontextmanager
    async def turn(self, group: str, inode: int, program: str) -> AsyncIterator[_Turn]:
        """Wait until *group* may have one more file made; set the size of what was made in it.

        Raises
        ------
        Busy
            The turn does not come within the patience.
        """
        turn = await self._take(group, inode, program)
        try:
            yield turn
        except BaseException:
            # Nothing was made for it.
            self._give_back(group, inode)
            raise

    def opened(self, inode: int) -> None:
        """A file that was made by stat is wanted indeed: it does not count any more."""
        for group in [g for g, turns in self._taken.items() if inode in turns]:
            self._give_back(group, inode)

    async def _take(self, group: str, inode: int, program: str) -> _Turn:
        deadline = trio.current_time() + self._patience
        told = False
        while (pause := self._pause(group)) > 0:
            left = deadline - trio.current_time()
            if left <= 0:
                raise Busy(
                    f"{program} has had {self._files} files or {BYTES >> 30} GiB made by stat "
                    "within a minute and opened none of them; it has to wait for more"
                )
            if not told:
                log.info("%s waits: it had much made by stat and did not open it", program)
                told = True
            changed = self._changed
            with trio.move_on_after(min(pause, left)):
                await changed.wait()
        turn = self._taken[group][inode] = _Turn(trio.current_time())
        return turn

    def _pause(self, group: str) -> float:
        """Seconds until the next turn may come; 0 for now."""
        now = trio.current_time()
        turns = self._taken.get(group)
        if turns is None:
            return 0.0
        while turns and next(iter(turns.values())).since <= now - PERIOD:
            turns.popitem(last=False)
        if not turns:
            del self._taken[group]
            return 0.0
        if len(turns) < self._files and sum(turn.size for turn in turns.values()) < BYTES:
            return 0.0
        return next(iter(turns.values())).since + PERIOD - now

    def _give_back(self, group: str, inode: int) -> None:
        turns = self._taken.get(group)
        if turns is not None and turns.pop(inode, None) is not None:
            self._changed.set()
            self._changed = trio.Event()
