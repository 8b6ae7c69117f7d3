"""`/caom2ops/datalink`: what belongs to a plane, and where it can be had (DataLink 1.1)."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

import trio
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from cadcfs.demo.auth.caller import Caller, caller_of
from cadcfs.demo.data.bodies import MadeBody
from cadcfs.demo.data.holdings import Holdings
from cadcfs.demo.data.link_document import (
    DATALINK,
    MANIFEST,
    VOTABLE,
    error_document,
    manifest,
    votable,
)
from cadcfs.demo.data.links import Link, Linker
from cadcfs.demo.data.metadata import PLANE, Metadata
from cadcfs.demo.data.shapes import ParameterError
from cadcfs.demo.faults.pace import link_delay
from cadcfs.demo.tap.submission import Submission, submission_of

MAXREC = 100
"""Rows that an answer has at most, but for whole planes and for downloads-only."""

_VOTABLES = (VOTABLE, "text/xml")


@dataclass(frozen=True, slots=True)
class LinkRequest:
    """Which planes are asked for, and how the answer shall be written."""

    numbers: tuple[str, ...]
    downloads_only: bool
    limit: int | None
    content_type: str

    @classmethod
    def from_parameters(cls, parameters: Submission) -> LinkRequest:
        """Check the parameters; raise ParameterError."""
        wanted = parameters.get("RESPONSEFORMAT") or DATALINK
        base = wanted.partition(";")[0].strip()
        if base not in (*_VOTABLES, MANIFEST):
            raise ParameterError(f"unknown format: {wanted}")
        request = parameters.get("REQUEST") or ""
        downloads_only = base == MANIFEST or request.lower() == "downloads-only"
        return cls(
            tuple(parameters.all("ID")),
            downloads_only,
            _limit(parameters.get("MAXREC"), downloads_only=downloads_only),
            wanted,
        )


def _limit(text: str | None, *, downloads_only: bool) -> int | None:
    highest = None if downloads_only else MAXREC
    if text is None:
        return highest
    if not text.isdecimal() or len(text) > 10:
        raise ParameterError(f"Invalid MAXREC: {text}")
    return int(text) if highest is None else min(int(text), highest)


class LinkService:
    """Serves `/caom2ops/datalink`."""

    def __init__(
        self, metadata: Metadata, holdings: Holdings, limiter: trio.CapacityLimiter
    ) -> None:
        """Serve the planes of an archive."""
        self._metadata = metadata
        self._holdings = holdings
        self._limiter = limiter

    def routes(self) -> list[Route]:
        """Return the route."""
        return [Route("/caom2ops/datalink", self._answer, methods=["GET", "POST"])]

    async def _answer(self, request: Request) -> Response:
        try:
            asked = LinkRequest.from_parameters(await submission_of(request))
        except ParameterError as error:
            return Response(error_document(str(error)), 400, media_type=VOTABLE)
        await trio.sleep(link_delay(request.scope) * len(asked.numbers))
        linker = Linker(self._holdings, str(request.base_url).rstrip("/"))
        links = self._links(asked, linker, caller_of(request.scope))
        is_manifest = asked.content_type.startswith(MANIFEST)
        pieces = (manifest if is_manifest else votable)(links)
        content = (piece.encode() for piece in pieces)
        # As it was asked for, without what would break the header.
        content_type = re.sub(r"[^\x20-\x7e]", "", asked.content_type)
        return MadeBody(_gathered(content), self._limiter, {"Content-Type": content_type})

    def _links(self, asked: LinkRequest, linker: Linker, caller: Caller) -> Iterator[Link]:
        count = 0
        for number in asked.numbers:
            # Looked at between planes only, so that none is cut in the middle.
            if asked.limit is not None and count >= asked.limit:
                return
            for link in self._links_of(number, asked, linker, caller):
                count += 1
                yield link

    def _links_of(
        self, number: str, asked: LinkRequest, linker: Linker, caller: Caller
    ) -> Iterator[Link]:
        if PLANE.fullmatch(number) is None:
            yield Link.fault(number, f"UsageFault: invalid ID: {number}")
            return
        artifacts = self._metadata.of_plane(number, caller)
        if not artifacts:
            yield Link.fault(number, f"NotFoundFault: {number}")
            return
        yield from linker.links(number, artifacts, downloads_only=asked.downloads_only)


def _gathered(pieces: Iterator[bytes], size: int = 1 << 16) -> Iterator[bytes]:
    """Join small pieces, so that each change of threads is worth it."""
    held = b""
    for piece in pieces:
        held += piece
        if len(held) >= size:
            yield held
            held = b""
    if held:
        yield held
