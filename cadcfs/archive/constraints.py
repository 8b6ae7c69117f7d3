"""What can be asked: a question is a collection and constraints, and `FACETS` is their grammar.

Each row of the table says how one value narrows a question and where its values come from. A new
way into the archive is a row here; the directories follow from it.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from decimal import Decimal

from cadcfs.errors import BadRequest

MJD_EPOCH = date(1858, 11, 17)
"""Day 0 of the Modified Julian Date."""
ARCMINUTE = ("0.0166667", "0.016666666666667")
"""One arcminute as regions are named (1e-7 deg), and as it is asked: 1/60 deg."""
_NUMBER = re.compile(r"-?[0-9]+(\.[0-9]+)?")


@dataclass(frozen=True, slots=True)
class Constraint:
    """One narrowing of a question: a facet (`by-target`) and its value, None for NULL."""

    facet: str
    value: str | None


@dataclass(frozen=True, slots=True)
class Question:
    """What a directory asks: a collection (None for all) and constraints, in any order."""

    collection: str | None
    constraints: tuple[Constraint, ...] = ()

    def narrowed(self, facet: str, value: str | None) -> Question:
        """The same question with one constraint more."""
        more = (*self.constraints, Constraint(facet, value or None))
        return Question(self.collection, tuple(sorted(more, key=lambda c: c.facet)))

    def within(self, collection: str) -> Question:
        """The same question of one collection."""
        return Question(collection, self.constraints)

    def value_of(self, facet: str) -> str | None:
        """The value that *facet* is constrained to; None for NULL and where it is free."""
        found = (c.value for c in self.constraints if c.facet == facet)
        return next(found, None)

    @property
    def sole_collection(self) -> str:
        """The collection of a question that is about one."""
        if self.collection is None:
            raise ValueError("a question about all collections")
        return self.collection

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
    endless: bool = False
    """True where any value may be asked, so that none can be listed."""
    present: str = ""
    """A predicate that an index helps with: there is a value. What has none is asked apart."""
    unique: bool = False
    """True where values hardly repeat, so that the archive need not sort them."""


def quoted(value: str) -> str:
    """An ADQL string literal (ADQL 2.0, 2.1.4: a quote is doubled)."""
    return "'" + value.replace("'", "''") + "'"


def spellings(value: str) -> tuple[str, ...]:
    """*value* and what else it may stand for: `M_31` is how people type `M 31`."""
    return tuple(dict.fromkeys((value, value.replace("_", " "))))


def is_literal(text: str) -> bool:
    """True where LIKE finds exactly what contains *text*, so that nothing is left to sort out.

    `_` and `%` are wildcards, and what lower() makes of other letters is the server's affair.
    """
    return text.isascii() and not set("_%") & set(text)


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


def circle_of(region: str) -> tuple[str, str, str]:
    """Right ascension, declination and radius (deg) of `<ra>_<dec>_<r>`, digit by digit.

    Raises
    ------
    BadRequest
        *region* is not in its canonical form.
    """
    parts = region.split("_")
    if len(parts) != 3 or not all(_NUMBER.fullmatch(part) for part in parts):
        raise BadRequest(f"{region!r} is no region: <ra>_<dec>_<r> in degrees")
    ra, dec, radius = parts
    if not (0 <= Decimal(ra) < 360 and abs(Decimal(dec)) <= 90 and 0 < Decimal(radius) <= 90):
        raise BadRequest(f"{region!r} is out of range")
    named, asked = ARCMINUTE
    return ra, dec, asked if radius == named else radius


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


def _part_of_target(value: str | None) -> str:
    if value is None:
        raise BadRequest("a name to look for is needed")
    # A wildcard for each letter whose lower() may differ; the rows are sorted out here.
    pattern = "".join(letter if letter.isascii() else "_" for letter in value.lower())
    return f"lower(o.target_name) LIKE {quoted(f'%{pattern}%')}"


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


def _region(value: str | None) -> str:
    ra, dec, radius = circle_of(value or "")
    return f"INTERSECTS(CIRCLE('ICRS', {ra}, {dec}, {radius}), p.position_bounds) = 1"


FACETS = {
    "by-target": Facet("o.target_name", _target),
    "by-date": Facet("p.time_bounds_lower", _date, present="p.time_bounds_lower > 0"),
    "by-proposal": Facet("o.proposal_id", _proposal, present="lower(o.proposal_id) > ''"),
    "by-observation": Facet("o.observationID", _equal("o.observationID"), unique=True),
    "by-instrument": Facet("o.instrument_name", _equal("o.instrument_name"), "instrument_name"),
    "by-filter": Facet(
        "p.energy_bandpassName", _equal("p.energy_bandpassName"), "energy_bandpassName"
    ),
    "by-level": Facet("p.calibrationLevel", _level, "calibrationLevel"),
    "by-intent": Facet("o.intent", _equal("o.intent"), "intent"),
    "by-type": Facet("o.type", _equal("o.type"), "type"),
    "by-product": Facet("p.dataProductType", _equal("p.dataProductType"), "dataProductType"),
    "region": Facet("p.position_bounds", _region, endless=True),
    "name": Facet("o.target_name", _part_of_target, endless=True),
}
