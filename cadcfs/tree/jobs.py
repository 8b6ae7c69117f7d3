"""`jobs/`: asynchronous queries as directories, and the short form that runs what is copied in."""

from __future__ import annotations

import errno
import logging
import math
import os
import stat
import time
from pathlib import Path

from cadcfs.errors import BadRequest, CadcfsError, Exists, NotFound, ReadOnly
from cadcfs.jobs.engine import Jobs
from cadcfs.jobs.folder import SHORT, mark_run, was_run
from cadcfs.jobs.record import ARCHIVE_FORM, Job
from cadcfs.jobs.results import Results
from cadcfs.tree.job import WAIT, JobDirectory, text_of
from cadcfs.tree.job_files import LONGEST_NAME, OpenFile, Workspace, WrittenFile
from cadcfs.tree.job_shown import RESULTS
from cadcfs.tree.junk_names import is_junk
from cadcfs.tree.node import (
    Attributes,
    Child,
    Directory,
    Entries,
    File,
    Node,
    Opened,
    Written,
    is_file,
    is_writable_file,
)
from cadcfs.tree.unlisted import UnlistedFile

log = logging.getLogger(__name__)


class JobsDirectory:
    """All jobs made here; those made elsewhere open by the archive's id.

    *owner* is the account that has logged in; then *others* are the jobs that were made by nobody
    in particular, and stay where they were.
    """

    key = "/jobs"

    def __init__(
        self, jobs: Jobs, results: Results, short_forms: Path,
        others: JobsDirectory | None = None, owner: str = "",
    ) -> None:  # fmt: skip
        self._others = others
        self.home = f"{self.key} of {owner}" if owner else self.key
        self._jobs = jobs
        self._results = results
        self._directories: dict[int, JobDirectory] = {}
        self._queries = Workspace(
            self.home, lambda: self.key, short_forms, self._take, self._is_fixed, self._run
        )
        # Which file has made which job that it has not run yet.
        self._made: dict[str, int] = {}
        self._changed_ns = time.time_ns()

    @property
    def changed_ns(self) -> int:
        return max(self._changed_ns, self._queries.changed_ns)

    async def confirm(self) -> None:
        return

    async def entries(self) -> Entries:
        children: dict[str, Node] = dict(await self._others.entries()) if self._others else {}
        children |= dict(await self._queries.files())
        try:
            for archive_id in await self._jobs.elsewhere():
                children[archive_id] = UnknownJob(self, archive_id)
        except CadcfsError as exc:
            log.warning("only jobs made here are listed: %s", exc)
        children |= {job.name: self._directory(job) for job in await self._jobs.jobs()}
        return Entries.of(children, valid=0)

    async def child(self, name: str) -> Child | None:
        if name.startswith(".") or not _is_text(name):
            return None
        if (others := await self._elsewhere(name)) is not None:
            return await others.child(name)
        node: Node | None = None
        if name.endswith(SHORT):
            node = await self._queries.find(name)
        else:
            job = await self._jobs.find(name)
            if job is not None:
                is_id = job.name != name
                node = OtherName(f"{self.key}/{name}", job.name) if is_id else self._directory(job)
            elif ARCHIVE_FORM.fullmatch(name):
                node = UnknownJob(self, name)
        return None if node is None else Child(node, certain=False)

    async def has(self, name: str) -> bool:
        """True for a job of this name or archive id, and for a query of the short form."""
        if name.endswith(SHORT):
            return await self._queries.find(name) is not None
        return await self._jobs.find(name) is not None

    async def _elsewhere(self, name: str) -> JobsDirectory | None:
        """The directory that really has *name*, where it is not this one."""
        others = self._others
        is_theirs = others is not None and not await self.has(name) and await others.has(name)
        return others if is_theirs else None

    async def make_directory(self, name: str) -> JobDirectory:
        self._check(name)
        if name.endswith(SHORT):
            raise BadRequest(f"{self.key}/{name}: a job is not called *{SHORT}")
        await self._check_others(name)
        job = await self._jobs.add(name)
        self._changed_ns = time.time_ns()
        return self._directory(job)

    async def create(self, name: str) -> tuple[WrittenFile, OpenFile]:
        if not name.endswith(SHORT) or name.startswith("."):
            raise ReadOnly(f"{self.key}/{name}: only directories and *{SHORT} are made here")
        stem = name.removesuffix(SHORT)
        self._check(stem)
        await self._check_others(stem)
        if await self._jobs.find(stem) is not None:
            raise Exists(f"there is a job {stem} already")
        file, opened = await self._queries.create(name)
        return file, opened

    async def _check_others(self, name: str) -> None:
        if self._others is not None and await self._others.has(name):
            raise Exists(f"there is a job {name} already, made without a login")

    async def remove(self, name: str) -> None:
        if (others := await self._elsewhere(name)) is not None:
            await others.remove(name)
            return
        await self._queries.remove(name)

    async def remove_directory(self, name: str) -> None:
        if (others := await self._elsewhere(name)) is not None:
            await others.remove_directory(name)
            return
        job = await self._jobs.find(name)
        if job is None or job.name != name:
            raise NotFound(f"there is no job {name}")
        await self._directory(job).check_empty()
        await self._jobs.remove(job)
        self._directories.pop(job.key, None)
        self._changed_ns = time.time_ns()

    async def move(
        self,
        name: str,
        target: Directory,
        new: str,
        *,
        replace: bool,  # noqa: ARG002
    ) -> None:
        job = await self._jobs.find(name)
        if target is not self:
            raise OSError(errno.EXDEV, os.strerror(errno.EXDEV), name)
        if job is None or not job.is_ours or new.endswith(SHORT):
            raise ReadOnly(f"{self.key}/{name}: it cannot be renamed to {new}")
        self._check(new)
        await self._jobs.change(job, name=new)
        self._changed_ns = time.time_ns()

    async def adopt(self, archive_id: str) -> JobDirectory:
        """A job made elsewhere; asks the archive."""
        return self._directory(await self._jobs.adopt(archive_id))

    def _directory(self, job: Job) -> JobDirectory:
        if job.key not in self._directories:
            self._directories[job.key] = JobDirectory(
                self._jobs, self._results, job, f"{self.home}/{job.key}"
            )
        return self._directories[job.key]

    def _check(self, name: str) -> None:
        """Raises `BadRequest` or `Exists` for what no job of ours may be called."""
        if not name or name.startswith(".") or not _is_text(name):
            raise BadRequest(f"{self.key}/{name!r}: no name for a job")
        if ARCHIVE_FORM.fullmatch(name):
            raise Exists(f"{self.key}/{name}: names of 16 letters and digits are the archive's own")
        if len(name.encode()) > LONGEST_NAME:
            raise OSError(errno.ENAMETOOLONG, os.strerror(errno.ENAMETOOLONG), name)

    def _is_fixed(self, name: str) -> bool:
        return was_run(self._queries.place / name)

    async def _take(self, name: str) -> None:
        """A query was written: its job is there from now on, and runs at the last release."""
        file = await self._queries.find(name)
        if file is None or self._is_fixed(name):
            return
        stem = name.removesuffix(SHORT)
        adql = await self._jobs.desk.in_thread(text_of, file)
        if not adql.strip():
            raise BadRequest(f"{self.key}/{name}: an empty query")
        job = await self._jobs.find(stem)
        if job is None:
            job = await self._jobs.add(stem, adql)
            self._made[name] = job.key
        elif self._made.get(name) == job.key and job.may_change:
            await self._jobs.desk.in_thread(self._jobs.folder(job).write_query, adql)
            await self._jobs.change(job, adql=adql)
        else:
            raise Exists(f"there is a job {stem} already")
        self._changed_ns = time.time_ns()

    async def _run(self, name: str) -> None:
        """Nobody writes any more: run the job that the file has made."""
        key = self._made.pop(name, None)
        if key is None:
            return
        try:
            await self._jobs.run(await self._jobs.get(key))
        except CadcfsError as exc:
            log.warning("%s/%s is not run: %s", self.key, name, exc)
            return
        await self._jobs.desk.in_thread(mark_run, self._queries.place / name)


