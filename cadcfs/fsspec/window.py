"""The tree as one identity sees it at the moment: paths to nodes, their attributes, their bytes."""

from __future__ import annotations

import stat
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass

import trio

from cadcfs import accounts
from cadcfs.accounts import Accounts, View
from cadcfs.config import Settings
from cadcfs.engine import running
from cadcfs.errors import CadcfsError, Forbidden, NotFound, RemoteChanged
from cadcfs.fsspec.places import BelowFile, NoFile, Range
from cadcfs.jobs.opening import ANONYMOUS, opened
from cadcfs.tree.control import CONTROL_NAMES, Controls
from cadcfs.tree.node import (
    Attributes,
    Directory,
    File,
    Node,
    Opened,
    is_directory,
    is_file,
    is_for_all,
    is_made,
    is_outdated,
    is_provisional,
    is_symlink,
    permissions,
)
from cadcfs.trees import Trees

AT_ONCE = 64
"""Ranges that one call asks for at once; the cache has limits of its own below that."""
PIECE = 8 << 20
"""Bytes asked of the cache at once: what follows is read ahead, and no more than that is held."""
LINKS = 40
"""Symbolic links on one path, as in Linux."""

Found = dict[str, object]


@dataclass(frozen=True)
class Place:
    """A node under a path without links."""

    path: str
    node: Node


class Window:
    """For the event loop only."""

    def __init__(self, settings: Settings) -> None:
        # What goes wrong is raised where it does, so that there is nothing to look up.
        self._trees = Trees(settings, None, lambda _: "")
        self._root: Directory
        self._controls: Controls
        self._generation = 0
        self._left = ""

    def show(self, view: View) -> list[int]:
        """Answer from *view* from now on."""
        self._root, self._controls = self._trees.of(view)
        self._generation += 1
        return []

    def leave(self, why: str) -> None:
        """What an account alone may see is not read any more, also not through what is open."""
        self._left = why

    async def entries(self, path: str) -> list[Found]:
        """What is in a directory (of anything else: itself); nothing is made to learn its size."""
        place = await self._place(path)
        if not is_directory(place.node):
            return [await self.info(path)]
        base = f"{path}/" if path else ""
        return [self._shown(base + name, node) for name, node in await place.node.entries()]

    async def info(self, path: str) -> Found:
        """What is known of one path; links are followed, and the size is the true one."""
        place = await self._place(path)
        node = place.node
        if is_directory(node):
            await node.confirm()
        elif is_file(node):
            node = await _found(node)
            if node.attributes_now() is None:
                await node.attributes()
        return self._shown(path, node)

    async def is_directory(self, path: str) -> bool:
        """True for a directory, False for a file; nothing is made to find out."""
        node = (await self._place(path)).node
        if is_directory(node):
            await node.confirm()
        elif is_file(node):
            await _found(node)
        return is_directory(node)

    async def key(self, path: str) -> str:
        """What makes it this file in this version."""
        return (await self._place(path)).node.key

    async def open(self, path: str) -> OpenFile:
        node = await self._file(path)
        opened_file = await node.open()
        # What was made at its opening has its size from now on; of a control file nobody knows.
        size = None if node.is_control else (await node.attributes()).size
        private = not (node.is_control or is_for_all(node))
        return OpenFile(self, opened_file, size, self._generation if private else None)

    async def ranges(self, wanted: Sequence[Range]) -> list[bytes | Exception]:
        """The bytes of all, in order; each file is opened once, and all are asked for at once."""
        found: list[bytes | Exception] = [b""] * len(wanted)
        files: dict[str, list[int]] = {}
        for number, one in enumerate(wanted):
            files.setdefault(one.path, []).append(number)
        limiter = trio.CapacityLimiter(AT_ONCE)
        async with trio.open_nursery() as nursery:
            for path, numbers in files.items():
                nursery.start_soon(self._read_all, path, numbers, wanted, found, limiter)
        return found

    async def _read_all(
        self, path: str, numbers: list[int], wanted: Sequence[Range],
        found: list[bytes | Exception], limiter: trio.CapacityLimiter,
    ) -> None:  # fmt: skip
        try:
            async with limiter:
                file = await self.open(path)
        except CadcfsError as exc:
            for number in numbers:
                found[number] = exc
            return

        async def read(number: int) -> None:
            async with limiter:
                try:
                    found[number] = await file.range(wanted[number])
                except CadcfsError as exc:
                    found[number] = exc

        try:
            async with trio.open_nursery() as nursery:
                for number in numbers:
                    nursery.start_soon(read, number)
        finally:
            with trio.CancelScope(shield=True):
                await file.aclose()

    def check(self, generation: int | None) -> None:
        """`Forbidden` for what an account has opened that has left since."""
        if generation is not None and generation != self._generation:
            raise Forbidden(self._left or "it was opened by another account")

    async def _file(self, path: str) -> File:
        node = (await self._place(path)).node
        if is_directory(node):
            raise NoFile(f"{path} is a directory")
        assert is_file(node)
        return await _found(node)

    async def _place(self, path: str) -> Place:
        """The node at the end of *path*, links followed; never lists a parent that need not be."""
        steps = [step for step in path.split("/") if step]
        done: list[tuple[str, Node]] = [("", self._root)]
        links = 0
        while steps:
            name = steps.pop(0)
            if name == "..":
                done = done[:-1] or done
                continue
            parent = done[-1][1]
            if not is_directory(parent):
                raise BelowFile(f"{path}: {done[-1][0]} is no directory")
            node = None if name == "." else await self._child(parent, name, path)
            if node is None:
                continue
            if is_symlink(node):
                links += 1
                if links > LINKS:
                    raise NotFound(f"{path}: too many links")
                steps = [step for step in (await node.find()).split("/") if step] + steps
                continue
            done.append((name, node))
        return Place("/".join(name for name, _ in done[1:]), done[-1][1])

    async def _child(self, parent: Directory, name: str, path: str) -> Node:
        if name in CONTROL_NAMES:
            return self._controls.child(parent, name).node
        child = await parent.child(name)
        if child is None:
            raise NotFound(f"{path}: there is no {name}")
        if is_directory(child.node):
            # As the kernel does before it walks through: a name alone is no promise.
            await child.node.confirm()
        return child.node

    def _shown(self, path: str, node: Node) -> Found:
        found: Found = {"name": path, "size": 0, "type": "directory", "islink": False}
        if is_symlink(node):
            return {**found, "type": "link", "islink": True, "destination": node.target}
        if not is_file(node):
            return {**found, "mode": stat.S_IFDIR | permissions(node, 0o555)}
        known = node.attributes_now()
        if known is None:
            mode = stat.S_IFREG | permissions(node, 0o444)
            return {**found, "type": "file", "size": None, "mode": mode}
        return {**found, "type": "file", **_told(known), "made": is_made(node)}


