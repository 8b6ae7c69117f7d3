"""One artifact as a file."""

from __future__ import annotations

import stat
import time

from cadcfs.archive.records import Artifact
from cadcfs.cache.blocks import Version
from cadcfs.cache.store import name_of
from cadcfs.tree.node import LONG, Attributes, Opened
from cadcfs.tree.reader import Reader


class ArtifactFile:
    """A file of the archive in the version that its metadata names."""

    __slots__ = ("_artifact", "_measured", "_public", "_reader")

    is_control = False

    def __init__(self, reader: Reader, artifact: Artifact) -> None:
        self._reader = reader
        self._artifact = reader.current(artifact)
        self._measured: tuple[int, str | None] | None = None
        self._public: Attributes | None = None

    @property
    def key(self) -> str:
        return f"file {self._artifact.version} {self._reader.standing(self._artifact)}"

    @property
    def is_for_all(self) -> bool:
        """True for the same file whoever has logged in."""
        return self._reader.is_public(self._artifact)

    @property
    def is_outdated(self) -> bool:
        """True once another version is known to have taken its place at the archive."""
        return self._reader.current(self._artifact) is not self._artifact

    def attributes_now(self) -> Attributes | None:
        if self._public is not None:
            return self._public
        size = self._artifact.size
        if size is None and self._measured is not None:
            size = self._measured[0]
        return None if size is None else self._attributes(size)

    async def attributes(self) -> Attributes:
        if self._artifact.size is None and self._measured is None:
            self._measured = await self._reader.measure(self._artifact)
        known = self.attributes_now()
        assert known is not None
        return known

    async def open(self) -> Opened:
        return await self._reader.open(self._artifact, await self._version())

    async def description(self) -> dict[str, str]:
        """All that is known of it; "" for what the archive does not tell."""
        artifact, now = self._artifact, self.attributes_now()
        version = None if now is None else await self._version()
        cached = 0 if version is None else await self._reader.here(artifact, version)
        return {
            "uri": artifact.uri,
            "publisher_id": artifact.publisher_id,
            "observation": artifact.observation_id,
            "product": artifact.product_id,
            "target_name": artifact.target_name or "",
            "intent": artifact.intent or "",
            "product_type": artifact.product_type,
            "content_type": artifact.content_type or "",
            "size": "" if now is None else str(now.size),
            "checksum": f"md5:{artifact.md5}" if artifact.md5 else "",
            "last_modified": artifact.modified.isoformat() if artifact.modified else "",
            "release": artifact.release.isoformat() if artifact.release else "",
            "public": "yes" if self._reader.is_public(artifact) else "no",
            "junk": "yes" if artifact.junk else "no",
            "cached": str(cached),
            "cache_file": "" if version is None else name_of(version),
            "url": await self._reader.url(artifact),
        }

    async def _version(self) -> Version:
        size = (await self.attributes()).size
        md5 = self._artifact.md5 or (self._measured[1] if self._measured else None)
        return Version(f"{self._artifact.version} {md5 or size}", size, md5)

    def _attributes(self, size: int) -> Attributes:
        artifact = self._artifact
        public = self._reader.is_public(artifact)
        valid = LONG
        if not public and artifact.release is not None:
            valid = min(LONG, max(0.0, artifact.release.timestamp() - time.time()))
        modified = artifact.modified
        mtime_ns = int(modified.timestamp() * 1000) * 1_000_000 if modified else 0
        found = Attributes(stat.S_IFREG | self._reader.mode(artifact), size, mtime_ns, valid)
        if public:
            # What is public stays so: said again for each entry of each listing.
            self._public = found
        return found
