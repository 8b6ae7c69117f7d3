"""`collections/`: one directory per collection, and below it one per facet."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

import trio

from cadcfs.archive.queries import FACETS, Constraint, Question
from cadcfs.errors import NotFound
from cadcfs.tree.catalogue import Catalogue
from cadcfs.tree.junk_names import is_junk
from cadcfs.tree.names import archive_value, directory_name, folded
from cadcfs.tree.node import Child, Directory, Entries, Node
from cadcfs.tree.plain import FixedDirectory
from cadcfs.tree.result import ResultDirectory

LISTED_OBSERVATIONS = 250_000
"""A collection with more planes does not list its observations: any of them still opens."""


class OtherSpelling:
    """A symbolic link from a spelling to the listed name."""

    __slots__ = ("key", "target")

    def __init__(self, key: str, target: str) -> None:
        self.key = key
        self.target = target


class Spellings:
    """Listed names and their values, and which other spellings lead to exactly one of them."""

    def __init__(self, values: Sequence[str], catalogue: Catalogue) -> None:
        self.source = values
        self.style = catalogue.names
        self.values = {directory_name(value, self.style): value for value in values}
        self._folded: defaultdict[str, list[str]] = defaultdict(list)
        for name, value in self.values.items():
            self._folded[folded(value)].append(name)

    def resolve(self, name: str) -> str | None:
        """The one listed name that *name* is another spelling of."""
        if (own := directory_name(name, self.style)) in self.values:
            return own
        try:
            value = archive_value(name)
        except ValueError:
            return None
        found = self._folded.get(folded(value or ""), [])
        return found[0] if len(found) == 1 else None


class CollectionsDirectory:
    """All collections of the archive."""

    key = "/collections"

    def __init__(self, catalogue: Catalogue) -> None:
        self._catalogue = catalogue

    async def confirm(self) -> None:
        return

    async def entries(self) -> Entries:
        listed = await self._catalogue.collections()
        return Entries.of({self._name(c.name): self._directory(c.name) for c in listed})

    async def child(self, name: str) -> Child | None:
        known = await self._catalogue.known_collections()
        if known is not None:
            spellings = Spellings([c.name for c in known], self._catalogue)
            if name in spellings.values:
                return Child(self._directory(spellings.values[name]))
            target = spellings.resolve(name)
            return None if target is None else Child(OtherSpelling(f"{self.key}/{name}", target))
        try:
            value = None if is_junk(name) else archive_value(name)
        except ValueError:
            return None
        return None if value is None else Child(self._directory(value), certain=False)

    def _name(self, value: str) -> str:
        return directory_name(value, self._catalogue.names)

    def _directory(self, value: str) -> Directory:
        return CollectionDirectory(self._catalogue, value, f"{self.key}/{self._name(value)}")


class CollectionDirectory(FixedDirectory):
    """One collection; its children are the ways into it."""

    def __init__(self, catalogue: Catalogue, collection: str, key: str) -> None:
        super().__init__(
            key,
            {
                facet: FacetDirectory(catalogue, Question(collection), facet, f"{key}/{facet}")
                for facet in FACETS
            },
        )
        self._catalogue = catalogue
        self._collection = collection

    async def confirm(self) -> None:
        if all(c.name != self._collection for c in await self._catalogue.collections()):
            raise NotFound(f"{self.key}: the archive has no collection of this name")


class FacetDirectory:
    """The values of one facet of a question, a result below each."""

    def __init__(self, catalogue: Catalogue, question: Question, facet: str, key: str) -> None:
        self.key = key
        self._catalogue = catalogue
        self._question = question
        self._facet = facet
        self._spellings: Spellings | None = None

    async def confirm(self) -> None:
        return

    async def entries(self) -> Entries:
        if not await self._is_listed():
            return Entries([], [])
        values = await self._catalogue.values(self._question.collection, self._facet)
        spellings = await self._sorted(values)
        names = sorted(spellings.values)
        nodes: list[Node] = [self._result(name, spellings.values[name]) for name in names]
        return Entries(names, nodes)

    async def child(self, name: str) -> Child | None:
        if is_junk(name):
            return None
        known = await self._catalogue.known_values(self._question.collection, self._facet)
        if known is not None:
            return await self._listed_child(name, known)
        try:
            value = archive_value(name)
        except ValueError:
            return None
        node = self._result(name, value)
        return Child(node, certain=bool(await self._catalogue.known_rows(node.question)))

    async def _listed_child(self, name: str, known: Sequence[str]) -> Child | None:
        spellings = await self._sorted(known)
        if name in spellings.values:
            return Child(self._result(name, spellings.values[name]))
        target = spellings.resolve(name)
        return None if target is None else Child(OtherSpelling(f"{self.key}/{name}", target))

    async def _is_listed(self) -> bool:
        if self._facet != "by-observation":
            return True
        counts = {c.name: c.count for c in await self._catalogue.collections()}
        return counts.get(self._question.collection, 0) <= LISTED_OBSERVATIONS

    def _result(self, name: str, value: str | None) -> ResultDirectory:
        question = Question(
            self._question.collection,
            (*self._question.constraints, Constraint(self._facet, value or None)),
        )
        return ResultDirectory(self._catalogue, question, f"{self.key}/{name}")

    async def _sorted(self, values: Sequence[str]) -> Spellings:
        if self._spellings is None or self._spellings.source is not values:
            self._spellings = await trio.to_thread.run_sync(Spellings, values, self._catalogue)
        return self._spellings
