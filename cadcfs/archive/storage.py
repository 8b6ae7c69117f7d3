"""The bytes of one artifact: raven tells a storage site, the site sends ranges.

Facts: raven answers a GET with 303 and does not look at Range; there is no ETag, so the version
is told by Digest (MD5) and length (storage-inventory's files API).
"""

from __future__ import annotations

import base64
import binascii
import logging
from collections.abc import Callable
from dataclasses import dataclass
from urllib.parse import quote, urljoin

from cadcfs.errors import CadcfsError, Forbidden, NotFound, RemoteChanged, TimedOut, Unavailable
from cadcfs.network.carrier import ATTEMPTS, Carrier, Reply, Wanted, pause

log = logging.getLogger(__name__)

SAFE = "/:+=,()@!~*'"
"""Characters of artifact URIs that stand for themselves in a path (RFC 3986, 3.3)."""
HOPS = 5
"""Redirects from the locator to the bytes."""


@dataclass(frozen=True)
class Head:
    """What the file service says of a file: bytes, MD5 in hexadecimal, RFC 1123 time."""

    size: int
    md5: str | None
    modified: str | None


def address(files_url: str, uri: str) -> str:
    """Where the file service gives the bytes of an artifact."""
    return f"{files_url}/{quote(uri, safe=SAFE)}"


class StoredFile:
    """Ranges of one version of one artifact; *entry* is the URL that leads to its bytes."""

    def __init__(self, entry: str, uri: str, size: int, md5: str | None, carrier: Carrier) -> None:
        self._entry = entry
        self._uri = uri
        self._size = size
        self._md5 = md5
        self._carrier = carrier
        self._site: str | None = None

    @staticmethod
    async def head(entry: str, uri: str, carrier: Carrier) -> Head:
        """Size and checksum of a file that metadata do not describe."""
        reply = await carrier.head(entry)
        length = reply.headers.get("content-length", "")
        if not length.isdigit():
            raise Unavailable(f"{uri}: the file service does not tell its size")
        modified = reply.headers.get("last-modified")
        return Head(int(length), parse_digest(reply.headers.get("digest", "")), modified)

    async def fetch(self, start: int, stop: int, sink: Callable[[int, bytes], None]) -> None:
        """Hand the bytes [start, stop) to *sink*; what broke off goes on where it was."""
        got = start

        def take(offset: int, data: bytes) -> None:
            nonlocal got
            sink(offset, data)
            got = offset + len(data)

        failures = 0
        while True:
            before = got
            try:
                await self._once(Wanted(got, stop, self._size, take, self._check))
            except TimedOut:
                raise
            except (Unavailable, _SiteRefusedError) as exc:
                self._site = None
                failures = 1 if got > before else failures + 1
                if failures == ATTEMPTS:
                    raise exc.reason if isinstance(exc, _SiteRefusedError) else exc from exc
                log.info("%s; asking again", exc)
                await pause(failures)
                continue
            return

    async def _once(self, wanted: Wanted) -> None:
        url = known = self._site or self._entry
        for _ in range(HOPS):
            try:
                reply = await self._carrier.get(url, wanted)
            except (Forbidden, NotFound) as exc:
                # A site that we remember may have lost the file or our leave; ask where it is now.
                if known != self._entry:
                    raise _SiteRefusedError(exc) from exc
                raise
            if reply.location is None:
                self._site = url
                return
            url = urljoin(url, reply.location)
        raise Unavailable(f"{self._uri}: more than {HOPS} redirects")

    def _check(self, reply: Reply) -> None:
        told = parse_digest(reply.headers.get("digest", ""))
        if told and self._md5 and told != self._md5:
            raise RemoteChanged(f"{self._uri} was replaced at the archive (MD5 {told})")


class _SiteRefusedError(CadcfsError):
    """A remembered site refused; the locator may know another."""

    def __init__(self, reason: CadcfsError) -> None:
        super().__init__(str(reason))
        self.reason = reason


def parse_digest(header: str) -> str | None:
    """The MD5 of a Digest header (RFC 3230), in hexadecimal; None for what is none.

    Older servers encode the hexadecimal text instead of the 16 bytes.
    """
    name, _, value = header.partition("=")
    if name.strip().lower() != "md5":
        return None
    try:
        raw = base64.b64decode(value.strip(), validate=True)
    except binascii.Error:
        return None
    if len(raw) == 16:
        return raw.hex()
    text = raw.decode("ascii", "ignore").lower()
    return text if len(text) == 32 and set(text) <= set("0123456789abcdef") else None
