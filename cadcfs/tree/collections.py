"""`collections/`: one directory per collection."""

from __future__ import annotations

from cadcfs.archive import queries
from cadcfs.archive.constraints import Question
from cadcfs.errors import NotFound
from cadcfs.tree.catalogue import Catalogue
from cadcfs.tree.descriptions import ABOUT, INDEX, about, index
from cadcfs.tree.facets import NarrowedDirectory
from cadcfs.tree.junk_names import is_junk
from cadcfs.tree.made import MadeFiles
from cadcfs.tree.names import archive_value, directory_name
from cadcfs.tree.node import Child, Directory, Entries
from cadcfs.tree.spellings import OtherSpelling, Spellings


class CollectionsDirectory:
    """All collections of the archive."""

    key = "/collections"

    def __init__(self, catalogue: Catalogue) -> None:
        self._catalogue = catalogue

    @property
    def adql(self) -> tuple[str, ...]:
        return (queries.collections(),)

    async def confirm(self) -> None:
        return

    async def entries(self) -> Entries:
        listed = await self._catalogue.collections().get()
        children = {self._name(c.name): self._directory(c.name) for c in listed}
        return Entries.of({**children, **dict(await self._texts().entries())})

    async def child(self, name: str) -> Child | None:
        if name == INDEX:
            return Child(await self._texts().find(name))
        known = await self._catalogue.collections().known()
        if known is not None:
            spellings = Spellings([c.name for c in known], self._catalogue.names)
            if name in spellings.values:
                return Child(self._directory(spellings.values[name]))
            target = spellings.resolve(name)
            return None if target is None else Child(OtherSpelling(f"{self.key}/{name}", target))
        try:
            value = None if is_junk(name) else archive_value(name)
        except ValueError:
            return None
        return None if value is None else Child(self._directory(value), certain=False)

    def _texts(self) -> MadeFiles:
        return MadeFiles(self._catalogue.workshop.wholes, {INDEX: index(self._catalogue)})

    def _name(self, value: str) -> str:
        return directory_name(value, self._catalogue.names)

    def _directory(self, value: str) -> Directory:
        return CollectionDirectory(self._catalogue, value, f"{self.key}/{self._name(value)}")


class CollectionDirectory(NarrowedDirectory):
    """One collection; its children are the ways into it."""

    def __init__(self, catalogue: Catalogue, collection: str, key: str) -> None:
        super().__init__(catalogue, Question(collection), key)
        self._about = MadeFiles(catalogue.workshop.wholes, {ABOUT: about(catalogue, collection)})

    async def confirm(self) -> None:
        if all(
            c.name != self._question.collection for c in await self._catalogue.collections().get()
        ):
            raise NotFound(f"{self.key}: the archive has no collection of this name")

    async def entries(self) -> Entries:
        ways = dict(await super().entries())
        return Entries.of({**ways, **dict(await self._about.entries())})

    async def child(self, name: str) -> Child | None:
        if name == ABOUT:
            return Child(await self._about.find(name))
        return await super().child(name)
