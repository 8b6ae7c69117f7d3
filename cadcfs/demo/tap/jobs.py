"""The jobs of the asynchronous service: created, queued, run six at a time, stopped, deleted.

All changes of a job happen on the event loop; queries and the disk have threads of their own.
Jobs that were under way when the service ended start again with it.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

import trio

from cadcfs.demo.adql.scope import AdqlError
from cadcfs.demo.auth.caller import Caller
from cadcfs.demo.faults.pace import Pace
from cadcfs.demo.tap.engine import Control, Engine, QueryFailedError, Setting
from cadcfs.demo.tap.formats import error_body
from cadcfs.demo.tap.job import Job, now
from cadcfs.demo.tap.job_store import JobStore
from cadcfs.demo.tap.question import Question, format_name
from cadcfs.demo.tap.running import Result, in_thread
from cadcfs.demo.tap.uploads import uploads_of

_log = logging.getLogger(__name__)

THREADS = 6
"""How many jobs execute at once, as at CADC; further ones are QUEUED."""


class Jobs:
    """All asynchronous jobs of a service."""

    def __init__(self, engine: Engine, store: JobStore) -> None:
        """Take over the jobs that a store holds (blocking)."""
        self._engine = engine
        self._store = store
        self._jobs = {job.id: job for job in store.load()}
        self._controls: dict[str, Control] = {}
        self._threads = trio.CapacityLimiter(THREADS)
        # One writer, so that a job's record on disk is never older than what was written last.
        self._writer = trio.CapacityLimiter(1)
        self._waiting, self._queue = trio.open_memory_channel[Job](float("inf"))

    async def run(self) -> None:
        """Execute jobs until cancelled."""
        for job in self._jobs.values():
            if job.phase in ("QUEUED", "EXECUTING"):
                job.move("QUEUED")
                self._waiting.send_nowait(job)
        try:
            async with trio.open_nursery() as nursery:
                async for job in self._queue:
                    nursery.start_soon(self._execute, job)
        finally:
            self._store.close()

    def find(self, job_id: str) -> Job | None:
        """Return a job; those whose time is over are gone."""
        job = self._jobs.get(job_id)
        return None if job is None or job.destruction <= now() else job

    def listed(
        self, owner: str, phases: frozenset[str], after: datetime | None, last: int | None
    ) -> Iterator[Job]:
        """Yield an owner's jobs, the newest first (UWS 1.1, section 2.2.2.1)."""
        latest = reversed(self._jobs.values())
        newest = sorted(latest, key=lambda job: job.created, reverse=True)
        found = (
            job
            for job in newest
            if job.caller.name == owner
            and job.destruction > now()
            and (not phases or job.phase in phases)
            and (after is None or job.created > after)
        )
        for place, job in enumerate(found):
            if last is not None and place >= last:
                return
            yield job

    def owned(self, job: Job, caller: Caller) -> bool:
        """Whether a caller may see and change a job."""
        return caller.may_use(job.caller.name)

    async def create(self, job: Job) -> None:
        """Take a new job in; and forget, on this occasion, those whose time is over."""
        for old in [job for job in self._jobs.values() if job.destruction <= now()]:
            await self.delete(old)
        await trio.to_thread.run_sync(self._store.create, job, limiter=self._writer)
        self._jobs[job.id] = job

    async def save(self, job: Job) -> None:
        """Write a job's record down."""
        await trio.to_thread.run_sync(self._store.save, job, job.to_json(), limiter=self._writer)

    async def start(self, job: Job, pace: Pace) -> None:
        """Queue a pending job."""
        job.pace = pace
        job.move("QUEUED")
        self._waiting.send_nowait(job)
        await self.save(job)

    async def abort(self, job: Job) -> None:
        """Stop a job; nothing happens to one that has ended."""
        if job.is_active:
            job.move("ABORTED")
            if control := self._controls.get(job.id):
                control.stop()
            await self.save(job)

    async def delete(self, job: Job) -> None:
        """Stop a job and forget it; its files go when nothing writes them any more."""
        self._jobs.pop(job.id, None)
        if job.is_active:
            job.move("ABORTED")
        control = self._controls.get(job.id)
        forget = self._store.remove if control is None else self._store.forget
        if control is not None:
            control.stop()
        await trio.to_thread.run_sync(forget, job, limiter=self._writer)

    def file_of(self, job: Job) -> Path | None:
        """Where a job's result or error document lies."""
        return self._store.directory(job) / job.file if job.file else None

    async def _execute(self, job: Job) -> None:
        async with self._threads:
            if job.phase != "QUEUED":
                return
            control = self._controls[job.id] = Control(job.seconds)
            job.move("EXECUTING")
            await self.save(job)
            work = Execution(self._engine, job, self._store.directory(job), control)
            try:
                # Cancelled when the service ends; the job then starts again with the next one.
                await in_thread(trio.CapacityLimiter(1), control, work.run)
            finally:
                self._controls.pop(job.id, None)
            if job.id not in self._jobs:
                await trio.to_thread.run_sync(self._store.remove, job, limiter=self._writer)
            elif job.phase == "EXECUTING":
                work.conclude()
                await self.save(job)


