"""The synchronous TAP endpoint (TAP 1.1, section 2.5; DALI 1.1, section 2.2).

As at CADC, POST creates a job and redirects to `/argus/sync/<id>/run`, where GET executes it; a
GET with parameters executes at once.
"""

from __future__ import annotations

import random
import string
from collections import OrderedDict
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import TypeVar
from urllib.parse import parse_qsl

import trio
from starlette.requests import Request
from starlette.responses import PlainTextResponse, RedirectResponse, Response, StreamingResponse
from starlette.routing import Route

from cadcfs.demo.adql.scope import AdqlError
from cadcfs.demo.requestlog import note_query
from cadcfs.demo.tap.engine import Answer, Control, Engine, QueryFailedError
from cadcfs.demo.tap.formats import ERROR_TYPE, Format, cut, error_document, format_of

T = TypeVar("T")
Parameters = Mapping[str, str]

_JOBS_KEPT = 10_000
_BATCH = 2_000
_LARGEST = 2_147_483_647
_ALPHABET = string.ascii_lowercase + string.digits


@dataclass(frozen=True, slots=True)
class Question:
    """A checked request: what to ask, how many rows at most, and in which format."""

    adql: str
    limit: int | None
    format: Format

    @classmethod
    def from_parameters(cls, parameters: Parameters) -> Question:
        """Check DALI's and TAP's parameters; names come in upper case."""
        if parameters.get("REQUEST", "doQuery") != "doQuery":
            raise AdqlError(f"unknown REQUEST: {parameters['REQUEST']}")
        language = parameters.get("LANG")
        if not language:
            raise AdqlError("missing LANG parameter")
        if language not in ("ADQL", "ADQL-2.0", "ADQL-2.1"):
            raise AdqlError(f"unknown LANG: {language}")
        if "UPLOAD" in parameters:
            raise AdqlError("UPLOAD is not supported")
        name = parameters.get("RESPONSEFORMAT") or parameters.get("FORMAT") or "votable"
        question = parameters.get("QUERY", "").strip()
        if not question:
            raise AdqlError("missing QUERY parameter")
        return cls(question, _limit(parameters.get("MAXREC")), format_of(name))


def _limit(text: str | None) -> int | None:
    if not text:
        return None
    if not (text.isascii() and text.isdigit()) or int(text) >= _LARGEST:
        raise AdqlError(f"Invalid MAXREC: {text}")
    return int(text)


async def parameters_of(request: Request) -> dict[str, str]:
    """Read query string and form, names in upper case; the first value counts."""
    pairs = list(request.query_params.multi_items())
    if request.method == "POST":
        if request.headers.get("content-type", "").startswith("multipart/"):
            async with request.form() as form:
                pairs += [
                    (key, value) for key, value in form.multi_items() if isinstance(value, str)
                ]
        else:
            body = (await request.body()).decode("utf-8", "replace")
            pairs += parse_qsl(body, keep_blank_values=True)
    return {key.upper(): value for key, value in reversed(pairs)}


class SyncEndpoint:
    """Serves `/argus/sync`."""

    def __init__(self, engine: Engine, limiter: trio.CapacityLimiter) -> None:
        """Answer from an engine, with at most as many queries at once as the limiter allows."""
        self._engine = engine
        self._limiter = limiter
        self._jobs: OrderedDict[str, dict[str, str]] = OrderedDict()
        self._random = random.Random()

    def routes(self) -> list[Route]:
        """Return the endpoint's routes."""
        return [
            Route("/argus/sync", self._sync, methods=["GET", "POST"]),
            Route("/argus/sync/{job}/run", self._run, methods=["GET"]),
        ]

    async def _sync(self, request: Request) -> Response:
        parameters = await parameters_of(request)
        note_query(request.scope, parameters.get("QUERY"))
        job = "".join(self._random.choices(_ALPHABET, k=16))
        if request.method == "GET":
            return await self._answer(job, parameters)
        self._jobs[job] = parameters
        if len(self._jobs) > _JOBS_KEPT:
            self._jobs.popitem(last=False)
        return RedirectResponse(f"{request.base_url}argus/sync/{job}/run", 303)

    async def _run(self, request: Request) -> Response:
        job = request.path_params["job"]
        parameters = self._jobs.get(job)
        if parameters is None:
            return PlainTextResponse(f"not found: {job}", 404)
        note_query(request.scope, parameters.get("QUERY"))
        return await self._answer(job, parameters)

    async def _answer(self, job: str, parameters: Parameters) -> Response:
        control = Control()
        try:
            question = Question.from_parameters(parameters)
            begun = await self._in_thread(
                control, partial(Result.begin, self._engine, question, control)
            )
        except AdqlError as trouble:
            return Response(error_document(str(trouble)), 400, media_type=ERROR_TYPE)
        except QueryFailedError as trouble:
            return Response(error_document(str(trouble)), 500, media_type=ERROR_TYPE)
        name = f"result_{job}.{question.format.extension}"
        return StreamingResponse(
            self._stream(begun, control),
            media_type=None,
            headers={
                "Content-Type": question.format.content_type,
                "Content-Disposition": f'inline; filename="{name}"',
            },
        )

    async def _stream(self, result: Result, control: Control) -> AsyncIterator[bytes]:
        try:
            yield result.first
            while True:
                piece = await self._in_thread(control, result.next)
                if piece is None:
                    return
                yield piece
        finally:
            result.close()

    async def _in_thread(self, control: Control, work: Callable[[], T]) -> T:
        """Run blocking work in a thread; being cancelled stops the query, then waits for it."""
        outcome: list[T] = []
        trouble: list[AdqlError | QueryFailedError] = []

        def guarded() -> None:
            try:
                outcome.append(work())
            except (AdqlError, QueryFailedError) as error:
                trouble.append(error)

        async with trio.open_nursery() as nursery:
            nursery.start_soon(_stop_when_cancelled, control, outcome, trouble)
            await trio.to_thread.run_sync(guarded, limiter=self._limiter)
            nursery.cancel_scope.cancel()
        if trouble:
            raise trouble[0]
        return outcome[0]


async def _stop_when_cancelled(
    control: Control, outcome: list[T], trouble: list[AdqlError | QueryFailedError]
) -> None:
    try:
        await trio.sleep_forever()
    finally:
        if not outcome and not trouble:
            control.stop()


class Result:
    """A result on its way: its first bytes are at hand, so errors can still change the status."""

    def __init__(self, answer: Answer, question: Question) -> None:
        """Write the head and fetch the first rows (blocking)."""
        self._answer = answer
        self._pieces = _pieces(answer, question)
        self.first = next(self._pieces)

    @classmethod
    def begin(cls, engine: Engine, question: Question, control: Control) -> Result:
        """Start a query and fetch its first rows (blocking)."""
        answer = engine.start(question.adql, control)
        try:
            return cls(answer, question)
        except BaseException:
            answer.close()
            raise

    def next(self) -> bytes | None:
        """Return the next piece of the body, or nothing at its end (blocking)."""
        return next(self._pieces, None)

    def close(self) -> None:
        """End the query."""
        self._answer.close()


def _pieces(answer: Answer, question: Question) -> Iterator[bytes]:
    writer = question.format.open()
    text = writer.begin(answer.fields)
    overflow = False
    for batch, was_cut in cut(answer.batches(_BATCH), question.limit):
        yield (text + writer.rows(batch)).encode()
        text, overflow = "", was_cut
    yield (text + writer.end(overflow=overflow)).encode()
