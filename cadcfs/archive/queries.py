"""ADQL that the tree asks: pure text, one builder for all questions.

A question is a collection and constraints; each kind of constraint is one row of `FACETS`.
Narrow column lists, indexed predicates, no ORDER BY: sorted by whoever shows the answer.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

LISTED_COLUMNS = (
    "o.observationID", "o.target_name", "p.productID", "p.quality_flag", "p.metaRelease",
    "p.dataRelease", "a.uri", "a.productType", "a.releaseType", "a.contentType",
    "a.contentLength", "a.contentChecksum", "a.contentRelease", "a.lastModified",
)  # fmt: skip


@dataclass(frozen=True)
class Constraint:
    """One narrowing of a question: a facet (`by-target`) and its value, None for NULL."""

    facet: str
    value: str | None


@dataclass(frozen=True)
class Question:
    """What a result directory asks: one collection and its constraints."""

    collection: str
    constraints: tuple[Constraint, ...] = ()


@dataclass(frozen=True)
class Facet:
    """How a directory of values is listed, and how one of its values narrows a question."""

    column: str
    predicate: Callable[[str | None], str]


def quoted(value: str) -> str:
    """An ADQL string literal (ADQL 2.0, 2.1.4: a quote is doubled)."""
    return "'" + value.replace("'", "''") + "'"


def spellings(value: str) -> tuple[str, ...]:
    """*value* and what else it may stand for: `M_31` is how people type `M 31`."""
    return tuple(dict.fromkeys((value, value.replace("_", " "))))


def _target(value: str | None) -> str:
    if value is None:
        return "(o.target_name IS NULL OR o.target_name = '')"
    if not value.isascii():
        # lower() of other letters depends on the server's locale, so the index cannot be asked.
        return f"o.target_name IN ({', '.join(quoted(s) for s in spellings(value))})"
    folded = [quoted(s.lower()) for s in spellings(value)]
    if len(folded) == 1:
        return f"lower(o.target_name) = {folded[0]}"
    return f"lower(o.target_name) IN ({', '.join(folded)})"


def _observation(value: str | None) -> str:
    return "o.observationID IS NULL" if value is None else f"o.observationID = {quoted(value)}"


FACETS = {
    "by-target": Facet("target_name", _target),
    "by-observation": Facet("observationID", _observation),
}


def collections() -> str:
    """Every collection with its count; EnumField is aggregated beforehand, so this is cheap."""
    return "SELECT collection, SUM(num_tuples) AS planes FROM caom2.EnumField GROUP BY collection"


def values(collection: str, facet: str) -> str:
    """The distinct values of one facet of a collection."""
    column = FACETS[facet].column
    return (
        f"SELECT DISTINCT {column} FROM caom2.Observation WHERE collection = {quoted(collection)}"
    )


def result(question: Question) -> str:
    """The files behind a question, as one join.

    Outer joins, so that an observation without a file still says that it exists.
    """
    predicates = [f"o.collection = {quoted(question.collection)}"]
    predicates += [FACETS[c.facet].predicate(c.value) for c in question.constraints]
    return (
        f"SELECT {', '.join(LISTED_COLUMNS)} FROM caom2.Observation AS o "
        "LEFT OUTER JOIN caom2.Plane AS p ON o.obsID = p.obsID "
        "LEFT OUTER JOIN caom2.Artifact AS a ON p.planeID = a.planeID "
        f"WHERE {' AND '.join(predicates)}"
    )
