"""The asynchronous TAP endpoint, `/argus/async` (UWS 1.1, section 2.2; TAP 1.1, section 2.1).

What CADC's service does beyond the standard, or instead of it: a wait ends after a minute, a list
is for users who have logged in, times and durations can only be lowered and only while the job is
PENDING, results include timings (`diag`) and the number of rows (`rowcount`), and a stored result
has an address of its own to which `results/result` redirects.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Protocol

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import FileResponse, PlainTextResponse, RedirectResponse, Response
from starlette.routing import Route

from cadcfs.demo.auth.caller import Caller, caller_of
from cadcfs.demo.faults.pace import Pace, pace_of
from cadcfs.demo.requestlog import note_query
from cadcfs.demo.tap.job import Job
from cadcfs.demo.tap.submission import Pairs, Submission, submission_of
from cadcfs.demo.tap.uws_control import (
    SETTERS,
    TEXTS,
    filters,
    new_job,
    phase_wish,
    require_pending,
    set_parameters,
    wait,
)
from cadcfs.demo.tap.uws_documents import (
    job_document,
    list_document,
    parameters_document,
    results_document,
)

_XML = "text/xml"


class JobTable(Protocol):
    """The jobs of one service, which finds, changes and runs them in its own way."""

    def find(self, job_id: str) -> Job | None:
        """Return a job; those whose time is over are gone."""

    def listed(
        self, owner: str, phases: frozenset[str], after: datetime | None, last: int | None
    ) -> Iterator[Job]:
        """Yield an owner's jobs, the newest first."""

    def owned(self, job: Job, caller: Caller) -> bool:
        """Whether a caller may see and change a job."""

    async def create(self, job: Job) -> None:
        """Take a new job in."""

    async def save(self, job: Job) -> None:
        """Keep what was changed."""

    async def start(self, job: Job, pace: Pace) -> None:
        """Begin to run a pending job."""

    async def abort(self, job: Job) -> None:
        """Stop a job."""

    async def delete(self, job: Job) -> None:
        """Stop a job and forget it."""

    def file_of(self, job: Job) -> Path | None:
        """Where a job's result or error document lies, if it has one."""