class OtherName:
    """One of our jobs under the archive's id."""

    def __init__(self, key: str, target: str) -> None:
        self.key = key
        self.target = target

    async def find(self) -> str:
        return self.target


class UnknownJob:
    """A name of the archive's own form: asked there when it is opened, not when it is looked up."""

    def __init__(self, parent: JobsDirectory, archive_id: str) -> None:
        self.key = f"{parent.home}/{archive_id}"
        self._parent = parent
        self._archive_id = archive_id

    async def confirm(self) -> None:
        return

    async def entries(self) -> Entries:
        return await (await self._parent.adopt(self._archive_id)).entries()

    async def child(self, name: str) -> Child | None:
        """Files of a job that is not known yet can be opened all the same."""
        known = await self._parent.child(self._archive_id)
        if known is not None and isinstance(known.node, JobDirectory):
            return await known.node.child(name)
        if name in RESULTS:
            find = lambda: self.find_file(name)  # noqa: E731
            return Child(UnlistedFile(f"{self.key}/{name}", find), certain=False)
        if is_junk(name) and name != WAIT:
            return None
        # Short ones are served as they are at their opening, whatever size stat has shown.
        return Child(UnknownControl(self, name), certain=False)

    async def find_file(self, name: str) -> File:
        found = await (await self._parent.adopt(self._archive_id)).child(name)
        if found is None or not is_file(found.node):
            raise NotFound(f"there is no {self.key}/{name}")
        return found.node


class UnknownControl:
    """`phase` and its like of a job made elsewhere, before its directory was opened."""

    is_control = True

    def __init__(self, parent: UnknownJob, name: str) -> None:
        self.key = f"{parent.key}/{name}"
        self._parent = parent
        self._name = name
        self._mtime_ns = time.time_ns()
        if name == WAIT:
            self.patience = math.inf

    def attributes_now(self) -> Attributes:
        return Attributes(stat.S_IFREG | 0o644, 0, self._mtime_ns, valid=0)

    async def attributes(self) -> Attributes:
        return self.attributes_now()

    async def open(self) -> Opened:
        return await (await self._parent.find_file(self._name)).open()

    async def open_to_write(self, *, truncate: bool) -> Written:
        found = await self._parent.find_file(self._name)
        if not is_writable_file(found):
            raise ReadOnly(f"{self.key}: this is for the archive to write")
        return await found.open_to_write(truncate=truncate)

    async def truncate(self, size: int) -> None:
        found = await self._parent.find_file(self._name)
        if is_writable_file(found):
            await found.truncate(size)


def _is_text(name: str) -> bool:
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True
