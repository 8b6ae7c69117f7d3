"""Files that users write in a job: kept on disk under the names that they have here.

A node stays what it is when its file is renamed (editors write beside and rename), and an open
file stays readable when it is removed, as on a local disk. What a file means for its job is the
business of whoever *takes* it: after each flush that follows a write, and after a rename.
"""

from __future__ import annotations

import errno
import logging
import os
import stat
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

import trio

from cadcfs.errors import BadRequest, Exists, NotFound, ReadOnly
from cadcfs.tree.node import Attributes

log = logging.getLogger(__name__)

LONGEST_NAME = 255

Take = Callable[[str], Awaitable[None]]
"""Called with a name whose content counts from now on, or is gone."""


class Workspace:
    """The files of one directory, by name.

    Parameters
    ----------
    key
        Of the directory's node.
    where
        What users call the directory now.
    place
        Where they lie.
    take
        What to do with a file that was written, renamed or removed.
    is_fixed
        True for a name that cannot be written any more.
    released
        What to do when nobody has a written file open for writing any more.
    check
        Raises for bytes that a file cannot take.
    """

    def __init__(
        self,
        key: str,
        where: Callable[[], str],
        place: Path,
        take: Take,
        is_fixed: Callable[[str], bool],
        released: Take | None = None,
        check: Callable[[str, bytes], None] = lambda _name, _data: None,
    ) -> None:
        self.key = key
        self.where = where
        self.place = place
        self.take = take
        self.is_fixed = is_fixed
        self.released = released
        self.check = check
        self.changed_ns = _changed_ns(place)
        self._files: dict[str, WrittenFile] = {}

    async def names(self) -> list[str]:
        return await trio.to_thread.run_sync(_names, self.place)

    async def files(self) -> dict[str, WrittenFile]:
        return {name: self._file(name) for name in await self.names()}

    async def find(self, name: str) -> WrittenFile | None:
        path = self.place / name
        if await trio.to_thread.run_sync(os.path.lexists, path):
            return self._file(name)
        return None

    async def create(self, name: str) -> tuple[WrittenFile, OpenFile]:
        if len(os.fsencode(name)) > LONGEST_NAME:
            raise OSError(errno.ENAMETOOLONG, os.strerror(errno.ENAMETOOLONG), name)
        if self.is_fixed(name):
            raise ReadOnly(f"{self.where()}/{name}: the job has been run")
        await trio.to_thread.run_sync(_make_directory, self.place)
        flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
        try:
            number = await trio.to_thread.run_sync(os.open, self.place / name, flags, 0o600)
        except FileExistsError as exc:
            raise Exists(f"{self.where()}/{name} is there already") from exc
        self._changed()
        file = self._file(name)
        return file, OpenFile(file, number, writes=True)

    async def remove(self, name: str) -> None:
        """The file's content stays for those who have it open."""
        file = await self.find(name)
        if file is None:
            raise NotFound(f"there is no {self.where()}/{name}")
        await file.detach()
        self._files.pop(name, None)
        self._changed()
        await self.take(name)

    async def move(self, name: str, new: str, *, replace: bool) -> None:
        file = await self.find(name)
        if file is None:
            raise NotFound(f"there is no {self.where()}/{name}")
        if self.is_fixed(name) or self.is_fixed(new):
            raise ReadOnly(f"{self.where()}/{new}: the job has been run")
        there = await self.find(new)
        if there is not None:
            if not replace:
                raise Exists(f"{self.where()}/{new} is there already")
            await there.detach()
        await trio.to_thread.run_sync(os.rename, self.place / name, self.place / new)
        self._files.pop(name, None)
        file.name = new
        self._files[new] = file
        self._changed()
        await self.take(name)
        await self.take(new)

    def _file(self, name: str) -> WrittenFile:
        if name not in self._files:
            self._files[name] = WrittenFile(self, name)
        return self._files[name]

    def _changed(self) -> None:
        self.changed_ns = time.time_ns()


def _names(place: Path) -> list[str]:
    try:
        return sorted(entry.name for entry in place.iterdir())
    except FileNotFoundError:
        return []


def _changed_ns(place: Path) -> int:
    """When files in *place* came or went last, also after a remount."""
    try:
        return place.stat().st_mtime_ns
    except FileNotFoundError:
        return time.time_ns()


