"""`jobs/<name>/`: one job as a directory."""

from __future__ import annotations

import errno
import hashlib
import logging
import os
import time

from cadcfs.archive.conversion import Format
from cadcfs.archive.uploads import as_votable, table_name
from cadcfs.errors import BadRequest, CadcfsError, Exists, NotEmpty, NotFound, ReadOnly
from cadcfs.jobs.engine import Jobs
from cadcfs.jobs.folder import QUERY, settle
from cadcfs.jobs.record import Job, Phase
from cadcfs.jobs.results import Results
from cadcfs.tree.job_files import OpenFile, Workspace, WrittenFile
from cadcfs.tree.job_views import PhaseFile, ResultFile, TextFile, wait_file
from cadcfs.tree.node import Child, Directory, Entries, Node

log = logging.getLogger(__name__)

MAXREC = "maxrec"
UPLOADS = "uploads"
WAIT = ".wait"
FIXED = frozenset({QUERY, MAXREC})
"""Written files that count for the job, and cannot be changed once it was run."""
RESULTS = {f"result.{form}": form for form in Format}


class JobDirectory:
    """One job: what users write in it, and what the archive says."""

    def __init__(self, jobs: Jobs, results: Results, job: Job, key: str) -> None:
        self.key = key
        self._jobs = jobs
        self._results = results
        self._job = job
        folder = jobs.folder(job)
        self._tables = folder.tables
        self._work = Workspace(
            key, self.where, folder.work, self._take, self._is_fixed, check=self._check_number
        )
        uploads = Workspace(
            f"{key}/{UPLOADS}",
            lambda: f"{self.where()}/{UPLOADS}",
            folder.uploads,
            self._take_upload,
            lambda _: not self.may_change,
        )
        self.uploads = UploadsDirectory(self, uploads)
        # What users removed that comes by itself; with the job alone it goes for good.
        self._hidden: set[str] = set()

    def where(self) -> str:
        """What users call it now; its key stays when it is renamed."""
        return f"/jobs/{self._job.name}"

    @property
    def changed_ns(self) -> int:
        return max(self._work.changed_ns, self._changed_job())

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
        children |= self._shown()
        return Entries.of(children, valid=0)

    async def child(self, name: str) -> Child | None:
        await self._look()
        node: Node | None = await self._work.find(name)
        node = node or self._shown().get(name)
        if node is None and name == WAIT:
            node = wait_file(f"{self.key}/{WAIT}", self._jobs, self._job.key)
        if node is None and name in RESULTS:
            log.info("%s/%s: no result: the job is %s", self.where(), name, self._job.phase)
        return None if node is None else Child(node, certain=False)

    async def make_directory(self, name: str) -> Directory:
        raise ReadOnly(f"{self.where()}/{name}: a job has no directories but its own")

    async def create(self, name: str) -> tuple[WrittenFile, OpenFile]:
        job = await self._look()
        if name in self._shown() or name == WAIT:
            raise Exists(f"{self.where()}/{name} is there already")
        if name in RESULTS or name in ("id", "job.xml", "error.txt"):
            raise ReadOnly(f"{self.where()}/{name}: this is for the archive to write ({job.phase})")
        return await self._work.create(name)

    async def remove(self, name: str) -> None:
        await self._look()
        if await self._work.find(name) is not None:
            await self._work.remove(name)
        elif name in self._shown():
            self._hidden.add(name)
        else:
            raise NotFound(f"there is no {self.where()}/{name}")

    async def remove_directory(self, name: str) -> None:
        if name != UPLOADS:
            raise NotFound(f"there is no directory {self.where()}/{name}")
        if await self.uploads.workspace.names():
            raise NotEmpty(f"{self.where()}/{name} is not empty")
        self._hidden.add(name)

    async def move(self, name: str, target: Directory, new: str, *, replace: bool) -> None:
        await self._look()
        if target is not self:
            raise OSError(errno.EXDEV, os.strerror(errno.EXDEV), name)
        if name in self._shown() or new in self._shown():
            raise ReadOnly(f"{self.where()}/{name}: it cannot be renamed, or not to {new}")
        await self._work.move(name, new, replace=replace)

    async def check_empty(self) -> None:
        """`NotEmpty` as long as something is in it that users would miss."""
        await self._look()
        left = [*await self._work.names(), *await self.uploads.workspace.names()]
        left += [name for name in self._shown() if name in RESULTS]
        if left:
            raise NotEmpty(f"{self.where()} is not empty: {', '.join(left)}; rm -r removes the job")

    async def _look(self) -> Job:
        """The job as it is now; `NotFound` once it was removed."""
        self._job = await self._jobs.get(self._job.key)
        return self._job

    def _shown(self) -> dict[str, Node]:
        """What is there by itself, in the present phase."""
        job = self._job
        changed_ns = self._changed_job()
        shown: dict[str, Node] = {
            "phase": PhaseFile(f"{self.key}/phase", self._jobs, job.key, self._changed_job),
        }
        if job.is_ours:
            shown[UPLOADS] = self.uploads
        if job.archive_id is None and not job.may_change:
            # It is about to have one, unless it is aborted or refused before.
            shown["id"] = TextFile(f"{self.key}/id coming", self._id, changed_ns)
        elif job.archive_id is not None:
            shown["id"] = self._text("id", f"{job.archive_id}\n", int(job.created * 1e9))
            known = job.document if job.phase.has_ended else None
            key = f"{self.key}/job.xml {_version(known or '')}"
            shown["job.xml"] = TextFile(key, self._document, changed_ns, known=known)
        if job.error is not None:
            shown["error.txt"] = self._text("error.txt", job.error, changed_ns)
        if job.phase is Phase.COMPLETED:
            shown |= {
                name: ResultFile(f"{self.key}/{name}", self._results, job.key, form)
                for name, form in RESULTS.items()
            }
        return {name: node for name, node in shown.items() if name not in self._hidden}

    def _changed_job(self) -> int:
        return int(self._job.changed * 1e9)

    def _text(self, name: str, text: str, mtime_ns: int) -> TextFile:
        async def again() -> str:
            return text

        return TextFile(f"{self.key}/{name} {_version(text)}", again, mtime_ns, known=text)

    async def _id(self) -> str:
        while (job := await self._look()).archive_id is None:
            if job.phase.has_ended:
                raise NotFound(f"{self.where()}: the archive never knew this job ({job.phase})")
            await self._jobs.desk.next_look()
        return f"{job.archive_id}\n"

    async def _document(self) -> str:
        return await self._jobs.document(await self._look()) or ""

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
        elif not text.strip():
            await self._jobs.change(self._job, maxrec=None)
        elif text.strip().isascii() and text.strip().isdigit():
            await self._jobs.change(self._job, maxrec=int(text))
        else:
            raise BadRequest(f"{self.where()}/{name}: {text.strip()!r} is no number of rows")

    def _check_number(self, name: str, data: bytes) -> None:
        """Refuse what is no row limit while it is written: shells do not tell errors of close."""
        if name == MAXREC and not (data.strip().isdigit() or not data.strip()):
            raise BadRequest(f"{self.where()}/{name}: {data.strip()!r} is no number of rows")

    async def _take_upload(self, name: str) -> None:
        table = table_name(name)
        if table is None or not (await self._look()).may_change:
            return
        target = self._tables / f"{table}.vot"
        workspace = self.uploads.workspace
        others = [o for o in await workspace.names() if o != name and _is_table(o, table)]
        if others:
            raise BadRequest(f"{self.where()}/{UPLOADS}: {others[0]} is the table {table} already")
        await self._jobs.desk.in_thread(target.unlink, missing_ok=True)
        file = await workspace.find(name)
        if file is not None and file.attributes_now().size:
            part = target.with_suffix(f".{time.time_ns()}.part")
            try:
                await as_votable(file.path, part)
                await self._jobs.desk.in_thread(settle, part)
                await self._jobs.desk.in_thread(part.replace, target)
                await self._jobs.desk.in_thread(settle, target)
            finally:
                part.unlink(missing_ok=True)


class UploadsDirectory:
    """`uploads/`: each file in it becomes a table of the query."""

    def __init__(self, job: JobDirectory, workspace: Workspace) -> None:
        self.key = workspace.key
        self._job = job
        self.workspace = workspace

    def where(self) -> str:
        return self.workspace.where()

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


def _version(text: str) -> str:
    """The same for the same text, also after a remount."""
    return hashlib.blake2b(text.encode(), digest_size=8).hexdigest()


def _is_table(file_name: str, table: str) -> bool:
    try:
        return table_name(file_name) == table
    except CadcfsError:
        return False


def text_of(file: WrittenFile) -> str:
    """What is written in it; blocking."""
    try:
        return file.path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as exc:
        raise BadRequest(f"{file.name} is not UTF-8 at byte {exc.start}") from exc
