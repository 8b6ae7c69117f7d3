"""Artifacts by URI: what is known of their bytes, and where these come from."""

from __future__ import annotations

import logging

from cadcfs.archive.downloads import Text, download
from cadcfs.archive.services import Services
from cadcfs.archive.site_cache import SiteCache
from cadcfs.archive.sites import Locator, Paces
from cadcfs.archive.storage import Head, StoredFile, address
from cadcfs.errors import BadRequest, CadcfsError, Incomplete
from cadcfs.network.carrier import Carrier, Reply

log = logging.getLogger(__name__)

FIRST = 2880
"""Bytes asked for beside META: what does not know it sends no more."""


class Files:
    """The archive's file service; *site_cache* is asked first, and for public files alone."""

    def __init__(
        self, services: Services, carrier: Carrier, site_cache: SiteCache | None = None
    ) -> None:
        self._services = services
        self._carrier = carrier
        self._locator = Locator(services, carrier)
        self._paces = Paces()
        self._site_cache = site_cache

    async def source(
        self, uri: str, size: int, md5: str | None, entry: str | None = None
    ) -> StoredFile:
        """Ranges of one version of the file behind *uri*; *size* in bytes.

        *entry* is its address, where the file service does not hold it.
        """
        locator = None if entry else self._locator
        url = entry or await self.url(uri)
        nearby = None if entry or self._site_cache is None else self._site_cache.file(url, md5)
        return StoredFile(url, uri, size, md5, self._carrier, locator, self._paces, nearby)

    async def url(self, uri: str) -> str:
        """The public address of an artifact: never one that carries a credential."""
        return address(await self._services.files_url(), uri)

    async def head(self, uri: str, entry: str | None = None) -> Head:
        """Size and checksum as the file service tells them, or whoever answers at *entry*."""
        return await StoredFile.head(entry or await self.url(uri), uri, self._carrier)

    async def headers(self, uri: str) -> bytes | None:
        """All FITS headers of a file as text (META=true); None where the service makes none."""
        url = f"{await self.url(uri)}?META=true"
        text = Text(_check_headers)
        try:
            # A service that does not know META answers with the first bytes of the file at most.
            await download(self._carrier, url, text, {"Range": f"bytes=0-{FIRST - 1}"})
        except (BadRequest, _NoHeadersError) as exc:
            log.info("%s: no headers from the file service: %s", uri, exc)
            return None
        content = text.content()
        if not content.rstrip().endswith(b"END"):
            raise Incomplete(f"{uri}: its headers break off after {len(content)} bytes")
        return content


class _NoHeadersError(CadcfsError):
    """The service answered with something else than headers."""


def _check_headers(reply: Reply) -> None:
    kind = reply.headers.get("content-type", "").partition(";")[0]
    if reply.status != 200 or kind != "text/plain":
        raise _NoHeadersError(f"HTTP {reply.status} {kind}")
