"""raven and minoc: where a file is, and its bytes (CADC storage inventory; RFC 9110, section 14).

As at CADC: no ETag; one range `bytes=a-b` or `bytes=a-`; every other form is ignored, but for the
suffix `bytes=-n`, which is read as `bytes=0-n`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC
from email.utils import parsedate_to_datetime
from random import Random
from urllib.parse import quote

import trio
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from cadcfs.demo.auth.caller import Caller, caller_of
from cadcfs.demo.auth.tokens import Signer
from cadcfs.demo.data.addresses import IN_PATHS
from cadcfs.demo.data.bodies import FileBody, MadeBody
from cadcfs.demo.data.holdings import Holding, Holdings, is_legal
from cadcfs.demo.data.operations import operate
from cadcfs.demo.data.parameters import is_operation
from cadcfs.demo.data.shapes import ParameterError
from cadcfs.demo.tap.submission import submission_of

SITES = ("/minoc", "/uvic/minoc")
"""The storage sites, each with every file."""

_RANGE = re.compile(r"bytes=(\d*)-(\d*)")
_NAMED = ":fo/"
_CUTOUTS_AT_ONCE = 4
_MIRRORED = {"mast": "https://mast.stsci.edu/portal/Download/file/"}


@dataclass(frozen=True, slots=True)
class Asked:
    """A file as an address names it: its URI, a token and a name for the answer, if any."""

    uri: str
    token: str | None
    name: str | None

    @classmethod
    def from_path(cls, path: str) -> Asked:
        """Take `[token/]scheme:path/name[:fo/other name]` apart."""
        token, _, rest = path.partition("/")
        known = "~" in token and ":" not in token
        uri, _, name = (rest if known else path).partition(_NAMED)
        return cls(uri, token if known else None, name or None)

    def address(self, base: str, token: str) -> str:
        """Write the path of the file below a site, with a token that lets anybody read it."""
        name = f"{_NAMED}{self.name}" if self.name else ""
        return f"{base}/files/{token}/{quote(self.uri + name, safe=IN_PATHS)}"

    def plain_address(self, base: str) -> str:
        """Write the path of the file below a site, for those whom the site itself lets in."""
        return f"{base}/files/{quote(self.uri, safe=IN_PATHS)}"


class FileService:
    """Serves `/raven/files` and the files of each storage site."""

    def __init__(
        self,
        holdings: Holdings,
        signer: Signer,
        limiter: trio.CapacityLimiter,
        *,
        seed: int = 0,
    ) -> None:
        """Serve what the holdings know; which site a caller is sent to follows from the seed.

        Addresses at the sites are signed: whoever has one may read that one file.
        """
        self._holdings = holdings
        self._signer = signer
        self._limiter = limiter
        self._cutouts = trio.CapacityLimiter(_CUTOUTS_AT_ONCE)
        self._random = Random(seed)

    def routes(self) -> list[Route]:
        """Return the routes of all of them."""
        methods = ["GET", "HEAD"]
        return [
            Route("/raven/files/{path:path}", self._raven, methods=methods),
            *(Route(f"{site}/files/{{path:path}}", self._minoc, methods=methods) for site in SITES),
        ]

    async def _raven(self, request: Request) -> Response:
        asked = Asked.from_path(request.path_params["path"])
        missing = asked.uri if request.method == "HEAD" else f"not available: {asked.uri}"
        caller = caller_of(request.scope)
        found = await self._find(asked, caller, missing)
        if isinstance(found, Response):
            elsewhere = mirrored_from(asked.uri) if found.status_code == 404 else None
            return found if elsewhere is None else Response(None, 303, {"Location": elsewhere})
        if request.method == "HEAD":
            return Response(headers=found.headers())
        site = self._random.choice(SITES)
        token = self._signer.grant(asked.uri, caller.name)
        address = asked.address(str(request.base_url).rstrip("/") + site, token)
        query = f"?{request.url.query}" if request.url.query else ""
        return Response(status_code=303, headers={"Location": address + query})

    async def _minoc(self, request: Request) -> Response:
        asked = Asked.from_path(request.path_params["path"])
        if asked.token is not None and not self._signer.permits(asked.token, asked.uri):
            return PlainTextResponse("invalid auth token", 403)
        found = await self._find(asked, caller_of(request.scope), f"not found: {asked.uri}")
        if isinstance(found, Response):
            return found
        parameters = await submission_of(request)
        headers = {
            **found.headers(asked.name),
            "x-artifact-id": found.number,
        }
        if request.method == "HEAD":
            return Response(headers=headers)
        if not is_operation(parameters):
            return _body(request, found, headers)
        try:
            product = await trio.to_thread.run_sync(
                operate, found, parameters, asked.name, limiter=self._cutouts
            )
        except ParameterError as error:
            return PlainTextResponse(f"{error}\n", 400)
        own = {
            "Content-Type": product.content_type,
            "Content-Disposition": f'inline; filename="{quote(product.name, safe=IN_PATHS)}"',
        }
        return MadeBody(product.content, self._cutouts, own)

    async def _find(self, asked: Asked, caller: Caller, missing: str) -> Holding | Response:
        if not is_legal(asked.uri):
            return PlainTextResponse(f"illegal artifact URI: {asked.uri}", 400)

        def look_up() -> tuple[Holding | None, bool]:
            holding = self._holdings.find(asked.uri)
            granted = holding is None or asked.token is not None
            return holding, granted or self._holdings.may_read(asked.uri, caller)

        holding, allowed = await trio.to_thread.run_sync(look_up, limiter=self._limiter)
        if holding is None:
            return PlainTextResponse(missing, 404)
        return holding if allowed else PlainTextResponse("permission denied", 403)


def mirrored_from(uri: str) -> str | None:
    """Where raven sends for a file that is not here, though its archive is mirrored."""
    scheme, _, path = uri.partition(":")
    return _MIRRORED[scheme] + quote(path, safe=IN_PATHS) if scheme in _MIRRORED else None


def _body(request: Request, holding: Holding, headers: dict[str, str]) -> Response:
    span = requested_range(request.headers.get("range"))
    if span is None:
        if _unchanged(request.headers.get("if-modified-since"), holding):
            del headers["Content-Length"]
            return Response(status_code=304, headers=headers)
        return FileBody(holding.path, 0, holding.length, 200, headers)
    first, last = span
    if first >= holding.length:
        beyond = {"Content-Range": f"bytes */{holding.length}"}
        return PlainTextResponse("Offset greater than size of file", 416, beyond)
    end = holding.length if last is None else min(last + 1, holding.length)
    headers["Content-Length"] = str(end - first)
    headers["Content-Range"] = f"bytes {first}-{end - 1}/{holding.length}"
    return FileBody(holding.path, first, end, 206, headers)


def requested_range(header: str | None) -> tuple[int, int | None] | None:
    """Read a Range header; None stands for no range and for every form that is ignored."""
    match = _RANGE.fullmatch("".join(header.split())) if header else None
    if match is None or not (match[1] or match[2]) or max(map(len, match.groups())) > 18:
        return None
    first, last = int(match[1] or "0"), int(match[2]) if match[2] else None
    return None if last is not None and last < first else (first, last)


def _unchanged(header: str | None, holding: Holding) -> bool:
    if header is None:
        return False
    try:
        since = parsedate_to_datetime(header)
    except ValueError:
        return False
    if since.tzinfo is None:
        since = since.replace(tzinfo=UTC)
    return holding.modified <= since
