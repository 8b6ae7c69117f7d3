"""ADQL that the tree asks: pure text, one builder for all questions.

A question is a collection and constraints; each kind of constraint is one row of `FACETS`.
Narrow column lists, indexed predicates, no ORDER BY: sorted by whoever shows the answer.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date

from cadcfs.errors import BadRequest

LISTED_COLUMNS = (
    "o.observationID", "o.target_name", "p.productID", "p.quality_flag", "p.metaRelease",
    "p.dataRelease", "a.uri", "a.productType", "a.releaseType", "a.contentType",
    "a.contentLength", "a.contentChecksum", "a.contentRelease", "a.lastModified",
)  # fmt: skip


ENUMERATED = (
    "instrument_name", "energy_bandpassName", "calibrationLevel", "intent", "type",
    "dataProductType",
)  # fmt: skip
"""Columns of EnumField that narrow a collection; one query a collection tells all their values."""
MJD_EPOCH = date(1858, 11, 17)
"""Day 0 of the Modified Julian Date."""


@dataclass(frozen=True)
class Constraint:
    """One narrowing of a question: a facet (`by-target`) and its value, None for NULL."""

    facet: str
    value: str | None


@dataclass(frozen=True)
class Question:
    """What a directory asks: one collection and its constraints, whatever order they came in."""

    collection: str
    constraints: tuple[Constraint, ...] = ()

    def narrowed(self, facet: str, value: str | None) -> Question:
        """The same question with one constraint more."""
        more = (*self.constraints, Constraint(facet, value or None))
        return Question(self.collection, tuple(sorted(more, key=lambda c: c.facet)))

    def free_facets(self) -> list[str]:
        """The facets that do not constrain it yet."""
        used = {constraint.facet for constraint in self.constraints}
        return [facet for facet in FACETS if facet not in used]


@dataclass(frozen=True)
class Facet:
    """How one of a facet's values narrows a question, and where its values come from."""

    column: str
    predicate: Callable[[str | None], str]
    enumerated: str | None = None
    """The column of EnumField with its values; such a facet narrows, and others nest in it."""


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


def _equal(column: str) -> Callable[[str | None], str]:
    def predicate(value: str | None) -> str:
        if value is None:
            return f"({column} IS NULL OR {column} = '')"
        return f"{column} = {quoted(value)}"

    return predicate


def _proposal(value: str | None) -> str:
    exact = _equal("o.proposal_id")(value)
    # lower(proposal_id) is what the archive has an index of.
    if value is None or not value.isascii():
        return exact
    return f"lower(o.proposal_id) = {quoted(value.lower())} AND {exact}"


def _level(value: str | None) -> str:
    if value is None:
        return "p.calibrationLevel IS NULL"
    if not re.fullmatch(r"-?[0-9]{1,2}", value):
        raise BadRequest(f"a calibration level is a number, not {value!r}")
    return f"p.calibrationLevel = {value}"


def _date(value: str | None) -> str:
    column = "p.time_bounds_lower"
    if value is None:
        return f"({column} IS NULL OR {column} = 0.0)"
    first, last = days_of(value)
    return f"{column} >= {first} AND {column} < {last + 1}"


def days_of(value: str) -> tuple[int, int]:
    """First and last MJD of `YYYY-MM-DD` or `YYYY-MM-DD..YYYY-MM-DD` (UTC days, inclusive)."""
    first, _, last = value.partition("..")
    try:
        days = [(date.fromisoformat(text) - MJD_EPOCH).days for text in (first, last or first)]
    except ValueError as exc:
        raise BadRequest(f"{value!r} is no day and no range of days: {exc}") from exc
    if days[0] > days[1]:
        raise BadRequest(f"{value!r} ends before it begins")
    return days[0], days[1]


FACETS = {
    "by-target": Facet("o.target_name", _target),
    "by-date": Facet("p.time_bounds_lower", _date),
    "by-proposal": Facet("o.proposal_id", _proposal),
    "by-observation": Facet("o.observationID", _equal("o.observationID")),
    "by-instrument": Facet("o.instrument_name", _equal("o.instrument_name"), "instrument_name"),
    "by-filter": Facet(
        "p.energy_bandpassName", _equal("p.energy_bandpassName"), "energy_bandpassName"
    ),
    "by-level": Facet("p.calibrationLevel", _level, "calibrationLevel"),
    "by-intent": Facet("o.intent", _equal("o.intent"), "intent"),
    "by-type": Facet("o.type", _equal("o.type"), "type"),
    "by-product": Facet("p.dataProductType", _equal("p.dataProductType"), "dataProductType"),
}


def collections() -> str:
    """Every collection with its count; EnumField is aggregated beforehand, so this is cheap."""
    return "SELECT collection, SUM(num_tuples) AS planes FROM caom2.EnumField GROUP BY collection"


def enumeration(collection: str) -> str:
    """The combinations of values that narrow a collection."""
    columns = ", ".join(ENUMERATED)
    return f"SELECT {columns} FROM caom2.EnumField WHERE collection = {quoted(collection)}"


def values(question: Question, facet: str) -> str:
    """The distinct values of one facet among the answers to *question*."""
    return f"SELECT DISTINCT {FACETS[facet].column} FROM {_tables(question, facet)}"


def days(question: Question) -> str:
    """The distinct days (MJD) on which the answers to *question* begin."""
    return f"SELECT DISTINCT FLOOR(p.time_bounds_lower) AS mjd FROM {_tables(question, 'by-date')}"


def result(question: Question) -> str:
    """The files behind a question, as one join.

    Outer joins, so that an observation without a file still says that it exists.
    """
    return (
        f"SELECT {', '.join(LISTED_COLUMNS)} FROM caom2.Observation AS o "
        "LEFT OUTER JOIN caom2.Plane AS p ON o.obsID = p.obsID "
        "LEFT OUTER JOIN caom2.Artifact AS a ON p.planeID = a.planeID "
        f"WHERE {_predicates(question)}"
    )


def _tables(question: Question, facet: str) -> str:
    columns = [FACETS[facet].column, *(FACETS[c.facet].column for c in question.constraints)]
    join = any(column.startswith("p.") for column in columns)
    planes = " JOIN caom2.Plane AS p ON o.obsID = p.obsID" * join
    return f"caom2.Observation AS o{planes} WHERE {_predicates(question)}"


def _predicates(question: Question) -> str:
    predicates = [f"o.collection = {quoted(question.collection)}"]
    predicates += [FACETS[c.facet].predicate(c.value) for c in question.constraints]
    return " AND ".join(predicates)
