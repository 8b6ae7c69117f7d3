"""`region/` and `name/`: any question may be asked there, and what was asked lately is listed."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from functools import partial

from cadcfs.archive import queries
from cadcfs.archive.constraints import Question
from cadcfs.archive.records import Collection
from cadcfs.errors import NotFound
from cadcfs.tree import footprints
from cadcfs.tree.catalogue import Catalogue
from cadcfs.tree.hints import README, hint
from cadcfs.tree.junk_names import is_junk
from cadcfs.tree.made import MadeFiles
from cadcfs.tree.names import directory_name, typed_value
from cadcfs.tree.node import Child, Entries, File, Node
from cadcfs.tree.positions import NamedRegion, canonical, parse_region
from cadcfs.tree.result import Asked, ResultDirectory
from cadcfs.tree.selection import Selection
from cadcfs.tree.spellings import OtherSpelling, Spellings
from cadcfs.tree.unlisted import UnlistedFile


class EndlessDirectory(ABC):
    """A directory in which any question may be asked; a subclass knows what a name asks."""

    kind = ""
    """Of the hint that is listed beside what was asked lately."""

    def __init__(self, catalogue: Catalogue, question: Question, key: str) -> None:
        self.key = key
        self._catalogue = catalogue
        self._question = question
        self._recent = catalogue.recent(key)

    async def confirm(self) -> None:
        return

    async def entries(self) -> Entries:
        children: dict[str, Node] = {README: hint(self.kind)}
        for name in await self._recent.names():
            if (child := await self.asked(name)) is not None:
                children[name] = child.node
        return Entries.of(children)

    async def child(self, name: str) -> Child | None:
        if name == README:
            return Child(hint(self.kind))
        return None if is_junk(name) else await self.asked(name)

    @abstractmethod
    async def asked(self, name: str) -> Child | None:
        """What *name* asks; raises `BadRequest` for what is malformed."""

    def _answer(
        self, name: str, question: Question, *, may_be_empty: bool = False
    ) -> CollectionsOf | ResultDirectory:
        """The directory of a question: of all collections, or the result of one."""
        key, asked = f"{self.key}/{name}", partial(self._recent.note, name)
        if question.collection is None:
            return CollectionsOf(self._catalogue, question, key, asked, may_be_empty=may_be_empty)
        selection = Selection(self._catalogue, question)
        return ResultDirectory(selection, key, asked=asked, may_be_empty=may_be_empty)


class RegionsDirectory(EndlessDirectory):
    """Circles on the sky, of all collections or of one."""

    kind = "region"

    async def asked(self, name: str) -> Child | None:
        found = parse_region(name)
        if found is None:
            return None
        key = f"{self.key}/{name}"
        if isinstance(found, NamedRegion):
            return Child(ResolvedLink(key, self._catalogue, found), certain=False)
        if found != name:
            return Child(OtherSpelling(key, found))
        # A circle without data is a good question with an empty answer.
        question = self._question.narrowed("region", name)
        return Child(self._answer(name, question, may_be_empty=True))


class NamesDirectory(EndlessDirectory):
    """Parts of target names, of all collections or of one."""

    kind = "name"

    async def asked(self, name: str) -> Child | None:
        value = typed_value(name)
        if value is None:
            return None
        if (listed := directory_name(value, self._catalogue.names)) != name:
            return Child(OtherSpelling(f"{self.key}/{name}", listed))
        node = self._answer(name, self._question.narrowed("name", value))
        return Child(node, certain=await node.is_known())


class CollectionsOf:
    """The collections that answer one question, one directory each."""

    def __init__(
        self, catalogue: Catalogue, question: Question, key: str,
        asked: Asked | None = None, *, may_be_empty: bool = False,
    ) -> None:  # fmt: skip
        self.key = key
        self.question = question
        self._catalogue = catalogue
        self._asked = asked
        self._may_be_empty = may_be_empty

    @property
    def adql(self) -> tuple[str, ...]:
        return (queries.counts(self.question),)

    async def confirm(self) -> None:
        if not self._may_be_empty:
            await self._found()

    async def is_known(self) -> bool:
        """True where it is known to be there; never asks the network."""
        return self._may_be_empty or bool(await self._catalogue.counts(self.question).known())

    async def entries(self) -> Entries:
        found = await self._found()
        if found and self._asked is not None:
            await self._asked()
        children: dict[str, Node] = {self._name(c.name): self._below(c.name) for c in found}
        if found and self._is_region:
            children |= dict(await self._footprints().entries())
        return Entries.of(children)

    async def child(self, name: str) -> Child | None:
        known = await self._catalogue.counts(self.question).known()
        if self._is_region and name in footprints.NAMES:
            return await self._footprint(name, known)
        if known is not None:
            spellings = Spellings([c.name for c in known], self._catalogue.names)
            if name in spellings.values:
                return Child(self._below(spellings.values[name]))
            target = spellings.resolve(name)
            return None if target is None else Child(OtherSpelling(f"{self.key}/{name}", target))
        value = None if is_junk(name) else typed_value(name)
        if value is None:
            return None
        node = self._below(value)
        return Child(node, certain=await node.is_known())

    async def _found(self) -> Sequence[Collection]:
        found = await self._catalogue.counts(self.question).get()
        if not found and not self._may_be_empty:
            raise NotFound(f"{self.key}: the archive has nothing there")
        return found

    @property
    def _is_region(self) -> bool:
        return self.question.value_of("region") is not None

    def _footprints(self) -> MadeFiles:
        heard_ns = self._catalogue.counts(self.question).heard_ns
        return footprints.footprints(self._catalogue, self.question, heard_ns)

    async def _footprint(self, name: str, known: Sequence[Collection] | None) -> Child | None:
        if known is None:
            find = lambda: self._find(name)  # noqa: E731
            return Child(UnlistedFile(f"{self.key}/{name}", find), certain=False)
        return Child(await self._find(name)) if known else None

    async def _find(self, name: str) -> File:
        if not await self._found():
            raise NotFound(f"{self.key}: the archive has nothing there")
        return await self._footprints().find(name)

    def _name(self, collection: str) -> str:
        return directory_name(collection, self._catalogue.names)

    def _below(self, collection: str) -> ResultDirectory:
        key = f"{self.key}/{self._name(collection)}"
        return ResultDirectory(Selection(self._catalogue, self.question.within(collection)), key)


class ResolvedLink:
    """A symbolic link from an object's name to the region round its position."""

    def __init__(self, key: str, catalogue: Catalogue, region: NamedRegion) -> None:
        self.key = key
        self._catalogue = catalogue
        self._region = region
        self.target: str | None = None

    async def find(self) -> str:
        """The canonical region; `NotFound` where the resolver knows no such object."""
        ra, dec = await self._catalogue.position(self._region.target)
        self.target = canonical(ra, dec, self._region.radius)
        return self.target
