"""One artifact as a file."""

from __future__ import annotations

import stat
import time
from collections.abc import Awaitable, Callable

from cadcfs.archive.records import Artifact
from cadcfs.cache.blocks import Version
from cadcfs.tree.catalogue import Catalogue
from cadcfs.tree.node import LONG, Attributes, File, Opened


class ArtifactFile:
    """A file of the archive in the version that its metadata names."""

    __slots__ = ("_artifact", "_catalogue", "_measured")

    is_control = False

    def __init__(self, catalogue: Catalogue, artifact: Artifact) -> None:
        self._catalogue = catalogue
        self._artifact = artifact
        self._measured: tuple[int, str | None] | None = None

    @property
    def key(self) -> str:
        public = self._catalogue.is_public(self._artifact)
        return f"file {self._artifact.version} {'public' if public else 'closed'}"

    def attributes_now(self) -> Attributes | None:
        size = self._artifact.size
        if size is None and self._measured is not None:
            size = self._measured[0]
        return None if size is None else self._attributes(size)

    async def attributes(self) -> Attributes:
        if self._artifact.size is None and self._measured is None:
            self._measured = await self._catalogue.measure(self._artifact)
        known = self.attributes_now()
        assert known is not None
        return known

    async def open(self) -> Opened:
        size = (await self.attributes()).size
        md5 = self._artifact.md5 or (self._measured[1] if self._measured else None)
        version = Version(f"{self._artifact.version} {md5 or size}", size, md5)
        return await self._catalogue.open(self._artifact, version)

    def _attributes(self, size: int) -> Attributes:
        artifact = self._artifact
        public = self._catalogue.is_public(artifact)
        valid = LONG
        if not public and artifact.release is not None:
            valid = min(LONG, max(0.0, artifact.release.timestamp() - time.time()))
        modified = artifact.modified
        mtime_ns = int(modified.timestamp() * 1000) * 1_000_000 if modified else 0
        return Attributes(stat.S_IFREG | (0o444 if public else 0), size, mtime_ns, valid)


class UnlistedFile:
    """A name in a directory that is not known any more: found out when it is looked at."""

    is_control = False

    def __init__(self, key: str, find: Callable[[], Awaitable[File]]) -> None:
        self.key = key
        self.find = find

    def attributes_now(self) -> Attributes | None:
        return None

    async def attributes(self) -> Attributes:
        found = await (await self.find()).attributes()
        return Attributes(found.mode, found.size, found.mtime_ns, valid=0)

    async def open(self) -> Opened:
        return await (await self.find()).open()
