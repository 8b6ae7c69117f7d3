"""A name in a directory that is not known any more: found out when it is looked at."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import replace

from cadcfs.tree.node import Attributes, File, Opened


class UnlistedFile:
    """A name that may be a file; *find* says `NotFound` if it is none."""

    is_control = False

    def __init__(self, key: str, find: Callable[[], Awaitable[File]]) -> None:
        self.key = key
        self.find = find

    def attributes_now(self) -> Attributes | None:
        return None

    async def attributes(self) -> Attributes:
        return replace(await (await self.find()).attributes(), valid=0)

    async def open(self) -> Opened:
        return await (await self.find()).open()
