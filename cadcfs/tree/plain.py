"""Directories and files whose content is made here: fixed ones, and those made at each opening."""

from __future__ import annotations

import stat
from collections.abc import Awaitable, Callable, Mapping

from cadcfs.tree.node import Attributes, Child, Entries, Node, Opened


class FixedDirectory:
    """A directory with the same children for ever, and names that open but are not listed."""

    def __init__(
        self, key: str, children: Mapping[str, Node], unlisted: Mapping[str, Node] | None = None,
        permissions: int = 0o555,
    ) -> None:  # fmt: skip
        self.key = key
        self.permissions = permissions
        self._children = dict(children)
        self._unlisted = dict(unlisted or {})

    async def confirm(self) -> None:
        return

    async def entries(self) -> Entries:
        return Entries.of(self._children)

    async def child(self, name: str) -> Child | None:
        node = self._children.get(name) or self._unlisted.get(name)
        return None if node is None else Child(node)


class FixedFile:
    """A file with the same text for ever."""

    is_control = False
    is_for_all = True

    def __init__(self, key: str, text: str, mtime_ns: int) -> None:
        self.key = key
        self._content = text.encode()
        self._mtime_ns = mtime_ns

    def attributes_now(self) -> Attributes:
        return Attributes(stat.S_IFREG | 0o444, len(self._content), self._mtime_ns)

    async def attributes(self) -> Attributes:
        return self.attributes_now()

    async def open(self) -> Opened:
        return Snapshot(self._content)


class ControlFile:
    """A file whose text is made when it is opened; a stat before that shows size 0."""

    is_control = True

    def __init__(self, key: str, make: Callable[[], Awaitable[str]], mtime_ns: int) -> None:
        self.key = key
        self._make = make
        self._mtime_ns = mtime_ns

    def attributes_now(self) -> Attributes:
        return Attributes(stat.S_IFREG | 0o400, 0, self._mtime_ns, valid=0)

    async def attributes(self) -> Attributes:
        return self.attributes_now()

    async def open(self) -> Opened:
        return Snapshot((await self._make()).encode("utf-8", "surrogateescape"))


class Snapshot:
    """An open file whose bytes are all here."""

    def __init__(self, content: bytes) -> None:
        self._content = content

    def read_now(self, offset: int, size: int) -> bytes | None:
        return self._content[offset : offset + size]

    async def read(self, offset: int, size: int) -> bytes:
        return self._content[offset : offset + size]

    async def aclose(self) -> None:
        return
