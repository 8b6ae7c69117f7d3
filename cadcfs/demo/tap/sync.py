"""The synchronous TAP endpoint (TAP 1.1, section 2.5; DALI 1.1, section 2.2).

As at CADC, every request is a job: POST creates one and redirects to `/argus/sync/<id>/run`, where
GET executes it, once; a GET with parameters executes at once; `/argus/sync/<id>` tells of the job.
"""

from __future__ import annotations

import logging
from collections import OrderedDict
from collections.abc import AsyncIterator, Awaitable, Callable

import trio
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response, StreamingResponse
from starlette.routing import Route
from starlette.types import Send

from cadcfs.demo.adql.scope import AdqlError
from cadcfs.demo.auth.caller import caller_of
from cadcfs.demo.faults.pace import pace_of
from cadcfs.demo.requestlog import note_query
from cadcfs.demo.tap.engine import Control, Engine, QueryFailedError, Setting
from cadcfs.demo.tap.formats import error_body
from cadcfs.demo.tap.job import Job, new_id
from cadcfs.demo.tap.question import Question, format_name
from cadcfs.demo.tap.running import Result, in_thread
from cadcfs.demo.tap.submission import UPLOAD_BYTES, Submission, submission_of
from cadcfs.demo.tap.uploads import uploads_of
from cadcfs.demo.tap.uws_documents import job_document

_log = logging.getLogger(__name__)

_JOBS_KEPT = 10_000
# What a log shows of a request whose client did not wait for the answer (as nginx has it).
_CLIENT_GONE = 499
_UPLOADS_KEPT = 8 * UPLOAD_BYTES


class SyncEndpoint:
    """Serves `/argus/sync`."""

    def __init__(self, engine: Engine, limiter: trio.CapacityLimiter) -> None:
        """Answer from an engine, with at most as many queries at once as the limiter allows."""
        self._engine = engine
        self._limiter = limiter
        self._jobs: OrderedDict[str, Job] = OrderedDict()

    def routes(self) -> list[Route]:
        """Return the endpoint's routes."""
        return [
            Route("/argus/sync", self._sync, methods=["GET", "POST"]),
            Route("/argus/sync/{job}", self._document, methods=["GET"]),
            Route("/argus/sync/{job}/run", self._run, methods=["GET"]),
        ]

    async def _sync(self, request: Request) -> Response:
        submission = await submission_of(request)
        note_query(request.scope, submission.get("QUERY"), submission.get("RUNID"))
        caller, base = caller_of(request.scope), str(request.base_url).rstrip("/")
        job = Job(new_id(), submission, caller, base, submission.get("RUNID"))
        self._keep(job)
        if request.method == "GET":
            return await self._answer(job, request)
        return RedirectResponse(f"{base}/argus/sync/{job.id}/run", 303)

    async def _run(self, request: Request) -> Response:
        job = self._found(request)
        note_query(request.scope, job.submission.get("QUERY"), job.run_id)
        if job.phase != "PENDING":
            raise HTTPException(400, f"cannot execute job {job.id} when phase = {job.phase}")
        return await self._answer(job, request)

    async def _document(self, request: Request) -> Response:
        job = self._found(request)
        return Response(job_document(job, job.results), media_type="text/xml")

    def _keep(self, job: Job) -> None:
        """Remember a job, and forget the oldest while they are too many or too big."""
        self._jobs[job.id] = job
        held = sum(old.submission.size for old in self._jobs.values())
        while len(self._jobs) > _JOBS_KEPT or (held > _UPLOADS_KEPT and len(self._jobs) > 1):
            held -= self._jobs.popitem(last=False)[1].submission.size

    def _found(self, request: Request) -> Job:
        job = self._jobs.get(request.path_params["job"])
        if job is None:
            raise HTTPException(404, f"not found: {request.path_params['job']}")
        if not caller_of(request.scope).may_use(job.caller.name):
            raise HTTPException(403, "permission denied")
        return job

    async def _answer(self, job: Job, request: Request) -> Response:
        job.move("EXECUTING")
        control = Control(self._engine.seconds)
        outcome: list[tuple[Question, Result] | AdqlError | QueryFailedError] = []

        async def ask() -> None:
            try:
                outcome.append(await self._begin(job, request, control))
            except (AdqlError, QueryFailedError) as trouble:
                outcome.append(trouble)

        await until_hung_up(request, ask)
        name = format_name(job.submission)
        job.submission = Submission(job.submission.pairs)
        if not outcome:
            job.fail("the client hung up")
            return Response(status_code=_CLIENT_GONE)
        if isinstance(outcome[0], Exception):
            return _refusal(job, name, outcome[0])
        question, result = outcome[0]
        headers = _headers(
            question.format.content_type, f"result_{job.id}.{question.format.extension}"
        )
        return StreamedResult(self._stream(job, result, control), headers=headers)

    async def _begin(self, job: Job, request: Request, control: Control) -> tuple[Question, Result]:
        pace = pace_of(request.scope, job.submission.get("QUERY"))
        await trio.sleep(pace.seconds)
        caller, base = caller_of(request.scope), str(request.base_url).rstrip("/")

        def begin() -> tuple[Question, Result]:
            question = Question.of(job.submission)
            setting = Setting(caller, base, uploads_of(job.submission), pace)
            return question, Result.begin(self._engine, question, setting, control)

        return await in_thread(self._limiter, control, begin)

    async def _stream(self, job: Job, result: Result, control: Control) -> AsyncIterator[bytes]:
        try:
            yield result.first
            while True:
                piece = await in_thread(self._limiter, control, result.next)
                if piece is None:
                    job.results = (("rowcount", f"final:{result.count}"),)
                    job.move("COMPLETED")
                    return
                yield piece
        finally:
            result.close()
            if job.is_active:
                job.fail("the answer broke off")


class StreamedResult(StreamingResponse):
    """An answer that breaks off when its query fails on the way, so that nobody takes it whole."""

    async def stream_response(self, send: Send) -> None:
        """Send the answer; without its end, if there is none."""
        try:
            await super().stream_response(send)
        except (AdqlError, QueryFailedError) as trouble:
            _log.warning("an answer broke off: %s", trouble)


async def until_hung_up(request: Request, work: Callable[[], Awaitable[None]]) -> None:
    """Do some work, and stop it when its client hangs up; the request's body has been read."""
    async with trio.open_nursery() as nursery:

        async def watch() -> None:
            while (await request.receive())["type"] != "http.disconnect":
                pass
            nursery.cancel_scope.cancel()

        nursery.start_soon(watch)
        await work()
        nursery.cancel_scope.cancel()


def _refusal(job: Job, format_asked: str, trouble: Exception) -> Response:
    job.fail(str(trouble))
    status = 400 if isinstance(trouble, AdqlError) else 500
    body = error_body(format_asked, str(trouble))
    name = f"error_{job.id}.{body.extension}"
    return Response(body.content, status, _headers(body.content_type, name))


def _headers(content_type: str, file_name: str) -> dict[str, str]:
    return {
        "Content-Type": content_type,
        "Content-Disposition": f'inline; filename="{file_name}"',
    }
