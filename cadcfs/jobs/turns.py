"""Whose turn it is to ask: few jobs are polled at once, and none is kept waiting by the others.

A poll holds its turn for as long as the archive holds the request (up to a minute). When more
jobs than turns are under way, the one that asks longest gives its turn back after its share.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TypeVar

import trio

T = TypeVar("T")

SHARE = 5.0
"""Seconds that a poll may hold its turn while others wait for one."""


@dataclass(eq=False)
class _Turn:
    scope: trio.CancelScope
    began: float


class Turns:
    """At most so many polls in flight. For the event loop only."""

    def __init__(self, most: int) -> None:
        self._free = most
        self._held: list[_Turn] = []
        self._waiting: deque[trio.Event] = deque()

    @property
    def in_flight(self) -> int:
        return len(self._held)

    async def ask(self, poll: Callable[[], Awaitable[T]]) -> T | None:
        """What *poll* says; None when its turn was given to another job meanwhile."""
        await self._come_up()
        turn = _Turn(trio.CancelScope(), trio.current_time())
        self._held.append(turn)
        self._press()
        answer = None
        try:
            with turn.scope:
                answer = await poll()
        finally:
            self._held.remove(turn)
            self._free += 1
            self._next()
        return answer

    async def _come_up(self) -> None:
        if self._free and not self._waiting:
            self._free -= 1
            return
        called = trio.Event()
        self._waiting.append(called)
        self._press()
        try:
            await called.wait()
        except BaseException:
            if called.is_set():
                self._free += 1
                self._next()
            else:
                self._waiting.remove(called)
            raise

    def _next(self) -> None:
        while self._free and self._waiting:
            self._free -= 1
            self._waiting.popleft().set()

    def _press(self) -> None:
        """As many as wait, of those who hold a turn longest, give it back after their share."""
        for turn in sorted(self._held, key=lambda held: held.began)[: len(self._waiting)]:
            turn.scope.deadline = min(
                turn.scope.deadline, max(turn.began + SHARE, trio.current_time())
            )
