"""`/data/pub`: the addresses of the service before the storage inventory, sent on to the new ones.

`/data/pub/ARCHIVE/name` tries the schemes that an archive's URIs can have. What needs a login is
sent to `/data/auth`, which takes a password (RFC 7617).
"""

from __future__ import annotations

from collections.abc import Sequence
from random import Random
from urllib.parse import quote

import trio
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from cadcfs.demo.auth.caller import Caller, caller_of
from cadcfs.demo.auth.tokens import Signer
from cadcfs.demo.data.addresses import IN_PATHS
from cadcfs.demo.data.files import SITES, Asked
from cadcfs.demo.data.holdings import Holding, Holdings, is_legal
from cadcfs.demo.tap.submission import Submission, submission_of

SCHEMES = {
    "GEMINI": ("gemini", "cadc"),
    "HST": ("mast",),
    "JWST": ("mast",),
    "LOTSS": ("astron",),
    "VLASS": ("nrao", "cadc"),
}
"""The schemes of archives whose files have others than `cadc:`, in the order that is tried."""

_RENAMED = {"CUTOUT": "SUB", "FHEAD": "META", "META": "META", "SUB": "SUB"}
_KEPT = ("Content-Length", "Digest", "Last-Modified")
_CHALLENGE = {"WWW-Authenticate": 'Basic realm="Canadian Astronomy Data Centre"'}


class LegacyService:
    """Serves `/data/pub`, `/data/auth` and `/data/uri-scheme-map`."""

    def __init__(
        self,
        holdings: Holdings,
        signer: Signer,
        limiter: trio.CapacityLimiter,
        *,
        seed: int = 0,
    ) -> None:
        """Serve what the holdings know."""
        self._holdings = holdings
        self._signer = signer
        self._limiter = limiter
        self._random = Random(seed)

    def routes(self) -> list[Route]:
        """Return the routes."""
        methods = ["GET", "HEAD"]
        return [
            Route("/data/pub/{path:path}", self._public, methods=methods),
            Route("/data/auth/{path:path}", self._private, methods=methods),
            Route("/data/uri-scheme-map", _scheme_map),
        ]

    async def _public(self, request: Request) -> Response:
        return await self._answer(request, denied=_to_login(request))

    async def _private(self, request: Request) -> Response:
        if caller_of(request.scope).is_anonymous:
            return PlainTextResponse("authentication required", 401, _CHALLENGE)
        return await self._answer(request, denied=PlainTextResponse("permission denied", 403))

    async def _answer(self, request: Request, denied: Response) -> Response:
        path = request.path_params["path"]
        archive, _, name = path.partition("/")
        if not name:
            return PlainTextResponse("missing path: {archive}/{filename}", 400)
        uris = [f"{scheme}:{path}" for scheme in SCHEMES.get(archive, ("cadc",))]
        caller = caller_of(request.scope)
        found = await trio.to_thread.run_sync(self._find, uris, caller, limiter=self._limiter)
        if found is None:
            return PlainTextResponse(path, 404)
        holding, allowed = found
        if not allowed:
            return denied
        if request.method == "HEAD":
            headers = holding.headers()
            return Response(headers={name: headers[name] for name in _KEPT if name in headers})
        site = self._random.choice(SITES)
        token = self._signer.grant(holding.uri, caller.name)
        base = str(request.base_url).rstrip("/")
        address = Asked(holding.uri, None, None).address(base + site, token)
        query = renamed(await submission_of(request))
        return Response(status_code=303, headers={"Location": address + query})

    def _find(self, uris: Sequence[str], caller: Caller) -> tuple[Holding, bool] | None:
        for uri in uris:
            holding = self._holdings.find(uri) if is_legal(uri) else None
            if holding is not None:
                return holding, self._holdings.may_read(uri, caller)
        return None


def renamed(parameters: Submission) -> str:
    """The query for the file service: `fhead` is META there, `cutout` is SUB."""
    pairs = [
        f"{_RENAMED[name.upper()]}={quote(value, safe='')}"
        for name, value in parameters.pairs
        if name.upper() in _RENAMED and value
    ]
    return f"?{'&'.join(pairs)}" if pairs else ""


def _to_login(request: Request) -> Response:
    path = quote(request.path_params["path"], safe=IN_PATHS)
    query = f"?{request.url.query}" if request.url.query else ""
    address = f"{str(request.base_url).rstrip('/')}/data/auth/{path}{query}"
    return Response(status_code=303, headers={"Location": address})


async def _scheme_map(_request: Request) -> Response:
    lines = ["# archives, and the schemes that URIs of their files can have", "default: cadc", ""]
    lines += [f"{archive}: {' '.join(schemes)}" for archive, schemes in SCHEMES.items()]
    return PlainTextResponse("\n".join(lines) + "\n")
