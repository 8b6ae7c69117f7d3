"""The bytes of one artifact: raven tells a storage site, the site sends ranges.

Facts: raven answers a GET with 303 and does not look at Range; there is no ETag, so the version
is told by Digest (MD5) and length (storage-inventory's files API).
"""

from __future__ import annotations

import base64
import binascii
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from urllib.parse import quote

import trio

from cadcfs.archive.site_cache import SiteFile
from cadcfs.archive.sites import Locator, Paces, Progress, host_of
from cadcfs.errors import (
    CadcfsError,
    Forbidden,
    NotFound,
    Offline,
    RemoteChanged,
    TimedOut,
    Unavailable,
)
from cadcfs.network.carrier import ATTEMPTS, Carrier, Reply, Wanted
from cadcfs.network.redirects import HOPS, next_place

log = logging.getLogger(__name__)

SAFE = "/:+=,()@!~*'"
"""Characters of artifact URIs that stand for themselves in a path (RFC 3986, 3.3)."""


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

    def __init__(
        self, entry: str, uri: str, size: int, md5: str | None, carrier: Carrier,
        locator: Locator | None = None, paces: Paces | None = None, nearby: SiteFile | None = None,
    ) -> None:  # fmt: skip
        self._nearby = nearby
        self._entry = entry
        self._uri = uri
        self._size = size
        self._md5 = md5
        self._carrier = carrier
        self._locator = locator
        self._paces = paces or Paces()
        self._site: str | None = None
        self._sites: tuple[str, ...] | None = None

    @property
    def asks_nearby(self) -> bool:
        """True where the site's cache is asked before the archive."""
        return self._nearby is not None

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
        """Hand the bytes [start, stop) to *sink*; what broke off goes on where it was.

        A range that comes much slower than its host usually sends is asked again at another site,
        and whoever is ahead delivers.
        """
        progress, race = Progress(start, sink), _Race()
        async with trio.open_nursery() as nursery:
            race.over = nursery.cancel_scope
            nursery.start_soon(self._first, progress, stop, race)
            nursery.start_soon(self._second, progress, stop, race)
        if progress.got < stop:
            raise race.error or Unavailable(f"{self._uri}: broke off at byte {progress.got}")

    async def _first(self, progress: Progress, stop: int, race: _Race) -> None:
        """Ask the site's cache, if any; then where the locator sends us, again and again."""
        try:
            if self._nearby is not None:
                await self._nearby.fetch(progress.got, stop, self._size, progress.take, self._check)
            await self._patiently(progress, stop)
        except CadcfsError as exc:
            race.error = exc
            if race.second_runs:
                return
        race.over.cancel()

    async def _second(self, progress: Progress, stop: int, race: _Race) -> None:
        """Once the first is slow, ask another site for what is lacking."""
        url = await self._other_site(await self._until_slow(progress, stop))
        if url is None:
            return
        race.second_runs = True
        log.info("%s: slow after byte %d; asking %s, too", self._uri, progress.got, host_of(url))
        try:
            await self._once(url, progress, stop)
        except CadcfsError as exc:
            log.info("%s: not from another site, either: %s", self._uri, exc)
            race.second_runs = False
            if race.error is None:
                return
        race.over.cancel()

    async def _until_slow(self, progress: Progress, stop: int) -> str:
        """Return when bytes come much slower than usual; the host that is slow."""
        while True:
            before, host = progress.got, host_of(self._site or self._entry)
            seconds, expected = self._paces.patience(host, stop - before)
            await trio.sleep(seconds)
            if progress.got - before < expected:
                return host

    async def _other_site(self, slow: str) -> str | None:
        if self._sites is None and self._locator is not None:
            self._sites = await self._locator.sites(self._uri)
        return next((url for url in self._sites or () if host_of(url) != slow), None)

    async def _patiently(self, progress: Progress, stop: int) -> None:
        failures, is_told = 0, False
        while progress.got < stop:
            before = progress.got
            try:
                await self._once(self._site or self._entry, progress, stop)
            except TimedOut:
                raise
            except RemoteChanged as exc:
                # An answer that a broken line repeated is another file's; the next connection is
                # a new one.
                if is_told:
                    raise
                self._site, is_told = None, True
                log.info("%s; asking again before that is believed", exc)
            except Offline as exc:
                # A listing could still be shown from memory; bytes are here or they are not.
                raise Unavailable(str(exc)) from exc
            except (Unavailable, _SiteRefusedError) as exc:
                self._site = None
                failures = 1 if progress.got > before else failures + 1
                if failures == ATTEMPTS:
                    raise exc.reason if isinstance(exc, _SiteRefusedError) else exc from exc
                log.info("%s; asking again", exc)
                await self._carrier.pause(failures)

    async def _once(self, begin: str, progress: Progress, stop: int) -> None:
        """One request for what is lacking, redirects followed; keeps the site that had it."""
        start, asked, first = progress.got, trio.current_time(), 0.0
        if start >= stop:
            return

        def take(offset: int, data: bytes) -> None:
            nonlocal first
            first = first or time.monotonic()
            progress.take(offset, data)

        url, began = begin, time.monotonic()
        for _ in range(HOPS):
            try:
                reply = await self._carrier.get(
                    url, Wanted(start, stop, self._size, take, self._check)
                )
            except (Forbidden, NotFound) as exc:
                # A site that we remember may have lost the file or our leave; ask where it is now.
                if begin != self._entry:
                    raise _SiteRefusedError(exc) from exc
                raise
            if reply.location is None:
                self._site = url
                for host in {host_of(begin), host_of(url)}:
                    seconds = trio.current_time() - asked
                    self._paces.note(host, max(0.0, first - began), stop - start, seconds)
                return
            url = next_place(url, reply.location)
        raise Unavailable(f"{self._uri}: more than {HOPS} redirects")

    def _check(self, reply: Reply) -> None:
        told = parse_digest(reply.headers.get("digest", ""))
        if told and self._md5 and told != self._md5:
            raise RemoteChanged(f"{self._uri} was replaced at the archive (MD5 {told})")


class _Race:
    """Two requests for the same bytes."""

    def __init__(self) -> None:
        self.error: CadcfsError | None = None
        self.second_runs = False
        self.over = trio.CancelScope()


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