def _inode(path: Path) -> int:
    try:
        return path.stat().st_ino
    except FileNotFoundError:
        return 0


def _make_directory(place: Path) -> None:
    place.mkdir(mode=0o700, parents=True, exist_ok=True)


class WrittenFile:
    """One file; its name may change."""

    is_control = False

    def __init__(self, workspace: Workspace, name: str) -> None:
        self.workspace = workspace
        self.name = name
        # Two files of one name, one after the other, are two; and one that is renamed is one.
        self.key = f"{workspace.key} file {_inode(self.path)}"
        self.writers = 0
        self._kept: int | None = None

    @property
    def path(self) -> Path:
        return self.workspace.place / self.name

    def attributes_now(self) -> Attributes:
        # Inline: a stat of a local file costs less than the hop into a thread.
        try:
            found = os.fstat(self._kept) if self._kept is not None else self.path.stat()
        except FileNotFoundError as exc:
            raise NotFound(f"{self.workspace.where()}/{self.name} is gone") from exc
        # Also where it cannot be written any more: rm asks about each file that says so.
        return Attributes(stat.S_IFREG | 0o644, found.st_size, found.st_mtime_ns, valid=0)

    async def attributes(self) -> Attributes:
        return self.attributes_now()

    async def open(self) -> OpenFile:
        return OpenFile(self, await self._opened(os.O_RDONLY))

    async def open_to_write(self, *, truncate: bool) -> OpenFile:
        if self.workspace.is_fixed(self.name):
            raise ReadOnly(f"{self.workspace.where()}/{self.name}: the job has been run")
        number = await self._opened(os.O_RDWR | (os.O_TRUNC if truncate else 0))
        return OpenFile(self, number, writes=True, is_emptied=truncate)

    async def truncate(self, size: int) -> None:
        opened = await self.open_to_write(truncate=False)
        await opened.truncate(size)
        await opened.aclose()

    async def detach(self) -> None:
        """Remove the name; whoever has the file open keeps it."""
        self._kept = await self._opened(os.O_RDONLY)
        await trio.to_thread.run_sync(os.unlink, self.path)

    async def _opened(self, flags: int) -> int:
        path = f"/proc/self/fd/{self._kept}" if self._kept is not None else self.path
        return await trio.to_thread.run_sync(os.open, path, flags | os.O_CLOEXEC)

    def __del__(self) -> None:
        if self._kept is not None:
            os.close(self._kept)


class OpenFile:
    """One opening of a file."""

    def __init__(
        self, file: WrittenFile, number: int, *, writes: bool = False, is_emptied: bool = False
    ) -> None:
        self._file = file
        self._number = number
        self._writes = writes
        file.writers += writes
        self._is_written = False
        self._is_emptied = is_emptied

    def read_now(self, offset: int, size: int) -> bytes | None:
        return os.pread(self._number, size, offset)

    async def read(self, offset: int, size: int) -> bytes:
        return os.pread(self._number, size, offset)

    async def write(self, offset: int, data: bytes) -> int:
        self._file.workspace.check(self._file.name, data)
        self._is_written, self._is_emptied = True, False
        return await trio.to_thread.run_sync(os.pwrite, self._number, data, offset)

    async def flush(self) -> None:
        # bash flushes once before it writes: only a flush after a write says that it is complete.
        if self._is_written:
            self._is_written = False
            await self._file.workspace.take(self._file.name)

    async def truncate(self, size: int) -> None:
        await trio.to_thread.run_sync(os.ftruncate, self._number, size)
        self._is_emptied = size == 0

    async def sync(self) -> None:
        await trio.to_thread.run_sync(os.fsync, self._number)

    async def aclose(self) -> None:
        await trio.to_thread.run_sync(os.close, self._number)
        workspace = self._file.workspace
        try:
            if self._is_emptied:
                # Nothing was written after all, as by `> query.adql`.
                await workspace.take(self._file.name)
        except BadRequest as exc:
            # Nobody hears what a release says; vi empties a file before it writes.
            log.info("%s", exc)
        finally:
            self._file.writers -= self._writes
        if self._writes and not self._file.writers and workspace.released is not None:
            await workspace.released(self._file.name)
