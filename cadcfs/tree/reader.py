"""Open artifacts: who may read them, how large they are, and where their bytes come from."""

from __future__ import annotations

from datetime import UTC, datetime

from cadcfs.archive.addresses import Addresses
from cadcfs.archive.files import Files
from cadcfs.archive.records import Artifact
from cadcfs.cache.blocks import Version
from cadcfs.cache.stream import Streams
from cadcfs.errors import CadcfsError, Forbidden, NotFound
from cadcfs.tree.node import Opened


class Reader:
    """Reads artifacts through the cache."""

    def __init__(self, streams: Streams, files: Files, addresses: Addresses) -> None:
        self._streams = streams
        self._files = files
        self._addresses = addresses

    def is_public(self, artifact: Artifact) -> bool:
        return artifact.is_public(datetime.now(UTC))

    def closed(self, artifact: Artifact) -> str | None:
        """Why *artifact* may not be read, and what to do; None if it may."""
        if self.is_public(artifact):
            return None
        date = artifact.release
        when = f"public from {date:%Y-%m-%d}" if date else "no date set"
        return f"{artifact.uri} is proprietary, {when}; data of your own needs a login"

    async def measure(self, artifact: Artifact) -> tuple[int, str | None]:
        """Size in bytes and MD5 of a file whose metadata does not tell them."""
        head = await self._files.head(artifact.uri, await self._elsewhere(artifact))
        return head.size, head.md5

    async def url(self, artifact: Artifact) -> str:
        """The public address; "" where the archive cannot be asked for it."""
        try:
            return await self._elsewhere(artifact) or await self._files.url(artifact.uri)
        except CadcfsError:
            return ""

    async def _elsewhere(self, artifact: Artifact) -> str | None:
        """The address of a file that the file service does not hold; None for all others."""
        if not artifact.is_elsewhere:
            return None
        found = await self._addresses.of([artifact])
        if not found:
            raise NotFound(f"the archive tells no address of {artifact.uri}")
        return found[0]

    async def here(self, version: Version) -> int:
        """Bytes of *version* that are in the cache."""
        return await self._streams.here(version)

    async def open(self, artifact: Artifact, version: Version) -> Opened:
        """An open file; `Forbidden` where it is not public."""
        if (reason := self.closed(artifact)) is not None:
            raise Forbidden(reason)
        entry = await self._elsewhere(artifact)
        source = await self._files.source(artifact.uri, version.size, version.md5, entry)
        return await self._streams.open(version, source)
