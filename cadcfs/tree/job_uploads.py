"""`jobs/<name>/uploads/`: tables that users bring along, taken as VOTables when they are closed."""

from __future__ import annotations

import errno
import os
import time
from typing import Protocol

from cadcfs.archive.uploads import as_votable, table_name
from cadcfs.errors import BadRequest, CadcfsError, NotFound, ReadOnly
from cadcfs.jobs.desk import Desk
from cadcfs.jobs.folder import Folder, settle
from cadcfs.tree.job_files import OpenFile, Workspace, WrittenFile
from cadcfs.tree.node import Child, Directory, Entries


class Uploading(Protocol):
    """The job that takes them."""

    @property
    def may_change(self) -> bool:
        """False once it was run."""

    def where(self) -> str:
        """What users call it now."""

    async def confirm(self) -> None:
        """Look at the job anew; `NotFound` once it was removed."""


class UploadsDirectory:
    """`uploads/`: each file in it becomes a table of the query."""

    def __init__(self, key: str, job: Uploading, desk: Desk, folder: Folder) -> None:
        self.key = key
        self._job = job
        self._desk = desk
        self._tables = folder.tables
        self.workspace = Workspace(
            key, self.where, folder.uploads, self._take, lambda _: not job.may_change
        )

    def where(self) -> str:
        return f"{self._job.where()}/uploads"

    @property
    def changed_ns(self) -> int:
        return self.workspace.changed_ns

    async def confirm(self) -> None:
        await self._job.confirm()

    async def entries(self) -> Entries:
        return Entries.of(dict(await self.workspace.files()), valid=0)

    async def child(self, name: str) -> Child | None:
        file = await self.workspace.find(name)
        return None if file is None else Child(file, certain=False)

    async def make_directory(self, name: str) -> Directory:
        raise ReadOnly(f"{self.where()}/{name}: only files are uploaded")

    async def create(self, name: str) -> tuple[WrittenFile, OpenFile]:
        await self._job.confirm()
        table_name(name)
        return await self.workspace.create(name)

    async def remove(self, name: str) -> None:
        await self.workspace.remove(name)

    async def remove_directory(self, name: str) -> None:
        raise NotFound(f"there is no directory {self.where()}/{name}")

    async def move(self, name: str, target: Directory, new: str, *, replace: bool) -> None:
        if target is not self:
            raise OSError(errno.EXDEV, os.strerror(errno.EXDEV), name)
        table_name(new)
        await self.workspace.move(name, new, replace=replace)

    async def _take(self, name: str) -> None:
        table = table_name(name)
        await self._job.confirm()
        if table is None or not self._job.may_change:
            return
        target = self._tables / f"{table}.vot"
        others = [o for o in await self.workspace.names() if o != name and _is_table(o, table)]
        if others:
            raise BadRequest(f"{self.where()}: {others[0]} is the table {table} already")
        await self._desk.in_thread(target.unlink, missing_ok=True)
        file = await self.workspace.find(name)
        if file is not None and file.attributes_now().size:
            part = target.with_suffix(f".{time.time_ns()}.part")
            try:
                await as_votable(file.path, part)
                await self._desk.in_thread(settle, part)
                await self._desk.in_thread(part.replace, target)
                await self._desk.in_thread(settle, target)
            finally:
                part.unlink(missing_ok=True)


def _is_table(file_name: str, table: str) -> bool:
    try:
        return table_name(file_name) == table
    except CadcfsError:
        return False