class Execution:
    """One run of one job, in a worker thread; the job itself is changed by `conclude`."""

    def __init__(self, engine: Engine, job: Job, directory: Path, control: Control) -> None:
        """Prepare to run a job."""
        self._engine = engine
        self._job = job
        self._directory = directory
        self._control = control
        self._results: list[tuple[str, str]] = []
        self._error: str | None = None
        self._file = ""
        self._content_type = ""
        self._mark = time.monotonic()

    def run(self) -> None:
        """Ask and write the result, or the error, into a file (blocking)."""
        self._note("uws:executing")
        try:
            try:
                self._ask()
            except (AdqlError, QueryFailedError) as trouble:
                self._fail(trouble)
        except OSError as trouble:
            # The disk is full, or the job was deleted while it ran.
            self._fault(trouble)
        except Exception as trouble:  # noqa: BLE001 - one job must not end the service
            _log.exception("job %s failed", self._job.id)
            self._fault(trouble)

    def conclude(self) -> None:
        """Tell the job how its run ended."""
        job = self._job
        job.error = self._error
        # As at CADC, a job that failed has no results, timings neither.
        job.results = () if self._error else tuple(self._results)
        job.file, job.content_type = self._file, self._content_type
        job.move("COMPLETED" if self._error is None else "ERROR")

    def _ask(self) -> None:
        question = Question.of(self._job.submission)
        job = self._job
        setting = Setting(job.caller, job.base_url, uploads_of(job.submission), job.pace)
        self._note("read:tap_schema")
        self._control.pause(job.pace.seconds)
        result = Result.begin(self._engine, question, setting, self._control, capped=True)
        self._note("query:execute")
        try:
            name = f"result_{self._job.id}.{question.format.extension}"
            with (self._directory / name).open("wb") as file:
                file.write(result.first)
                while piece := result.next():
                    file.write(piece)
        finally:
            result.close()
        self._note("query:store")
        self._results.append(("rowcount", f"final:{result.count}"))
        self._file, self._content_type = name, question.format.content_type

    def _fail(self, trouble: Exception) -> None:
        self._note("fail")
        body = error_body(format_name(self._job.submission), str(trouble))
        kind = "IllegalArgumentException" if isinstance(trouble, AdqlError) else "RuntimeException"
        self._error = f"{kind}:{trouble}"
        self._file = f"error_{self._job.id}.{body.extension}"
        self._content_type = body.content_type
        (self._directory / self._file).write_bytes(body.content)
        self._note("fail:store")

    def _fault(self, trouble: Exception) -> None:
        self._error, self._file = f"RuntimeException:{trouble}", ""

    def _note(self, what: str) -> None:
        """Leave a `diag` entry with the milliseconds since the last one."""
        mark = time.monotonic()
        self._results.append(("diag", f"{what}:{int((mark - self._mark) * 1000)}"))
        self._mark = mark
