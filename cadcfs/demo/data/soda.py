"""Cutouts by position, band, time and polarisation (SODA 1.0, section 3), as caom2ops does them.

A request finds out which pixels it means and is sent on (303) to the file service with SUB. What
is wrong with the file or misses it is sent on, too, to an address that only repeats the message.
"""

from __future__ import annotations

import binascii
from base64 import urlsafe_b64decode, urlsafe_b64encode
from dataclasses import dataclass
from itertools import product
from urllib.parse import quote

import trio
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from cadcfs.demo.auth.caller import Caller, caller_of
from cadcfs.demo.data.addresses import IN_PATHS
from cadcfs.demo.data.doubles import doubles
from cadcfs.demo.data.extensions import FitsHeaders, NotFitsError, read_headers
from cadcfs.demo.data.holdings import Holdings, is_legal
from cadcfs.demo.data.metadata import Artifact, Metadata
from cadcfs.demo.data.overlap import Cut, slices_of
from cadcfs.demo.data.parameters import (
    intervals_of,
    shapes_of,
    states_named,
)
from cadcfs.demo.data.shapes import ParameterError
from cadcfs.demo.tap.submission import Submission, submission_of

CUTTABLE_SCHEMES = ("cadc", "mast", "gemini", "nrao", "vos")
FITS_TYPES = ("application/fits", "image/fits")

_ECHO = "/caom2ops/soda-echo/"
_MOST_PRODUCTS = 1000


def can_cut(artifact: Artifact) -> bool:
    """Whether cutouts of such a file are offered, if it has coordinates."""
    return artifact.scheme in CUTTABLE_SCHEMES and artifact.content_type in FITS_TYPES


@dataclass(frozen=True, slots=True)
class SodaRequest:
    """What a request asks for: one file and the cutouts of it."""

    uri: str
    cuts: tuple[Cut, ...]

    @classmethod
    def from_parameters(cls, parameters: Submission, *, sync: bool) -> SodaRequest:
        """Check the parameters; raise ParameterError."""
        shapes = shapes_of(parameters)
        bands, times = intervals_of(parameters, "BAND"), intervals_of(parameters, "TIME")
        states = states_named(parameters)
        uris = parameters.all("ID")
        wrong = []
        if len(uris) != 1:
            wrong.append(f"found {len(uris)} ID values, expected 1\n")
        limits = (("POS/CIRCLE/POLY", shapes), ("BAND", bands), ("TIME", times))
        wrong += [
            f"found {len(values)} {name} values, expected 0-1\n"
            for name, values in limits
            if sync and len(values) > 1
        ]
        if wrong:
            raise ParameterError("".join(wrong))
        if not is_legal(uris[0]):
            raise ParameterError(f"invalid ID(s) found\ninvalid URI: {uris[0]}\n")
        if (len(shapes) or 1) * (len(bands) or 1) * (len(times) or 1) > _MOST_PRODUCTS:
            raise ParameterError(f"more than {_MOST_PRODUCTS} cutouts in one job")
        cuts = tuple(
            Cut(shape, band, time, states)
            for shape, band, time in product(shapes or (None,), bands or (None,), times or (None,))
        )
        return cls(uris[0], cuts)


class Cutter:
    """Finds the address where a cutout can be had."""

    def __init__(self, metadata: Metadata, holdings: Holdings) -> None:
        """Cut what the archive holds."""
        self._metadata = metadata
        self._holdings = holdings

    def addresses(self, asked: SodaRequest, caller: Caller, base: str) -> list[str]:
        """Where each cutout is, or else what is wrong with it (blocking)."""
        found = self._headers(asked.uri, caller)
        if isinstance(found, str):
            return [echo_address(base, found)] * len(asked.cuts)
        return [_address(asked.uri, found, cut, base) for cut in asked.cuts]

    def _headers(self, uri: str, caller: Caller) -> FitsHeaders | str:
        artifact = self._metadata.of_uri(uri, caller)
        if artifact is None:
            return f"NotFound: {uri}"
        if artifact.scheme not in CUTTABLE_SCHEMES:
            return f"no CutoutGenerator for {uri}"
        unsupported = f"cutout not supported: {uri}"
        holding = self._holdings.find(uri) if can_cut(artifact) else None
        if holding is None:
            return unsupported
        try:
            headers = read_headers(holding.path)
        except NotFitsError:
            return unsupported
        with headers.lock:
            has_world = any(extension.wcs is not None for extension in headers.extensions)
        return headers if has_world else unsupported


def _address(uri: str, headers: FitsHeaders, cut: Cut, base: str) -> str:
    slices = slices_of(headers, cut)
    if not slices:
        return echo_address(base, f"NoContent: {uri} vs{described(cut)}")
    query = "&".join(f"SUB={quote(str(part), safe='')}" for part in slices)
    return f"{base}/raven/files/{quote(uri, safe=IN_PATHS)}?{query}"


def described(cut: Cut) -> str:
    """What was asked, as it stands in the message that nothing is there."""
    parts = []
    if cut.shape is not None:
        parts.append(f"POS={cut.shape}")
    if cut.band is not None:
        parts.append(f"BAND={doubles(cut.band)}")
    if cut.time is not None:
        parts.append(f"TIME={doubles(cut.time)}")
    if cut.states:
        parts.append(f"POL=|{'|'.join(cut.states)}|")
    return "".join(f" {part}" for part in parts)


def echo_address(base: str, message: str) -> str:
    """The address that answers 400 with a message."""
    return base + _ECHO + urlsafe_b64encode(f"400|text/plain|{message}".encode()).decode()


class SodaService:
    """Serves `/caom2ops/sync` and the echo of its messages."""

    def __init__(self, cutter: Cutter, limiter: trio.CapacityLimiter) -> None:
        """Serve what the cutter finds."""
        self._cutter = cutter
        self._limiter = limiter

    def routes(self) -> list[Route]:
        """Return the routes."""
        return [
            Route("/caom2ops/sync", self._sync, methods=["GET", "POST"]),
            Route(_ECHO + "{text:path}", self._echo),
        ]

    async def _sync(self, request: Request) -> Response:
        try:
            asked = SodaRequest.from_parameters(await submission_of(request), sync=True)
        except ParameterError as error:
            return PlainTextResponse(f"{error}\n", 400)
        base, caller = str(request.base_url).rstrip("/"), caller_of(request.scope)
        (address,) = await trio.to_thread.run_sync(
            self._cutter.addresses, asked, caller, base, limiter=self._limiter
        )
        return Response(status_code=303, headers={"Location": address})

    async def _echo(self, request: Request) -> Response:
        try:
            text = urlsafe_b64decode(request.path_params["text"].encode()).decode()
            code, _, rest = text.partition("|")
            _, _, message = rest.partition("|")
            # Whoever makes such an address by hand gets an error, never a page of his own.
            if code == "400":
                return PlainTextResponse(f"{message}\n", 400)
        except (binascii.Error, ValueError):
            pass
        return PlainTextResponse("BUG: invalid message in URL\n", 400)
