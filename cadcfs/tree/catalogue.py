"""What the tree asks the archive, each question once: holdings behind listings.

The key of an answer is the question's text, the service that was asked and the identity that
asked it, so that answers of two archives or two users never mix.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Any, TypeVar

from cadcfs.archive import queries
from cadcfs.archive.constraints import FACETS, Question, is_literal
from cadcfs.archive.holdings import Holdings
from cadcfs.archive.records import Collection, Cuttable, Description, Row
from cadcfs.archive.resolver import Resolver
from cadcfs.cache.listings import History, Listings
from cadcfs.config import Settings
from cadcfs.errors import NotFound
from cadcfs.tree.reader import Reader
from cadcfs.tree.recent import Recent
from cadcfs.tree.workshop import Workshop

T = TypeVar("T")

COLLECTIONS_FRESH = 86400.0
"""Seconds; collections and the names in them grow slowly."""
POSITION_FRESH = 7 * 86400.0
"""Seconds; objects stay where they are."""
RESULT_FRESH = 3600.0
"""Seconds that a result is believed."""


class Catalogue:
    """Answers for the tree, from memory, disk or the archive, and what else its nodes work with."""

    def __init__(
        self, holdings: Holdings, listings: Listings, resolver: Resolver,
        reader: Reader, workshop: Workshop, settings: Settings,
    ) -> None:  # fmt: skip
        self._holdings = holdings
        self._listings = listings
        self._resolver = resolver
        self.reader = reader
        self.workshop = workshop
        self.origin = f"{settings.archive} {reader.name or 'anonymous'}"
        self.names = settings.names

    async def collections(self) -> Sequence[Collection]:
        return await self._listings.get(
            self._key(queries.collections()), self._holdings.collections, COLLECTIONS_FRESH
        )

    async def known_collections(self) -> Sequence[Collection] | None:
        """The collections if they were ever listed; never asks the network."""
        return await self._listings.recall(self._key(queries.collections()))

    async def descriptions(self) -> Sequence[Description]:
        """What is in each collection."""
        return await self._listings.get(
            self._key(queries.descriptions()), self._holdings.descriptions, COLLECTIONS_FRESH
        )

    async def values(self, question: Question, facet: str) -> Sequence[str]:
        """The values of *facet* among the answers to *question*; "" for NULL."""
        enumerated = FACETS[facet].enumerated
        if enumerated is not None:
            return enumerated_values(await self._enumeration(question), question, enumerated)
        return await self._listings.get(
            self._key(queries.values(question, facet)),
            lambda: self._holdings.values(question, facet),
            COLLECTIONS_FRESH,
        )

    async def known_values(self, question: Question, facet: str) -> Sequence[str] | None:
        """The same if it was ever asked; never asks the network."""
        enumerated = FACETS[facet].enumerated
        if enumerated is None:
            return await self._listings.recall(self._key(queries.values(question, facet)))
        key = self._key(queries.enumeration(question.sole_collection))
        found = await self._listings.recall(key)
        return None if found is None else enumerated_values(found, question, enumerated)

    async def _enumeration(self, question: Question) -> Sequence[tuple[str, ...]]:
        return await self._listings.get(
            self._key(queries.enumeration(question.sole_collection)),
            lambda: self._holdings.enumeration(question.sole_collection),
            COLLECTIONS_FRESH,
        )

    async def days(self, question: Question) -> Sequence[int | None]:
        """The days (MJD) with data; None for what has no date."""
        return await self._listings.get(
            self._key(queries.days(question)),
            lambda: self._holdings.days(question),
            COLLECTIONS_FRESH,
        )

    async def known_days(self, question: Question) -> Sequence[int | None] | None:
        return await self._listings.recall(self._key(queries.days(question)))

    async def counts(self, question: Question) -> Sequence[Collection]:
        """The collections that have something of *question*, and how many planes."""
        return await self._listings.get(
            self._key(queries.counts(question)),
            lambda: self._holdings.counts(question),
            RESULT_FRESH,
        )

    async def known_counts(self, question: Question) -> Sequence[Collection] | None:
        return await self._listings.recall(self._key(queries.counts(question)))

    async def position(self, target: str) -> tuple[str, str]:
        """Right ascension and declination (ICRS, deg, as text) of an object by its name."""
        found = await self._listings.get(
            f"{self.origin} position of {target}",
            lambda: self._resolver.position(target),
            POSITION_FRESH,
        )
        if not found:
            raise NotFound(f"the archive's resolver knows no object {target!r}")
        ra, dec = found
        return ra, dec

    def recent(self, key: str) -> Recent:
        """What was asked lately in the directory *key*."""
        return Recent(self._listings, f"{self.origin} {key}")

    async def rows(self, question: Question) -> Sequence[Row]:
        found = await self._listings.get(
            self._key(queries.result(question)), lambda: self._holdings.rows(question), RESULT_FRESH
        )
        return narrowed(found, question)

    async def known_rows(self, question: Question) -> Sequence[Row] | None:
        found = await self._listings.recall(self._key(queries.result(question)))
        return None if found is None else narrowed(found, question)

    async def cuttable(self, question: Question) -> Sequence[Cuttable]:
        """The files of a region that cutouts can be made of."""
        return await self._listings.get(
            self._key(queries.cuttable(question)),
            lambda: self._holdings.cuttable(question),
            RESULT_FRESH,
        )

    async def known_cuttable(self, question: Question) -> Sequence[Cuttable] | None:
        return await self._listings.recall(self._key(queries.cuttable(question)))

    def stored_ns(self, question: Question) -> int:
        """When the rows of *question* were heard, in nanoseconds since 1970; 0 before."""
        stored = self._listings.stored(self._key(queries.result(question)))
        return int((stored or 0) * 10**9)

    def counted_ns(self, question: Question) -> int:
        """When the collections of *question* were heard, in nanoseconds since 1970; 0 before."""
        stored = self._listings.stored(self._key(queries.counts(question)))
        return int((stored or 0) * 10**9)

    async def history(self, adql: str) -> History:
        """What happened to a question; never asks the network."""
        return await self._listings.history(self._key(adql))

    async def expire(self, adql: str) -> None:
        """Ask the archive again at the next occasion."""
        await self._listings.expire(self._key(adql))

    async def derived(self, key: str, load: Callable[[], Awaitable[T]]) -> T:
        """What is found out from other answers, under a key that names their age."""
        return await self._listings.get(key, load, RESULT_FRESH * 24)

    async def known_derived(self, key: str) -> Any | None:  # noqa: ANN401  (as `derived` kept it)
        return await self._listings.recall(key)

    def _key(self, adql: str) -> str:
        return f"{self.origin} {adql}"


def enumerated_values(
    combinations: Sequence[tuple[str, ...]], question: Question, column: str
) -> Sequence[str]:
    """The values of *column* among the combinations that fulfil the question so far.

    Constraints that EnumField does not know (a target, a day) are passed over: a value too many
    leads to an empty answer, a value too few would hide data.
    """
    wanted = {}
    for constraint in question.constraints:
        enumerated = FACETS[constraint.facet].enumerated
        if enumerated is not None:
            wanted[queries.ENUMERATED.index(enumerated)] = constraint.value or ""
    shown = queries.ENUMERATED.index(column)
    fulfilling = (c for c in combinations if all(c[i] == v for i, v in wanted.items()))
    return tuple(sorted({combination[shown] for combination in fulfilling}))


def is_asked_too_widely(question: Question) -> bool:
    """True where the archive may find more than is meant, so that rows are sorted out here."""
    name = question.value_of("name")
    asks_name = name is not None and not is_literal(name)
    return question.value_of("by-target") is not None or asks_name


def narrowed(rows: Sequence[Row], question: Question) -> Sequence[Row]:
    """The rows that are meant, where the archive can only be asked for more.

    Of a target asked by its folded name the exact spelling wins; without one, another spelling
    counts if there is only one. Part of a name is compared here where LIKE has wildcards.
    """
    target, name = question.value_of("by-target"), question.value_of("name")
    if target is not None:
        rows = _of_target(rows, target)
    if name is not None and not is_literal(name):
        wanted = name.lower()
        rows = tuple(row for row in rows if wanted in (row.target_name or "").lower())
    return rows


def _of_target(rows: Sequence[Row], target: str) -> Sequence[Row]:
    names = {row.target_name for row in rows}
    if target not in names:
        if len(names) != 1:
            return ()
        return rows
    return rows if len(names) == 1 else tuple(row for row in rows if row.target_name == target)
