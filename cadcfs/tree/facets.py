"""The ways into a collection: one directory per facet, and the values below it.

A facet that narrows (an instrument, an intent) leads to the other facets again; the rest lead to
results. What facets there are is one table, `archive.constraints.FACETS`.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import trio

from cadcfs.archive import queries
from cadcfs.archive.constraints import FACETS, Question
from cadcfs.errors import NotFound
from cadcfs.tree.catalogue import Catalogue
from cadcfs.tree.dates import DateDirectory
from cadcfs.tree.endless import NamesDirectory, RegionsDirectory
from cadcfs.tree.junk_names import is_junk
from cadcfs.tree.names import NULL_NAME, typed_value
from cadcfs.tree.node import Child, Directory, Entries, Node
from cadcfs.tree.plain import FixedDirectory
from cadcfs.tree.result import ResultDirectory
from cadcfs.tree.selection import Selection
from cadcfs.tree.spellings import OtherSpelling, Spellings

LISTED_OBSERVATIONS = 250_000
"""A collection with more planes does not list its observations: any of them still opens."""


class NarrowedDirectory(FixedDirectory):
    """A collection, narrowed or not; its children are the facets that are still free."""

    def __init__(self, catalogue: Catalogue, question: Question, key: str) -> None:
        children: dict[str, Node] = {
            facet: facet_directory(catalogue, question, facet, f"{key}/{facet}")
            for facet in question.free_facets()
        }
        super().__init__(key, children)
        self._catalogue = catalogue
        self._question = question

    async def confirm(self) -> None:
        for constraint in self._question.constraints:
            whole = Question(self._question.collection)
            values = self._catalogue.values(whole, constraint.facet)
            if (constraint.value or "") not in await values.get():
                raise NotFound(f"{self.key}: {constraint.value} does not occur")


def facet_directory(catalogue: Catalogue, question: Question, facet: str, key: str) -> Directory:
    """The directory of one facet's values."""
    if facet == "by-date":
        return DateDirectory(catalogue, question, key)
    if facet == "region":
        return RegionsDirectory(catalogue, question, key)
    if facet == "name":
        return NamesDirectory(catalogue, question, key)
    return FacetDirectory(catalogue, question, facet, key)


class FacetDirectory:
    """The values of one facet of a question."""

    def __init__(self, catalogue: Catalogue, question: Question, facet: str, key: str) -> None:
        self.key = key
        self._catalogue = catalogue
        self._question = question
        self._facet = facet
        self._recent = catalogue.recent(key)
        self._spellings: Spellings | None = None
        self._listed: tuple[Spellings, Entries] | None = None

    @property
    def adql(self) -> tuple[str, ...]:
        if FACETS[self._facet].enumerated is not None:
            return (queries.enumeration(self._question.sole_collection),)
        return (queries.values(self._question, self._facet),)

    async def confirm(self) -> None:
        return

    async def entries(self) -> Entries:
        if not await self._is_listed():
            names = sorted(await self._recent.names())
            return Entries(names, [self._below(name, typed_value(name)) for name in names])
        values = await self._catalogue.values(self._question, self._facet).get()
        spellings = await self._sorted(values)
        if self._listed is None or self._listed[0] is not spellings:
            names = sorted(spellings.values)
            nodes: list[Node] = [self._below(name, spellings.values[name]) for name in names]
            self._listed = (spellings, Entries(names, nodes))
        return self._listed[1]

    async def child(self, name: str) -> Child | None:
        if is_junk(name):
            return None
        known = await self._catalogue.values(self._question, self._facet).known()
        if known is not None:
            return await self._listed_child(name, known)
        value = typed_value(name)
        if value is None and name != NULL_NAME:
            return None
        node = self._below(name, value)
        certain = False
        if isinstance(node, ResultDirectory):
            certain = await node.is_known()
        return Child(node, certain)

    async def _listed_child(self, name: str, known: Sequence[str]) -> Child | None:
        spellings = await self._sorted(known)
        if name in spellings.values:
            return Child(self._below(name, spellings.values[name]))
        target = spellings.resolve(name)
        return None if target is None else Child(OtherSpelling(f"{self.key}/{name}", target))

    async def _is_listed(self) -> bool:
        if self._facet != "by-observation":
            return True
        counts = {c.name: c.count for c in await self._catalogue.collections().get()}
        return counts.get(self._question.sole_collection, 0) <= LISTED_OBSERVATIONS

    def _below(self, name: str, value: str | None) -> Directory:
        question = self._question.narrowed(self._facet, value)
        key = f"{self.key}/{name}"
        if FACETS[self._facet].enumerated is not None:
            return NarrowedDirectory(self._catalogue, question, key)
        asked = partial(self._recent.note, name) if self._facet == "by-observation" else None
        return ResultDirectory(Selection(self._catalogue, question), key, asked=asked)

    async def _sorted(self, values: Sequence[str]) -> Spellings:
        if self._spellings is None or self._spellings.source is not values:
            self._spellings = await trio.to_thread.run_sync(
                Spellings, values, self._catalogue.names
            )
        return self._spellings
