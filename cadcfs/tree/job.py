"""`jobs/<name>/`: one job as a directory."""

from __future__ import annotations

import errno
import logging
import os
import time

from cadcfs.errors import BadRequest, Exists, NotEmpty, NotFound, ReadOnly
from cadcfs.jobs.engine import Jobs
from cadcfs.jobs.folder import QUERY
from cadcfs.jobs.record import Job
from cadcfs.jobs.results import Results
from cadcfs.tree.job_files import OpenFile, Workspace, WrittenFile
from cadcfs.tree.job_shown import RESULTS, UPLOADS, JobViews, changed_ns
from cadcfs.tree.job_uploads import UploadsDirectory
from cadcfs.tree.job_views import wait_file
from cadcfs.tree.node import Child, Directory, Entries, Node

log = logging.getLogger(__name__)

MAXREC = "maxrec"
WAIT = ".wait"
LONGEST_NUMBER = 18
"""Digits of a row limit: more rows than any archive has."""
FIXED = frozenset({QUERY, MAXREC})
"""Written files that count for the job, and cannot be changed once it was run."""


class JobDirectory:
    """One job: what users write in it, and what the archive says."""

    def __init__(self, jobs: Jobs, results: Results, job: Job, key: str) -> None:
        self.key = key
        self._jobs = jobs
        self._job = job
        folder = jobs.folder(job)
        self._work = Workspace(
            key, self.where, folder.work, self._take, self._is_fixed, check=self._check_number
        )
        self.uploads = UploadsDirectory(f"{key}/{UPLOADS}", self, jobs.desk, folder)
        self._views = JobViews(key, jobs, results, self.uploads, self._look)

    def where(self) -> str:
        """What users call it now; its key stays when it is renamed."""
        return f"/jobs/{self._job.name}"

    @property
    def changed_ns(self) -> int:
        return max(self._work.changed_ns, changed_ns(self._job))

    @property
    def may_change(self) -> bool:
        return self._job.may_change

    @property
    def trouble(self) -> str:
        """Why the job does not get on; "" as long as it does."""
        return self._jobs.trouble(self._job.key)

    async def confirm(self) -> None:
        await self._look()

    async def told(self) -> str:
        """The query, and what became of it."""
        job = await self._look()
        made = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(job.created))
        known = f"job {job.archive_id}" if job.archive_id else "not known to the archive"
        return f"{(job.adql or '').strip()}\n-- made {made}, {known}, {job.phase}\n"

    async def entries(self) -> Entries:
        await self._look()
        children: dict[str, Node] = dict(await self._work.files())
        children |= self._views.of(self._job)
        return Entries.of(children, valid=0)

    async def child(self, name: str) -> Child | None:
        await self._look()
        node: Node | None = await self._work.find(name)
        node = node or self._views.of(self._job).get(name)
        if node is None and name == WAIT:
            node = wait_file(f"{self.key}/{WAIT}", self._jobs, self._job.key)
        if node is None and name in RESULTS:
            log.info("%s/%s: no result: the job is %s", self.where(), name, self._job.phase)
        return None if node is None else Child(node, certain=False)

    async def make_directory(self, name: str) -> Directory:
        raise ReadOnly(f"{self.where()}/{name}: a job has no directories but its own")

    async def create(self, name: str) -> tuple[WrittenFile, OpenFile]:
        job = await self._look()
        if name in self._views.of(self._job) or name == WAIT:
            raise Exists(f"{self.where()}/{name} is there already")
        if name in RESULTS or name in ("id", "job.xml", "error.txt"):
            raise ReadOnly(f"{self.where()}/{name}: this is for the archive to write ({job.phase})")
        return await self._work.create(name)

    async def remove(self, name: str) -> None:
        await self._look()
        if await self._work.find(name) is not None:
            await self._work.remove(name)
        elif name in self._views.of(self._job):
            self._views.hide(name)
        else:
            raise NotFound(f"there is no {self.where()}/{name}")

    async def remove_directory(self, name: str) -> None:
        if name != UPLOADS:
            raise NotFound(f"there is no directory {self.where()}/{name}")
        if await self.uploads.workspace.names():
            raise NotEmpty(f"{self.where()}/{name} is not empty")
        self._views.hide(name)

    async def move(self, name: str, target: Directory, new: str, *, replace: bool) -> None:
        await self._look()
        if target is not self:
            raise OSError(errno.EXDEV, os.strerror(errno.EXDEV), name)
        if name in self._views.of(self._job) or new in self._views.of(self._job):
            raise ReadOnly(f"{self.where()}/{name}: it cannot be renamed, or not to {new}")
        await self._work.move(name, new, replace=replace)

    async def check_empty(self) -> None:
        """`NotEmpty` as long as something is in it that users would miss."""
        await self._look()
        left = [*await self._work.names(), *await self.uploads.workspace.names()]
        left += [name for name in self._views.of(self._job) if name in RESULTS]
        if left:
            raise NotEmpty(f"{self.where()} is not empty: {', '.join(left)}; rm -r removes the job")

    async def _look(self) -> Job:
        """The job as it is now; `NotFound` once it was removed."""
        self._job = await self._jobs.get(self._job.key)
        return self._job

    def _is_fixed(self, name: str) -> bool:
        return name in FIXED and not self._job.may_change

    async def _take(self, name: str) -> None:
        """A file was written, renamed or removed: what does that mean for the job?"""
        if name not in FIXED or not (await self._look()).may_change:
            return
        file = await self._work.find(name)
        text = "" if file is None else await self._jobs.desk.in_thread(text_of, file)
        if name == QUERY:
            await self._jobs.change(self._job, adql=text if text.strip() else None)
        else:
            self._check_number(name, text.encode())
            await self._jobs.change(self._job, maxrec=int(text) if text.strip() else None)

    def _check_number(self, name: str, data: bytes) -> None:
        """Refuse what is no row limit while it is written: shells do not tell errors of close."""
        digits = data.strip()
        is_number = digits.isdigit() and len(digits) <= LONGEST_NUMBER
        if name == MAXREC and digits and not is_number:
            raise BadRequest(f"{self.where()}/{name}: {digits[:50]!r} is no number of rows")


def text_of(file: WrittenFile) -> str:
    """What is written in it; blocking."""
    try:
        return file.path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as exc:
        raise BadRequest(f"{file.name} is not UTF-8 at byte {exc.start}") from exc
