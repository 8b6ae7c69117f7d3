"""One task tends one job while there is something to tell the archive or to learn from it.

It is stateless between its steps: each begins with the registry's row, so that it goes on after a
crash where it was, and a wish that comes in between is heard at the next step. Of several
processes with the same registry (the mount and the command), one tends a job and the others look
at its row.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping

import trio

from cadcfs.archive.uws import Uws
from cadcfs.errors import BadRequest, CadcfsError, Forbidden, Incomplete, NotFound, Unavailable
from cadcfs.jobs.desk import LOOK, Desk
from cadcfs.jobs.fetching import overflow, receive
from cadcfs.jobs.polling import Poller
from cadcfs.jobs.record import Job, Phase, Wish
from cadcfs.jobs.turns import Turns
from cadcfs.logs import redacted
from cadcfs.tasks import guarded

log = logging.getLogger(__name__)

FIRST_PAUSE, LONGEST_PAUSE = 1.0, 60.0
"""Seconds between two attempts while the archive does not answer."""
FETCH_ATTEMPTS = 5
"""After so many, a result that does not arrive is left to whoever opens it."""
SUBMIT_TIME = 300.0
"""Seconds for making a job, with its uploads."""


class Tending:
    """The tasks that bring jobs further. For the event loop."""

    def __init__(self, desk: Desk, uws: Uws, nursery: trio.Nursery, *, polled: int) -> None:
        self._desk = desk
        self._uws = uws
        self._nursery = nursery
        self._turns = Turns(polled)
        # What may be interrupted when the user wants something, for each job that is tended.
        self._tended: dict[int, trio.CancelScope] = {}
        self._fetches: dict[int, trio.Event] = {}
        self.troubles: dict[int, str] = {}
        """Why a job does not get on, by its key."""

    def tend(self, job: Job) -> None:
        """See to *job* from now on, if it needs it."""
        if job.needs_care and job.key not in self._tended:
            self._tended[job.key] = trio.CancelScope()
            self._nursery.start_soon(guarded, self._tend_to_its_end, job.key)

    def nudge(self, job: Job) -> Job:
        """Have what was just written down reach the archive now."""
        self._desk.tell_news()
        scope = self._tended.get(job.key)
        if scope is not None:
            scope.cancel()
        self.tend(job)
        return job

    async def watch(self) -> None:
        """Hear what another process wants of the jobs that are tended here, for ever."""
        seen = await self._desk.in_thread(self._desk.registry.version)
        while True:
            await trio.sleep(LOOK)
            if not self._tended:
                continue
            version = await self._desk.in_thread(self._desk.registry.version)
            if version != seen:
                for key in tuple(self._tended):
                    job = await self._desk.row(key)
                    if job is not None and job.wish is not None:
                        self.nudge(job)
            seen = version

    async def _tend_to_its_end(self, key: int) -> None:
        poller = Poller(self._uws, self._turns)
        lock = self._desk.folder(key).lock()
        try:
            pause = FIRST_PAUSE
            while True:
                # Before the row is read: what is written after that will cancel it.
                self._tended[key] = trio.CancelScope()
                job = await self._desk.row(key)
                if job is None or not job.needs_care:
                    break
                if not await self._desk.in_thread(lock.acquire):
                    await trio.sleep(LOOK)
                    continue
                pause = await self._advance(job, poller, pause)
        except Exception:
            log.exception("tending job %d failed in an unforeseen way", key)
            # Whoever looks at it next takes it up again, but not at once.
            await trio.sleep(LONGEST_PAUSE)
        finally:
            self._tended.pop(key, None)
            self.troubles.pop(key, None)
            self._desk.tell_news()
            with trio.CancelScope(shield=True):
                await self._desk.in_thread(lock.release)

    async def _advance(self, job: Job, poller: Poller, pause: float) -> float:
        """One step, and a rest after one that failed; returns how long the next rest is."""
        try:
            await self._step(job, poller)
            self.troubles.pop(job.key, None)
        except (Unavailable, Incomplete, Forbidden) as exc:
            if isinstance(exc, Forbidden) and job.archive_id is None:
                await self._fail(job, str(exc))
                return FIRST_PAUSE
            # A job that is there may be seen again: by a network, a server, a login.
            self._tell_trouble(job, f"{exc}; trying again in {pause:g} s")
            await self._rest(job.key, pause)
            return min(pause * 2, LONGEST_PAUSE)
        except NotFound as exc:
            await self._fail(job, f"The archive does not know this job any more: {exc}")
        except CadcfsError as exc:
            await self._fail(job, str(exc))
        return FIRST_PAUSE

    def _tell_trouble(self, job: Job, words: str) -> None:
        """Once at a level that is looked at: an archive may be away for days."""
        level = logging.DEBUG if job.key in self.troubles else logging.WARNING
        log.log(level, "job %s: %s", job.name, words)
        self.troubles[job.key] = words

    async def _rest(self, key: int, seconds: float) -> bool:
        """Sleep; True if the user wants something meanwhile, or did since the row was read."""
        scope = trio.CancelScope()
        if self._tended[key].cancel_called:
            scope.cancel()
        self._tended[key] = scope
        with scope:
            await trio.sleep(seconds)
        return scope.cancel_called

    async def _step(self, job: Job, poller: Poller) -> None:
        """One thing that brings the job further."""
        if job.wish is Wish.DELETE:
            await self._delete(job)
        elif job.wish is Wish.ABORT:
            await self._abort(job)
        elif job.wish is Wish.RUN and job.archive_id is None:
            await self._create(job)
        elif job.wish is Wish.RUN:
            await self._run(job)
        else:
            await self._poll(job, poller)
        self._desk.tell_news()

    async def _create(self, job: Job) -> None:
        folder = self._desk.folder(job.key)
        tables: Mapping[str, bytes] = await self._desk.in_thread(folder.written_tables)
        remote = await self._uws.create(job.adql or "", job.maxrec, tables, seconds=SUBMIT_TIME)
        log.info("job %s is %s at the archive", job.name, remote.job_id)
        await self._desk.change(job, archive_id=remote.job_id, document=remote.document)

    async def _run(self, job: Job) -> None:
        assert job.archive_id
        try:
            remote = await self._uws.run(job.archive_id)
        except BadRequest:
            # Told twice, when the first answer was lost: whether it runs is what counts.
            remote = await self._uws.job(job.archive_id)
            if remote.phase == Phase.PENDING:
                raise
        await self._heard(job, Wish.RUN, progress(remote.phase), remote.document)

    async def _abort(self, job: Job) -> None:
        if job.archive_id is None:
            await self._heard(job, Wish.ABORT, Phase.ABORTED, None)
            return
        try:
            await self._uws.abort(job.archive_id)
        except BadRequest as exc:
            log.info("job %s is not aborted: %s", job.name, exc)
        # What came of it is learnt by the next poll.
        phase = Phase.UNKNOWN if job.phase is Phase.PENDING else job.phase
        await self._heard(job, Wish.ABORT, phase, job.document)

    async def _heard(self, job: Job, wish: Wish, phase: Phase, document: str | None) -> None:
        await self._desk.in_thread(
            self._desk.registry.heard, job.key, wish, phase=phase, document=document
        )

    async def _delete(self, job: Job) -> None:
        if job.archive_id is not None:
            try:
                await self._uws.delete(job.archive_id)
            except (BadRequest, Forbidden) as exc:
                log.warning("job %s stays at the archive: %s", job.archive_id, exc)
        folder = self._desk.folder(job.key)
        await self._desk.in_thread(folder.remove)
        await self._desk.in_thread(self._desk.registry.forget, job.key)
        await self._desk.in_thread(folder.remove_lock)

    async def _poll(self, job: Job, poller: Poller) -> None:
        assert job.archive_id
        remote = None
        with self._tended[job.key]:
            remote = await poller.poll(job.archive_id, job.phase)
        if remote is None:
            return
        if remote.phase == Phase.COMPLETED:
            await self._complete(await self._desk.change(job, document=remote.document))
        elif remote.phase == Phase.ERROR:
            words = await self._uws.error(remote)
            log.warning("job %s failed at the archive: %s", job.name, " ".join(words.split()))
            await self._desk.change(
                job, phase=Phase.ERROR, document=remote.document, error=f"{redacted(words)}\n"
            )
        elif remote.document != job.document:
            await self._desk.change(job, document=remote.document, phase=progress(remote.phase))

    async def _complete(self, job: Job) -> None:
        """Fetch the result; the job is COMPLETED once it is here, or will not come by itself."""
        reason = ""
        for attempt in range(1, FETCH_ATTEMPTS + 1):
            try:
                await self.fetch(job)
            except (Unavailable, Incomplete) as exc:
                reason = str(exc)
                log.warning("the result of job %s: %s", job.name, reason)
                if await self._rest(job.key, FIRST_PAUSE * 2**attempt):
                    return
            except BadRequest:
                raise
            except (CadcfsError, OSError) as exc:
                reason = str(exc)
                log.warning("the result of job %s: %s", job.name, reason)
                break
            else:
                await self._desk.change(job, phase=Phase.COMPLETED)
                return
        words = f"The result could not be brought here: {reason}\nOpen it to try again.\n"
        await self._desk.change(job, phase=Phase.COMPLETED, error=redacted(words))

    async def fetch(self, job: Job) -> None:
        """Have the whole result on disk; one transfer however many ask.

        Raises
        ------
        NotFound, BadRequest, Incomplete, Unavailable, OSError
        """
        place = self._desk.folder(job.key).result("vot")
        while job.key in self._fetches:
            await self._fetches[job.key].wait()
        if await self._desk.in_thread(place.exists):
            return
        assert job.archive_id
        done = self._fetches[job.key] = trio.Event()
        try:
            remote = await self._uws.job(job.archive_id)
            body, told = await self._uws.result(remote), f"the result of job {job.archive_id}"
            summary = await receive(body, told, place, self._desk.threads)
            await self._desk.change(job, error=overflow(summary, job) if summary.cut else None)
        finally:
            del self._fetches[job.key]
            done.set()

    async def _fail(self, job: Job, words: str) -> None:
        if await self._desk.row(job.key) is None:
            return
        log.warning("job %s: %s", job.name, words)
        await self._desk.in_thread(
            self._desk.registry.heard,
            job.key,
            job.wish or Wish.RUN,
            phase=Phase.ERROR,
            error=f"{redacted(words)}\n",
        )


def progress(word: str) -> Phase:
    """The phase to show for what the archive says of a job that was told to run.

    One that has ended there is still under way here until its result or its error is here, too.
    """
    phase = Phase(word) if word in Phase.__members__ else Phase.UNKNOWN
    if phase is Phase.PENDING:
        return Phase.QUEUED
    return Phase.EXECUTING if phase in (Phase.COMPLETED, Phase.ERROR) else phase
