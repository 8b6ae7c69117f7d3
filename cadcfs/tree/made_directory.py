"""Directories whose files are made out of the artifacts of a result: headers, unpacked images."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

from cadcfs.archive.records import Artifact
from cadcfs.cache.whole import Wholes
from cadcfs.errors import NotFound
from cadcfs.tree.junk_names import is_junk
from cadcfs.tree.made import MadeFile, MadeFiles, Recipe
from cadcfs.tree.node import Child, Entries
from cadcfs.tree.unlisted import UnlistedFile

Named = Mapping[str, Artifact]


class NamedArtifacts(Protocol):
    """The artifacts of a result by file name."""

    @property
    def adql(self) -> Sequence[str]:
        """The queries that tell them."""

    async def named(self) -> Named:
        """All of them; may ask the archive."""

    async def known_named(self) -> Named | None:
        """The same from what is known; never asks the network."""


class MadeDirectory:
    """One made file for each artifact that *cook* has a recipe for."""

    def __init__(
        self, wholes: Wholes, source: NamedArtifacts, cook: Callable[[Named], Mapping[str, Recipe]],
        key: str,
    ) -> None:  # fmt: skip
        self.key = key
        self._wholes = wholes
        self._source = source
        self._cook = cook
        self._cooked: tuple[Named, MadeFiles] | None = None

    @property
    def adql(self) -> Sequence[str]:
        return self._source.adql

    async def confirm(self) -> None:
        if not self._files(await self._source.named()).recipes:
            raise NotFound(f"{self.key}: there is nothing of this kind here")

    async def entries(self) -> Entries:
        await self.confirm()
        return await self._files(await self._source.named()).entries()

    async def child(self, name: str) -> Child | None:
        known = await self._source.known_named()
        if known is not None:
            try:
                return Child(await self._files(known).find(name))
            except NotFound:
                return None
        if is_junk(name):
            return None
        return Child(UnlistedFile(f"{self.key}/{name}", lambda: self._find(name)), certain=False)

    async def _find(self, name: str) -> MadeFile:
        return await self._files(await self._source.named()).find(name)

    def _files(self, named: Named) -> MadeFiles:
        """The recipes for *named*; thought up once for each answer."""
        if self._cooked is None or self._cooked[0] is not named:
            self._cooked = (named, MadeFiles(self._wholes, self._cook(named)))
        return self._cooked[1]
