"""`/caom2ops/async`: many cutouts of one file in a job (SODA 1.0, 2.2; UWS 1.1).

A job's results are the addresses of the cutouts: every region with every band and every time.
Jobs live as long as the server.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

import trio

from cadcfs.demo.auth.caller import Caller
from cadcfs.demo.data.shapes import ParameterError
from cadcfs.demo.data.soda import Cutter, SodaRequest
from cadcfs.demo.faults.pace import Pace
from cadcfs.demo.tap.job import Job, now

_KEPT = 10_000
"""Jobs that are remembered; older ones are forgotten when more come."""


class SodaJobs:
    """The jobs of the cutout service; each runs within the request that starts it."""

    def __init__(self, cutter: Cutter, limiter: trio.CapacityLimiter) -> None:
        """Run what the cutter finds."""
        self._cutter = cutter
        self._limiter = limiter
        self._jobs: dict[str, Job] = {}

    def find(self, job_id: str) -> Job | None:
        """Return a job; those whose time is over are gone."""
        job = self._jobs.get(job_id)
        return None if job is None or job.destruction <= now() else job

    def listed(
        self, owner: str, phases: frozenset[str], after: datetime | None, last: int | None
    ) -> Iterator[Job]:
        """Yield an owner's jobs, the newest first."""
        found = [
            job
            for job in reversed(self._jobs.values())
            if job.caller.name == owner
            and job.destruction > now()
            and (not phases or job.phase in phases)
            and (after is None or job.created > after)
        ]
        yield from found[:last]

    def owned(self, job: Job, caller: Caller) -> bool:
        """Whether a caller may see and change a job."""
        return caller.may_use(job.caller.name)

    async def create(self, job: Job) -> None:
        """Take a new job in."""
        while len(self._jobs) >= _KEPT:
            del self._jobs[next(iter(self._jobs))]
        self._jobs[job.id] = job

    async def save(self, job: Job) -> None:
        """Do nothing: jobs are kept in memory."""

    async def start(self, job: Job, pace: Pace) -> None:
        """Run a pending job."""
        job.move("EXECUTING")
        try:
            await trio.sleep(pace.seconds)
            asked = SodaRequest.from_parameters(job.submission, sync=False)
            addresses = await trio.to_thread.run_sync(
                self._cutter.addresses, asked, job.caller, job.base_url, limiter=self._limiter
            )
        except ParameterError as error:
            job.error = str(error)
        except BaseException:
            job.error = "the job was interrupted"
            job.move("ERROR")
            raise
        else:
            job.results = tuple(
                (f"ok-{number}", address) for number, address in enumerate(addresses, 1)
            )
        if job.is_active:
            job.move("COMPLETED" if job.error is None else "ERROR")

    async def abort(self, job: Job) -> None:
        """Stop a job."""
        if job.is_active:
            job.move("ABORTED")

    async def delete(self, job: Job) -> None:
        """Stop a job and forget it."""
        await self.abort(job)
        self._jobs.pop(job.id, None)

    def file_of(self, job: Job) -> Path | None:  # noqa: ARG002 (results lie elsewhere)
        """Nothing: the results lie with the file service."""
        return None