class OpenFile:
    """An open file of one version; *size* in bytes, None where only its end tells."""

    def __init__(
        self, window: Window, opened_file: Opened, size: int | None, generation: int | None
    ) -> None:
        self._window = window
        self._opened = opened_file
        self._generation = generation
        self.size = size

    async def read(self, offset: int, size: int) -> bytes:
        """The bytes; fewer than asked only at the end of the file."""
        self._window.check(self._generation)
        while True:
            before = getattr(self._opened, "mismatches", 0)
            found = await self._pieces(offset, size)
            if getattr(self._opened, "mismatches", 0) == before:
                break
            # The last piece showed that the file is not what it should be; it is anew here now.
        self._window.check(self._generation)
        return found

    async def _pieces(self, offset: int, size: int) -> bytes:
        parts = []
        while size > 0:
            piece = min(size, PIECE)
            part = self._opened.read_now(offset, piece)
            if part is None:
                part = await self._opened.read(offset, piece)
            if not part:
                break
            parts.append(part)
            offset, size = offset + len(part), size - len(part)
        return parts[0] if len(parts) == 1 else b"".join(parts)

    async def range(self, wanted: Range) -> bytes:
        size = self.size if self.size is not None else len(await self.read(0, 1 << 40))
        start, stop, _ = slice(wanted.start, wanted.stop).indices(size)
        return await self.read(start, max(0, stop - start))

    async def aclose(self) -> None:
        await self._opened.aclose()


async def _found(node: File) -> File:
    if is_provisional(node):
        node = await node.find()
    if is_outdated(node):
        raise RemoteChanged(f"{node.key}: another version has taken its place")
    return node


def _told(known: Attributes) -> Found:
    return {"size": known.size, "mode": known.mode, "mtime": known.mtime_ns / 1e9}


@asynccontextmanager
async def looking(settings: Settings) -> AsyncIterator[Window]:
    """The tree with all that it needs, as long as this is open; logins are followed, as a mount
    follows them."""
    await trio.to_thread.run_sync(
        lambda: settings.cache_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    )
    async with (
        running(settings) as engine,
        opened(settings, engine.client, engine.services, ANONYMOUS, engine.root) as desks,
        trio.open_nursery() as nursery,
    ):
        public, window = View(engine, desks), Window(settings)
        window.show(public)
        shown = accounts.Window(window.show, window.leave, lambda _: None)
        identities = Accounts(settings, public, shown, nursery)
        await nursery.start(identities.session.watch)
        try:
            yield window
        finally:
            nursery.cancel_scope.cancel()