class UwsEndpoint:
    """Serves `/argus/async` and everything below it, and `/argus/results`.

    Another service may have its jobs served in the same way, below a path of its own.
    """

    def __init__(self, jobs: JobTable, service: str = "argus") -> None:
        """Serve these jobs."""
        self._jobs = jobs
        self._service = service
        self._path = f"{service}/async"

    def routes(self) -> list[Route]:
        """Return the endpoint's routes."""
        start = f"/{self._path}"
        return [
            Route(start, self._collection, methods=["GET", "POST", "DELETE"]),
            Route(f"{start}/{{job}}", self._job, methods=["GET", "POST", "DELETE"]),
            Route(f"{start}/{{job}}/{{field}}", self._field, methods=["GET", "POST", "DELETE"]),
            Route(f"{start}/{{job}}/results/{{name}}", self._result, methods=["GET"]),
            Route(f"/{self._service}/results/{{name}}", self._file, methods=["GET"]),
        ]

    async def _collection(self, request: Request) -> Response:
        if request.method == "POST":
            return await self._create(request)
        if request.method == "DELETE":
            raise HTTPException(400, "cannot delete job list")
        caller = caller_of(request.scope)
        if caller.name is None:
            raise HTTPException(403, "anonymous job listing not permitted")
        jobs = self._jobs.listed(caller.name, *filters(_query(request)))
        return Response(list_document(jobs), media_type=_XML)

    async def _create(self, request: Request) -> Response:
        submission = await submission_of(request)
        job = new_job(submission, caller_of(request.scope), _base(request))
        note_query(request.scope, job.submission.get("QUERY"), job.run_id)
        run = submission.get("PHASE") is not None and phase_wish(submission) == "RUN"
        await self._jobs.create(job)
        if run:
            await self._jobs.start(job, _pace(job, request))
        return self._see(request, job)

    async def _job(self, request: Request) -> Response:
        job = self._found(request)
        if request.method == "DELETE":
            return await self._delete(job, request)
        if request.method == "POST":
            submission = await submission_of(request)
            if (submission.get("ACTION") or "").upper() == "DELETE":
                return await self._delete(job, request)
            await self._change(job, "parameters", submission, request)
            return self._see(request, job)
        await wait(job, _query(request).get("WAIT"))
        document = job_document(job, _results_of(job, request))
        return Response(document, media_type=_XML)

    async def _delete(self, job: Job, request: Request) -> Response:
        await self._jobs.delete(job)
        return RedirectResponse(f"{_base(request)}/{self._path}", 303)

    async def _field(self, request: Request) -> Response:
        job, name = self._found(request), request.path_params["field"]
        if request.method == "DELETE":
            raise HTTPException(400, f"cannot delete {job.id}/{name}")
        if request.method == "POST":
            await self._change(job, name, await submission_of(request), request)
            return self._see(request, job)
        return self._show(job, name, request)

    async def _change(self, job: Job, name: str, submission: Submission, request: Request) -> None:
        if name == "phase":
            await self._change_phase(job, phase_wish(submission), request)
            return
        if name == "parameters":
            set_parameters(job, submission)
        elif name in SETTERS:
            value = submission.get(name.upper())
            if value is not None:
                require_pending(job)
                SETTERS[name](job, value)
        else:
            raise HTTPException(400 if name in TEXTS else 404, f"not modifiable: {name}")
        await self._jobs.save(job)

    async def _change_phase(self, job: Job, wish: str, request: Request) -> None:
        if wish == "ABORT":
            await self._jobs.abort(job)
        elif job.phase == "PENDING":
            await self._jobs.start(job, _pace(job, request))
        else:
            raise HTTPException(400, f"cannot execute job {job.id} when phase = {job.phase}")

    def _show(self, job: Job, name: str, request: Request) -> Response:
        if name == "parameters":
            return Response(parameters_document(job.submission.pairs), media_type=_XML)
        if name == "results":
            return Response(results_document(_results_of(job, request)), media_type=_XML)
        if name in TEXTS:
            return PlainTextResponse(TEXTS[name](job))
        if name != "error":
            raise HTTPException(404, f"not found: {name}")
        if job.error is None:
            raise HTTPException(404, f"{job.id}/error")
        if job.file:
            return RedirectResponse(f"{_base(request)}/argus/results/{job.file}", 303)
        return PlainTextResponse(job.error)

    async def _result(self, request: Request) -> Response:
        job, name = self._found(request), request.path_params["name"]
        for known, address in _results_of(job, request):
            if known == name:
                return RedirectResponse(address, 303)
        raise HTTPException(404, f"result not found: {name}")

    async def _file(self, request: Request) -> Response:
        name = request.path_params["name"]
        job = self._jobs.find(name.partition("_")[2].partition(".")[0])
        if job is None or job.file != name:
            raise HTTPException(404, f"not found: {name}")
        self._check_owner(job, request)
        path = self._jobs.file_of(job)
        assert path is not None
        headers = {"Content-Disposition": f'inline; filename="{name}"'}
        return FileResponse(path, media_type=job.content_type, headers=headers)

    def _see(self, request: Request, job: Job) -> Response:
        return RedirectResponse(f"{_base(request)}/{self._path}/{job.id}", 303)

    def _found(self, request: Request) -> Job:
        job = self._jobs.find(request.path_params["job"])
        if job is None:
            raise HTTPException(404, f"not found: {request.path_params['job']}")
        self._check_owner(job, request)
        return job

    def _check_owner(self, job: Job, request: Request) -> None:
        if not self._jobs.owned(job, caller_of(request.scope)):
            raise HTTPException(403, "permission denied")


def _results_of(job: Job, request: Request) -> Pairs:
    results = job.results
    if job.phase == "COMPLETED" and job.file:
        results = (*results, ("result", f"{_base(request)}/argus/results/{job.file}"))
    return results


def _pace(job: Job, request: Request) -> Pace:
    return pace_of(request.scope, job.submission.get("QUERY"))


def _query(request: Request) -> Submission:
    return Submission(tuple(request.query_params.multi_items()))


def _base(request: Request) -> str:
    return str(request.base_url).rstrip("/")
