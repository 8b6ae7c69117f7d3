"""The synchronous TAP endpoint (TAP 1.1, section 2.5; DALI 1.1, section 2.2).

As at CADC, POST creates a job and redirects to `/argus/sync/<id>/run`, where GET executes it; a
GET with parameters executes at once.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import AsyncIterator

import trio
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response, StreamingResponse
from starlette.routing import Route

from cadcfs.demo.adql.scope import AdqlError
from cadcfs.demo.auth.caller import Caller, caller_of
from cadcfs.demo.faults.pace import pace_of
from cadcfs.demo.requestlog import note_query
from cadcfs.demo.tap.engine import Control, Engine, QueryFailedError, Setting
from cadcfs.demo.tap.formats import error_body
from cadcfs.demo.tap.job import new_id
from cadcfs.demo.tap.question import Question, format_name
from cadcfs.demo.tap.running import Result, in_thread
from cadcfs.demo.tap.submission import Submission, submission_of
from cadcfs.demo.tap.uploads import uploads_of

_JOBS_KEPT = 10_000


class SyncEndpoint:
    """Serves `/argus/sync`."""

    def __init__(self, engine: Engine, limiter: trio.CapacityLimiter) -> None:
        """Answer from an engine, with at most as many queries at once as the limiter allows."""
        self._engine = engine
        self._limiter = limiter
        self._jobs: OrderedDict[str, tuple[Submission, Caller]] = OrderedDict()

    def routes(self) -> list[Route]:
        """Return the endpoint's routes."""
        return [
            Route("/argus/sync", self._sync, methods=["GET", "POST"]),
            Route("/argus/sync/{job}/run", self._run, methods=["GET"]),
        ]

    async def _sync(self, request: Request) -> Response:
        submission = await submission_of(request)
        note_query(request.scope, submission.get("QUERY"))
        job = new_id()
        if request.method == "GET":
            return await self._answer(job, submission, request)
        self._jobs[job] = submission, caller_of(request.scope)
        if len(self._jobs) > _JOBS_KEPT:
            self._jobs.popitem(last=False)
        return RedirectResponse(f"{request.base_url}argus/sync/{job}/run", 303)

    async def _run(self, request: Request) -> Response:
        job = request.path_params["job"]
        if job not in self._jobs:
            raise HTTPException(404, f"not found: {job}")
        submission, owner = self._jobs[job]
        if not caller_of(request.scope).may_use(owner.name):
            raise HTTPException(403, "permission denied")
        note_query(request.scope, submission.get("QUERY"))
        return await self._answer(job, submission, request)

    async def _answer(self, job: str, submission: Submission, request: Request) -> Response:
        pace = pace_of(request.scope, submission.get("QUERY"))
        await trio.sleep(pace.seconds)
        control = Control(self._engine.seconds)
        caller, base = caller_of(request.scope), str(request.base_url).rstrip("/")

        def begin() -> tuple[Question, Result]:
            question = Question.of(submission)
            setting = Setting(caller, base, uploads_of(submission), pace)
            return question, Result.begin(self._engine, question, setting, control)

        try:
            question, begun = await in_thread(self._limiter, control, begin)
        except (AdqlError, QueryFailedError) as trouble:
            status = 400 if isinstance(trouble, AdqlError) else 500
            body = error_body(format_name(submission), str(trouble))
            name = f"error_{job}.{body.extension}"
            return Response(body.content, status, _headers(body.content_type, name))
        name = f"result_{job}.{question.format.extension}"
        return StreamingResponse(
            self._stream(begun, control), headers=_headers(question.format.content_type, name)
        )

    async def _stream(self, result: Result, control: Control) -> AsyncIterator[bytes]:
        try:
            yield result.first
            while True:
                piece = await in_thread(self._limiter, control, result.next)
                if piece is None:
                    return
                yield piece
        finally:
            result.close()


def _headers(content_type: str, file_name: str) -> dict[str, str]:
    return {
        "Content-Type": content_type,
        "Content-Disposition": f'inline; filename="{file_name}"',
    }
