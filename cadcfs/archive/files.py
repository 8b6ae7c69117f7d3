"""Artifacts by URI: what is known of their bytes, and where these come from."""

from __future__ import annotations

from cadcfs.archive.services import Services
from cadcfs.archive.storage import Head, StoredFile
from cadcfs.network.carrier import Carrier


class Files:
    """The archive's file service."""

    def __init__(self, services: Services, carrier: Carrier) -> None:
        self._services = services
        self._carrier = carrier

    async def source(self, uri: str, size: int, md5: str | None) -> StoredFile:
        """Ranges of one version of the file behind *uri*; *size* in bytes."""
        return StoredFile(await self._services.files_url(), uri, size, md5, self._carrier)

    async def head(self, uri: str) -> Head:
        """Size and checksum as the file service tells them."""
        return await StoredFile.head(await self._services.files_url(), uri, self._carrier)
