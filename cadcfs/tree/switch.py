"""A file that switches something: reading tells how it stands, `echo on` and `echo off` turn it."""

from __future__ import annotations

import stat
from collections.abc import Callable

from cadcfs.errors import BadRequest
from cadcfs.tree.node import Attributes
from cadcfs.tree.plain import Snapshot

WORDS = {"on": True, "1": True, "off": False, "0": False}


class SwitchFile:
    """`on` or `off` (`tree.node.WritableFile`)."""

    is_control = True

    def __init__(
        self, key: str, is_on: Callable[[], bool], switch: Callable[[bool], None], mtime_ns: int
    ) -> None:
        self.key = key
        self._is_on = is_on
        self._switch = switch
        self._mtime_ns = mtime_ns

    def attributes_now(self) -> Attributes:
        return Attributes(stat.S_IFREG | 0o600, 0, self._mtime_ns, valid=0)

    async def attributes(self) -> Attributes:
        return self.attributes_now()

    async def open(self) -> Snapshot:
        return Snapshot(b"on\n" if self._is_on() else b"off\n")

    async def open_to_write(self, *, truncate: bool) -> _Turning:  # noqa: ARG002
        return _Turning(self._switch)

    async def truncate(self, size: int) -> None:  # noqa: ARG002
        return


class _Turning(Snapshot):
    """An open switch; it turns when it is written to."""

    def __init__(self, switch: Callable[[bool], None]) -> None:
        super().__init__(b"")
        self._switch = switch

    async def write(self, offset: int, data: bytes) -> int:  # noqa: ARG002
        word = data.decode("utf-8", "replace").strip().lower()
        if word not in WORDS:
            raise BadRequest(f"{word!r} is neither `on` nor `off`")
        self._switch(WORDS[word])
        return len(data)

    async def flush(self) -> None:
        return

    async def sync(self) -> None:
        return
