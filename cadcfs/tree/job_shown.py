"""What is in a job's directory by itself: what the archive says, and the result in each format."""

from __future__ import annotations

import hashlib
from collections.abc import Awaitable, Callable

from cadcfs.archive.conversion import Format
from cadcfs.errors import NotFound
from cadcfs.jobs.engine import Jobs
from cadcfs.jobs.record import Job, Phase
from cadcfs.jobs.results import Results
from cadcfs.tree.job_views import PhaseFile, ResultFile, TextFile
from cadcfs.tree.node import Directory, Node

UPLOADS = "uploads"
RESULTS = {f"result.{form}": form for form in Format}


class JobViews:
    """The files of one job that nobody writes.

    Parameters
    ----------
    key
        Of the job's directory.
    look
        The job as it is now; raises `NotFound` once it was removed.
    """

    def __init__(
        self, key: str, jobs: Jobs, results: Results, uploads: Directory,
        look: Callable[[], Awaitable[Job]],
    ) -> None:  # fmt: skip
        self._key = key
        self._jobs = jobs
        self._results = results
        self._uploads = uploads
        self._look = look
        self._changed_ns = 0
        # What users removed that comes by itself; with the job alone it goes for good.
        self._hidden: set[str] = set()

    def hide(self, name: str) -> None:
        self._hidden.add(name)

    def of(self, job: Job) -> dict[str, Node]:
        """What there is in the present phase of *job*."""
        now_ns = self._changed_ns = changed_ns(job)
        shown: dict[str, Node] = {
            "phase": PhaseFile(f"{self._key}/phase", self._jobs, job.key, lambda: self._changed_ns),
        }
        if job.is_ours:
            shown[UPLOADS] = self._uploads
        if job.archive_id is None and not job.may_change:
            # It is about to have one, unless it is aborted or refused before.
            shown["id"] = TextFile(f"{self._key}/id coming", self._id, now_ns)
        elif job.archive_id is not None:
            shown["id"] = self._text("id", f"{job.archive_id}\n", int(job.created * 1e9))
            known = job.document if job.phase.has_ended else None
            key = f"{self._key}/job.xml {_version(known or '')}"
            shown["job.xml"] = TextFile(key, self._document, now_ns, known=known)
        if job.error is not None:
            shown["error.txt"] = self._text("error.txt", job.error, now_ns)
        if job.phase is Phase.COMPLETED:
            shown |= {
                name: ResultFile(f"{self._key}/{name}", self._results, job.key, form, now_ns)
                for name, form in RESULTS.items()
            }
        return {name: node for name, node in shown.items() if name not in self._hidden}

    def _text(self, name: str, text: str, mtime_ns: int) -> TextFile:
        async def again() -> str:
            return text

        return TextFile(f"{self._key}/{name} {_version(text)}", again, mtime_ns, known=text)

    async def _id(self) -> str:
        while (job := await self._look()).archive_id is None:
            if job.phase.has_ended:
                raise NotFound(f"{job.name}: the archive never knew this job ({job.phase})")
            await self._jobs.desk.next_look()
        return f"{job.archive_id}\n"

    async def _document(self) -> str:
        return await self._jobs.document(await self._look()) or ""


def changed_ns(job: Job) -> int:
    return int(job.changed * 1e9)


def _version(text: str) -> str:
    """The same for the same text, also after a remount."""
    return hashlib.blake2b(text.encode(), digest_size=8).hexdigest()
