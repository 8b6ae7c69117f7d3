"""`/caom2ops/meta`: all that is known of an observation, as a CAOM document."""

from __future__ import annotations

import re
from collections.abc import Iterator

import trio
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from cadcfs.demo.auth.access import now_text, row_condition
from cadcfs.demo.auth.caller import Caller, caller_of
from cadcfs.demo.data.caom import observation_document
from cadcfs.demo.data.metadata import Metadata
from cadcfs.demo.tap.submission import submission_of

_OBSERVATION = re.compile(r"caom:[^/\s]+/[^/\s]+")


class MetaService:
    """Serves `/caom2ops/meta`."""

    def __init__(self, metadata: Metadata, limiter: trio.CapacityLimiter) -> None:
        """Serve the observations of an archive."""
        self._metadata = metadata
        self._limiter = limiter

    def routes(self) -> list[Route]:
        """Return the route."""
        return [Route("/caom2ops/meta", self._answer, methods=["GET", "POST"])]

    async def _answer(self, request: Request) -> Response:
        uris = (await submission_of(request)).all("ID")
        if len(uris) != 1:
            return PlainTextResponse(f"found {len(uris)} ID values, expected 1\n", 400)
        if _OBSERVATION.fullmatch(uris[0]) is None:
            return PlainTextResponse(f"invalid observation URI: {uris[0]}\n", 400)
        caller = caller_of(request.scope)
        document = await trio.to_thread.run_sync(
            self._document, uris[0], caller, limiter=self._limiter
        )
        if document is None:
            return PlainTextResponse(f"not found: {uris[0]}\n", 404)
        return Response(document, media_type="text/xml")

    def _document(self, uri: str, caller: Caller) -> str | None:
        now = now_text()
        with self._metadata.connection() as database:
            found = database.execute(
                f"SELECT obsID FROM Observation WHERE observationURI = ?"
                f" AND {row_condition(caller, now)}",
                (uri,),
            ).fetchone()
            if found is None:
                return None
            planes = row_condition(caller, now, "p.metaRelease", "p.metaReadGroups")
            pieces: Iterator[str] = observation_document(database, found[0], planes)
            return "".join(pieces)
