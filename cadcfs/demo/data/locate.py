"""`/raven/locate`: every address of a file, by a VOSpace transfer document (VOSpace 2.1, 3.5)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from random import Random
from xml.etree import ElementTree as ET
from xml.sax.saxutils import escape, quoteattr

import trio
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from cadcfs.demo.auth.caller import caller_of
from cadcfs.demo.auth.tokens import Signer
from cadcfs.demo.data.files import SITES, Asked
from cadcfs.demo.data.holdings import Holdings, is_legal

_NAMESPACE = "{http://www.ivoa.net/xml/VOSpace/v2.0}"
_PULL = "pullFromVoSpace"
_PROTOCOLS = ("ivo://ivoa.net/vospace/core#httpsget", "ivo://ivoa.net/vospace/core#httpget")
_ANONYMOUS = ("", "ivo://ivoa.net/sso#anon")
_METHODS = (
    "ivo://ivoa.net/sso#cookie",
    "ivo://ivoa.net/sso#tls-with-certificate",
    "ivo://ivoa.net/sso#token",
)
_MOST_BYTES = 1 << 16


@dataclass(frozen=True, slots=True)
class Protocol:
    """How a file shall be had: over what, and how the caller will log in."""

    uri: str
    method: str = ""
    address: str = ""

    def written(self) -> str:
        """One element of the answer."""
        method = f"    <vos:securityMethod uri={quoteattr(self.method)} />\n" if self.method else ""
        return (
            f"  <vos:protocol uri={quoteattr(self.uri)}>\n"
            f"    <vos:endpoint>{escape(self.address)}</vos:endpoint>\n{method}"
            "  </vos:protocol>\n"
        )


@dataclass(frozen=True, slots=True)
class Transfer:
    """What a document asks for."""

    uri: str
    protocols: tuple[Protocol, ...]

    @classmethod
    def parse(cls, document: bytes) -> Transfer:
        """Read a document; raise ValueError with what is wrong with it."""
        # No transfer has a DTD, and only those can make a small document large.
        if b"<!" in document or len(document) > _MOST_BYTES:
            raise ValueError("invalid transfer document")
        try:
            root = ET.fromstring(document)  # noqa: S314 (no DTD, see above)
        except (ET.ParseError, ValueError) as error:
            raise ValueError(f"invalid transfer document: {error}") from error
        if root.tag != f"{_NAMESPACE}transfer":
            raise ValueError("invalid transfer document: no transfer")
        targets = [target.text or "" for target in root.iter(f"{_NAMESPACE}target")]
        if len(targets) != 1:
            raise ValueError(f"expected 1 target URI, found: {len(targets)}")
        direction = (root.findtext(f"{_NAMESPACE}direction") or "").strip()
        if direction != _PULL:
            raise ValueError(f"unexpected transfer direction: {direction}")
        return cls(targets[0].strip(), tuple(_protocol(found) for found in root))

    def wanted(self) -> Sequence[Protocol]:
        """The protocols that can be served."""
        return [
            found
            for found in self.protocols
            if found.uri in _PROTOCOLS and found.method in (*_ANONYMOUS, *_METHODS)
        ]


def _protocol(element: ET.Element) -> Protocol:
    if element.tag != f"{_NAMESPACE}protocol":
        return Protocol("")
    method = element.find(f"{_NAMESPACE}securityMethod")
    return Protocol(element.get("uri", ""), "" if method is None else method.get("uri", ""))


class LocateService:
    """Serves `/raven/locate`."""

    def __init__(
        self,
        holdings: Holdings,
        signer: Signer,
        limiter: trio.CapacityLimiter,
        *,
        seed: int = 0,
    ) -> None:
        """Locate what the holdings know; the order of sites follows from the seed."""
        self._holdings = holdings
        self._signer = signer
        self._limiter = limiter
        self._random = Random(seed)

    def routes(self) -> list[Route]:
        """Return the route."""
        return [Route("/raven/locate", self._locate, methods=["POST"])]

    async def _locate(self, request: Request) -> Response:
        kind = request.headers.get("content-type", "").partition(";")[0].strip()
        if kind != "text/xml":
            return PlainTextResponse("expecting text/xml input document", 400)
        try:
            transfer = Transfer.parse(await _limited(request))
        except ValueError as error:
            return PlainTextResponse(str(error), 400)
        if not is_legal(transfer.uri):
            return PlainTextResponse(f"illegal artifact URI: {transfer.uri}", 400)
        caller = caller_of(request.scope)

        def look_up() -> tuple[bool, bool]:
            known = self._holdings.find(transfer.uri) is not None
            return known, known and self._holdings.may_read(transfer.uri, caller)

        known, allowed = await trio.to_thread.run_sync(look_up, limiter=self._limiter)
        if known and not allowed:
            return PlainTextResponse("permission denied", 403)
        token = self._signer.grant(transfer.uri, caller.name)
        base = str(request.base_url).rstrip("/")
        found = self._found(transfer, base, token) if known else []
        if not found:
            return PlainTextResponse(f"not found: {transfer.uri}", 404)
        return Response(_document(transfer.uri, found), media_type="text/xml")

    def _found(self, transfer: Transfer, base: str, token: str) -> list[Protocol]:
        """Every address, with that of a token before the plain one of each site."""
        asked = Asked(transfer.uri, None, None)
        found = []
        for site in self._random.sample(SITES, len(SITES)):
            for wanted in transfer.wanted():
                plain = asked.plain_address(base + site)
                if wanted.method in _ANONYMOUS:
                    signed = asked.address(base + site, token)
                    found.append(Protocol(wanted.uri, wanted.method, signed))
                found.append(Protocol(wanted.uri, wanted.method, plain))
        return found


def _document(uri: str, protocols: Sequence[Protocol]) -> str:
    return (
        '<?xml version="1.0" encoding="UTF-8"?>\n'
        '<vos:transfer xmlns:vos="http://www.ivoa.net/xml/VOSpace/v2.0" version="2.1">\n'
        f"  <vos:target>{escape(uri)}</vos:target>\n"
        f"  <vos:direction>{_PULL}</vos:direction>\n"
        f"{''.join(protocol.written() for protocol in protocols)}</vos:transfer>\n"
    )


async def _limited(request: Request) -> bytes:
    body = b""
    async for piece in request.stream():
        body += piece
        if len(body) > _MOST_BYTES:
            raise ValueError("invalid transfer document: too long")
    return body
