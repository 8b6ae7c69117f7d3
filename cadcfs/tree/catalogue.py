"""What the tree asks the archive, each question once: holdings behind listings.

The key of an answer is the question's text, the service that was asked and the identity that
asked it, so that answers of two archives or two users never mix.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

from cadcfs.archive import queries
from cadcfs.archive.constraints import FACETS, Question, is_literal
from cadcfs.archive.holdings import Holdings
from cadcfs.archive.records import Collection, Cuttable, Description, Row
from cadcfs.archive.resolver import Resolver
from cadcfs.cache.listings import History, Listings
from cadcfs.config import Settings
from cadcfs.errors import NotFound
from cadcfs.tree.answer import Answer
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

    def collections(self) -> Answer[Sequence[Collection]]:
        return self._answer(queries.collections(), self._holdings.collections, COLLECTIONS_FRESH)

    def descriptions(self) -> Answer[Sequence[Description]]:
        """What is in each collection."""
        return self._answer(queries.descriptions(), self._holdings.descriptions, COLLECTIONS_FRESH)

    def values(self, question: Question, facet: str) -> Answer[Sequence[str]]:
        """The values of *facet* among the answers to *question*; "" for NULL."""
        enumerated = FACETS[facet].enumerated
        if enumerated is not None:
            return self._enumeration(question.sole_collection).then(
                lambda found: enumerated_values(found, question, enumerated)
            )
        return self._answer(
            queries.values(question, facet),
            lambda: self._holdings.values(question, facet),
            COLLECTIONS_FRESH,
        )

    def _enumeration(self, collection: str) -> Answer[Sequence[tuple[str, ...]]]:
        return self._answer(
            queries.enumeration(collection),
            lambda: self._holdings.enumeration(collection),
            COLLECTIONS_FRESH,
        )

    def days(self, question: Question) -> Answer[Sequence[int | None]]:
        """The days (MJD) with data; None for what has no date."""
        return self._answer(
            queries.days(question), lambda: self._holdings.days(question), COLLECTIONS_FRESH
        )

    def counts(self, question: Question) -> Answer[Sequence[Collection]]:
        """The collections that have something of *question*, and how many planes."""
        return self._answer(
            queries.counts(question), lambda: self._holdings.counts(question), RESULT_FRESH
        )

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

    def rows(self, question: Question) -> Answer[Sequence[Row]]:
        found = self._answer(
            queries.result(question), lambda: self._holdings.rows(question), RESULT_FRESH
        )
        return found.then(lambda rows: narrowed(rows, question))

    def cuttable(self, question: Question) -> Answer[Sequence[Cuttable]]:
        """The files of a region that cutouts can be made of."""
        return self._answer(
            queries.cuttable(question), lambda: self._holdings.cuttable(question), RESULT_FRESH
        )

    async def history(self, adql: str) -> History:
        """What happened to a question; never asks the network."""
        return await self._listings.history(self._key(adql))

    async def expire(self, adql: str) -> None:
        """Ask the archive again at the next occasion."""
        await self._listings.expire(self._key(adql))

    def derived(self, key: str, load: Callable[[], Awaitable[T]]) -> Answer[T]:
        """What is found out from other answers, under a key that names their age."""
        return Answer(self._listings, key, load, RESULT_FRESH * 24, _as_it_is)

    def _answer(self, adql: str, load: Callable[[], Awaitable[T]], fresh: float) -> Answer[T]:
        return Answer(self._listings, self._key(adql), load, fresh, _as_it_is)

    def _key(self, adql: str) -> str:
        return f"{self.origin} {adql}"


def _as_it_is(answer: T) -> T:
    return answer


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
