"""What was asked lately, for directories that answer questions without end.

Kept on disk with the answers, so that a remount still shows it.
"""

from __future__ import annotations

from typing import Protocol

MOST = 200
"""Names that one directory shows; the one asked longest ago makes room."""


class Memory(Protocol):
    """Keeps values by key (`cache.listings.Listings`)."""

    async def recall(self, key: str) -> tuple[str, ...] | None: ...

    async def put(self, key: str, value: tuple[str, ...]) -> None: ...


class Recent:
    """The names asked lately in one directory."""

    def __init__(self, memory: Memory, key: str) -> None:
        self._memory = memory
        self._key = f"recent {key}"

    async def names(self) -> tuple[str, ...]:
        """Oldest first."""
        return await self._memory.recall(self._key) or ()

    async def note(self, name: str) -> None:
        """Remember that *name* was asked just now."""
        known = await self.names()
        if known and known[-1] == name:
            return
        kept = [other for other in known if other != name]
        await self._memory.put(self._key, (*kept[-(MOST - 1) :], name))
