"""A file that chooses something: reading tells how it stands, writing a word chooses another."""

from __future__ import annotations

import stat
from collections.abc import Callable

from cadcfs.errors import BadRequest
from cadcfs.tree.node import Attributes
from cadcfs.tree.plain import Snapshot

WORDS = {"on": True, "1": True, "off": False, "0": False}


class SwitchFile:
    """A word, which may be chosen (`tree.node.WritableFile`).

    Parameters
    ----------
    now
        The word that is in force.
    choose
        Told another one; raises `BadRequest` for what is none.
    """

    is_control = True

    def __init__(
        self, key: str, now: Callable[[], str], choose: Callable[[str], None], mtime_ns: int
    ) -> None:
        self.key = key
        self._now = now
        self._choose = choose
        self._mtime_ns = mtime_ns

    def attributes_now(self) -> Attributes:
        return Attributes(stat.S_IFREG | 0o600, 0, self._mtime_ns, valid=0)

    async def attributes(self) -> Attributes:
        return self.attributes_now()

    async def open(self) -> Snapshot:
        return Snapshot(f"{self._now()}\n".encode())

    async def open_to_write(self, *, truncate: bool) -> _Turning:  # noqa: ARG002
        return _Turning(self._choose)

    async def truncate(self, size: int) -> None:  # noqa: ARG002
        return


def turning(switch: Callable[[bool], None]) -> Callable[[str], None]:
    """What `on` and `off` do, for a `SwitchFile`."""

    def choose(word: str) -> None:
        if word not in WORDS:
            raise BadRequest(f"{word!r} is neither `on` nor `off`")
        switch(WORDS[word])

    return choose


class _Turning(Snapshot):
    """An open switch; it turns when it is written to."""

    def __init__(self, choose: Callable[[str], None]) -> None:
        super().__init__(b"")
        self._choose = choose

    async def write(self, offset: int, data: bytes) -> int:  # noqa: ARG002
        self._choose(data.decode("utf-8", "replace").strip().lower())
        return len(data)

    async def flush(self) -> None:
        return

    async def sync(self) -> None:
        return
