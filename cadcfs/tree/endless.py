"""`region/` and `name/`: any question may be asked there, and what was asked lately is listed."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import TypeAlias

from cadcfs.archive import queries
from cadcfs.archive.constraints import Question
from cadcfs.archive.records import Collection
from cadcfs.errors import NotFound
from cadcfs.tree.catalogue import Catalogue
from cadcfs.tree.hints import README, hint
from cadcfs.tree.junk_names import is_junk
from cadcfs.tree.names import directory_name, typed_value
from cadcfs.tree.node import Child, Entries, Node
from cadcfs.tree.positions import NamedRegion, canonical, parse_region
from cadcfs.tree.recent import Recent
from cadcfs.tree.result import Asked, ResultDirectory
from cadcfs.tree.selection import Selection
from cadcfs.tree.spellings import OtherSpelling, Spellings


class RegionsDirectory:
    """Circles on the sky, of all collections or of one."""

    def __init__(self, catalogue: Catalogue, question: Question, key: str) -> None:
        self.key = key
        self._catalogue = catalogue
        self._question = question
        self._recent = catalogue.recent(key)

    async def confirm(self) -> None:
        return

    async def entries(self) -> Entries:
        lately = {name: self._below(name) for name in await self._recent.names()}
        return Entries.of({README: hint("region"), **lately})

    async def child(self, name: str) -> Child | None:
        if name == README:
            return Child(hint("region"))
        found = None if is_junk(name) else parse_region(name)
        if found is None:
            return None
        key = f"{self.key}/{name}"
        if isinstance(found, NamedRegion):
            return Child(ResolvedLink(key, self._catalogue, found), certain=False)
        return Child(self._below(name) if found == name else OtherSpelling(key, found))

    def _below(self, name: str) -> Node:
        question = self._question.narrowed("region", name)
        # A circle without data is a good question with an empty answer.
        return _answer(self._catalogue, question, f"{self.key}/{name}", self._recent, empty=True)


class NamesDirectory:
    """Parts of target names, of all collections or of one."""

    def __init__(self, catalogue: Catalogue, question: Question, key: str) -> None:
        self.key = key
        self._catalogue = catalogue
        self._question = question
        self._recent = catalogue.recent(key)

    async def confirm(self) -> None:
        return

    async def entries(self) -> Entries:
        lately: dict[str, Node] = {}
        for name in await self._recent.names():
            if (child := await self.child(name)) is not None:
                lately[name] = child.node
        return Entries.of({README: hint("name"), **lately})

    async def child(self, name: str) -> Child | None:
        if name == README:
            return Child(hint("name"))
        value = None if is_junk(name) else typed_value(name)
        if value is None:
            return None
        key = f"{self.key}/{name}"
        if (listed := directory_name(value, self._catalogue.names)) != name:
            return Child(OtherSpelling(key, listed))
        question = self._question.narrowed("name", value)
        node = _answer(self._catalogue, question, key, self._recent)
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
        return self._may_be_empty or bool(await self._catalogue.known_counts(self.question))

    async def entries(self) -> Entries:
        found = await self._found()
        if found and self._asked is not None:
            await self._asked()
        return Entries.of({self._name(c.name): self._below(c.name) for c in found})

    async def child(self, name: str) -> Child | None:
        known = await self._catalogue.known_counts(self.question)
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
        found = await self._catalogue.counts(self.question)
        if not found and not self._may_be_empty:
            raise NotFound(f"{self.key}: the archive has nothing there")
        return found

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


Answer: TypeAlias = CollectionsOf | ResultDirectory


def _answer(
    catalogue: Catalogue, question: Question, key: str, recent: Recent, *, empty: bool = False
) -> Answer:
    """The directory of a question: of all collections, or the result of one."""
    asked = partial(recent.note, key.rpartition("/")[2])
    if question.collection is None:
        return CollectionsOf(catalogue, question, key, asked, may_be_empty=empty)
    return ResultDirectory(Selection(catalogue, question), key, asked=asked, may_be_empty=empty)
