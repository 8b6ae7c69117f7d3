"""Jobs as the mount and the command use them: what is wanted is written down first, and reaches
the archive behind."""

from __future__ import annotations

import logging
from pathlib import Path
from weakref import WeakValueDictionary

import trio

from cadcfs.archive.uws import RemoteJob, Uws
from cadcfs.errors import CadcfsError, NotFound
from cadcfs.jobs.desk import Desk
from cadcfs.jobs.folder import Folder
from cadcfs.jobs.record import ARCHIVE_FORM, ENDED, Job, Phase, Wish
from cadcfs.jobs.registry import Registry
from cadcfs.jobs.tending import Tending, progress
from cadcfs.tasks import lasting

log = logging.getLogger(__name__)

ANONYMOUS = "anonymous"
"""Whose jobs nobody's are; the archive does not list them."""


ENDING_TIME = 60.0
"""Seconds that opening an ended job of elsewhere waits for its result, which goes on behind."""


class Jobs:
    """All jobs of one service and identity. For the event loop; disk work goes to threads."""

    def __init__(
        self, registry: Registry, uws: Uws, root: Path, nursery: trio.Nursery, *, polled: int
    ) -> None:
        self.desk = Desk(registry, root)
        self._registry = registry
        self._uws = uws
        self._tending = Tending(self.desk, uws, nursery, polled=polled)
        self._adoptions: WeakValueDictionary[str, trio.Lock] = WeakValueDictionary()
        nursery.start_soon(lasting, self._tending.watch)

    async def start(self) -> None:
        """Go on with what was under way when the last process ended."""
        for job in await self.desk.in_thread(self._registry.unfinished):
            self._tending.tend(job)

    def folder(self, job: Job) -> Folder:
        return self.desk.folder(job.key)

    async def jobs(self) -> list[Job]:
        """The jobs made here, by name."""
        found = await self.desk.in_thread(self._registry.jobs)
        for job in found:
            self._tending.tend(job)
        return found

    async def find(self, name: str) -> Job | None:
        """The job of this name or archive id, among those known here."""
        job = await self.desk.in_thread(self._registry.find, name)
        if job is not None:
            self._tending.tend(job)
        return job

    async def get(self, key: int) -> Job:
        """The job as it is now; `NotFound` once it is removed."""
        job = await self.desk.row(key)
        if job is None or job.wish is Wish.DELETE:
            raise NotFound("this job was removed")
        self._tending.tend(job)
        return job

    async def add(self, name: str, adql: str | None = None) -> Job:
        """A new job; `Exists` for a name that is taken."""
        job = await self.desk.in_thread(self._registry.add, name, adql=adql)
        folder = self.folder(job)
        await self.desk.in_thread(folder.make)
        if adql is not None:
            await self.desk.in_thread(folder.write_query, adql)
        self.desk.tell_news()
        return job

    async def adopt(self, archive_id: str) -> Job:
        """A job made elsewhere; asks the archive. `NotFound` for one that it does not know."""
        async with self._adoptions.setdefault(archive_id, trio.Lock()):
            known = await self.find(archive_id)
            if known is not None:
                return known
            if not ARCHIVE_FORM.fullmatch(archive_id):
                raise NotFound(f"there is no job {archive_id}")
            remote = await self._uws.job(archive_id)
            job = await self._added(archive_id, remote)
            self._tending.tend(job)
            if remote.phase in ENDED:
                # What came of it is about to be here.
                with trio.move_on_after(ENDING_TIME):
                    job = await self.ended(job.key)
            return job

    async def _added(self, archive_id: str, remote: RemoteJob) -> Job:
        """The row and the folder of a job made elsewhere."""
        adql, maxrec = remote.parameters.get("QUERY"), remote.parameters.get("MAXREC", "")
        is_pending = remote.phase == Phase.PENDING
        job = await self.desk.in_thread(
            self._registry.add,
            archive_id,
            is_ours=False,
            archive_id=archive_id,
            adql=adql,
            maxrec=int(maxrec) if maxrec.isdigit() else None,
            document=remote.document,
            phase=Phase.PENDING if is_pending else progress(remote.phase),
        )
        folder = self.folder(job)
        await self.desk.in_thread(folder.make)
        if adql is not None:
            await self.desk.in_thread(folder.write_query, adql)
        return job

    async def elsewhere(self) -> list[str]:
        """Ids of the account's other jobs at the archive; none for nobody (UWS 1.1, 2.2.2.1)."""
        if self._registry.owner == ANONYMOUS:
            return []
        ids = await self._uws.listed()
        ours = {job.archive_id for job in await self.desk.in_thread(self._registry.jobs)}
        return [job_id for job_id in ids if job_id not in ours]

    async def change(self, job: Job, **values: object) -> Job:
        return await self.desk.change(job, **values)

    async def run(self, job: Job) -> Job:
        """Have it run, from now on behind; `BadRequest` where it cannot."""
        return self._tending.nudge(await self.desk.in_thread(self._registry.run, job.key))

    async def abort(self, job: Job) -> Job:
        """Have it stopped, from now on behind; `BadRequest` once it has ended."""
        return self._tending.nudge(await self.desk.in_thread(self._registry.abort, job.key))

    async def remove(self, job: Job) -> None:
        """Forget it at once here, and behind at the archive, too."""
        self._tending.nudge(await self.desk.change(job, wish=Wish.DELETE))

    async def ended(self, key: int) -> Job:
        """The job once it has ended; waits without limit. `NotFound` if it is removed."""
        while not ((job := await self.get(key)).phase.has_ended and job.wish is None):
            await self.desk.next_look()
        return job

    def trouble(self, key: int) -> str:
        """Why the job does not get on; "" as long as it does."""
        return self._tending.troubles.get(key, "")

    async def settled(self, key: int) -> None:
        """Return once the archive has heard what was wanted."""
        while (job := await self.desk.row(key)) is not None and job.wish is not None:
            self._tending.tend(job)
            await self.desk.next_look()

    async def result(self, key: int) -> Path:
        """The whole result on disk, fetched again if it is not here.

        Raises
        ------
        NotFound
            There is none: the job has not ended well, or the archive has destroyed it.
        """
        job = await self.get(key)
        if job.phase is not Phase.COMPLETED:
            raise NotFound(f"the job {job.name} has no result: {job.phase}")
        await self._tending.fetch(job)
        return self.folder(job).result("vot")

    async def document(self, job: Job) -> str | None:
        """The UWS document, as the archive has it now if it answers and the job goes on."""
        if job.archive_id is None or (job.phase.has_ended and job.document is not None):
            return job.document
        try:
            remote = await self._uws.job(job.archive_id)
        except CadcfsError as exc:
            log.info("showing the last document of job %s: %s", job.name, exc)
            return job.document
        if remote.document != job.document:
            await self.desk.change(job, document=remote.document)
        return remote.document
