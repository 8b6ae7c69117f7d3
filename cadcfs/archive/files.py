"""Artifacts by URI: what is known of their bytes, and where these come from."""

from __future__ import annotations

import logging
from urllib.parse import quote

from cadcfs.archive.downloads import Text, download
from cadcfs.archive.services import Services
from cadcfs.archive.storage import SAFE, Head, StoredFile
from cadcfs.errors import BadRequest, CadcfsError, Incomplete
from cadcfs.network.carrier import Carrier, Reply

log = logging.getLogger(__name__)

FIRST = 2880
"""Bytes asked for beside META: what does not know it sends no more."""


class Files:
    """The archive's file service."""

    def __init__(self, services: Services, carrier: Carrier) -> None:
        self._services = services
        self._carrier = carrier

    async def source(self, uri: str, size: int, md5: str | None) -> StoredFile:
        """Ranges of one version of the file behind *uri*; *size* in bytes."""
        return StoredFile(await self._services.files_url(), uri, size, md5, self._carrier)

    async def url(self, uri: str) -> str:
        """The public address of an artifact: never one that carries a credential."""
        return f"{await self._services.files_url()}/{quote(uri, safe=SAFE)}"

    async def head(self, uri: str) -> Head:
        """Size and checksum as the file service tells them."""
        return await StoredFile.head(await self._services.files_url(), uri, self._carrier)

    async def headers(self, uri: str) -> bytes | None:
        """All FITS headers of a file as text (META=true); None where the service makes none."""
        url = f"{await self._services.files_url()}/{quote(uri, safe=SAFE)}?META=true"
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
