"""Which queries CADC answers slowly: those that its indexes do not help.

The indexes are those of CAOM's tables at CADC: positions, times and energies by their bounds;
`lower(...)` of target, observation and proposal by equality or by their beginning; identifiers and
a few other columns by equality. What does not come by one of them reads the whole table. So do
`SELECT *` over Observation and Plane together, and sorting.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from sqlglot import exp, parse_one
from sqlglot.errors import SqlglotError

from cadcfs.demo.adql.dialect import Adql

_BIG = frozenset({"observation", "plane", "artifact", "part", "chunk", "obscore", "siav1"})
_BY_VALUE = frozenset({
    "observationuri", "instrument_name", "telescope_name", "obsid", "maxlastmodified",
    "publisherid", "planeuri", "planeid", "datarelease", "provenance_runid",
    "energy_bandpassname", "uri", "artifactid", "partid", "obs_publisher_did", "obs_id",
    "memberid", "inputid",
})  # fmt: skip
_BY_VALUE_WITH_COLLECTION = frozenset({"observationid", "instrument_name"})
_BY_LOWER = frozenset({"target_name", "observationid", "proposal_id"})
_BY_BOUNDS = frozenset({
    "position_bounds", "energy_bounds", "time_bounds", "energy_bounds_lower",
    "energy_bounds_upper", "time_bounds_lower", "time_bounds_upper", "s_region",
})  # fmt: skip
_COMPARISONS = (exp.EQ, exp.GT, exp.GTE, exp.LT, exp.LTE, exp.Between, exp.In, exp.Like)


def is_slow(adql: str) -> bool:
    """Say whether CADC would read a big table from end to end. What does not parse is not slow."""
    try:
        tree = parse_one(adql, dialect=Adql)
    except (SqlglotError, RecursionError):
        return False
    return any(_reads_all(select) for select in tree.find_all(exp.Select))


def _reads_all(select: exp.Select) -> bool:
    tables = {table.name.lower() for table in _own(select, exp.Table)}
    if not tables & _BIG:
        return False
    if select.args.get("order") is not None:
        return True
    if any(isinstance(column, exp.Star) for column in select.expressions):
        return True
    where = select.args.get("where")
    terms = list(_conjuncts(where.this)) if where is not None else []
    if any(_is_indexed(term, terms) for term in terms):
        return False
    # A collection is the beginning of an index, but counting or sorting all of it is slow.
    gathers = select.args.get("group") is not None or select.args.get("distinct") is not None
    return gathers or not any(_is_collection(term) for term in terms)


def _own(select: exp.Select, kind: type[Any]) -> Iterator[Any]:
    """Yield nodes of a query that belong to it and not to one of its subqueries."""
    for node in select.find_all(kind):
        if node.find_ancestor(exp.Select) is select:
            yield node


def _conjuncts(term: exp.Expr) -> Iterator[exp.Expr]:
    if isinstance(term, exp.Paren):
        yield from _conjuncts(term.this)
    elif isinstance(term, exp.And):
        yield from _conjuncts(term.left)
        yield from _conjuncts(term.right)
    else:
        yield term


def _is_indexed(term: exp.Expr, all_terms: list[exp.Expr]) -> bool:
    if isinstance(term, exp.Or):
        return all(_is_indexed(side, all_terms) for side in (term.left, term.right))
    if isinstance(term, exp.Paren):
        return _is_indexed(term.this, all_terms)
    if not isinstance(term, _COMPARISONS):
        return False
    if any(column.name.lower() in _BY_BOUNDS for column in term.find_all(exp.Column)):
        return True
    side = term.this
    if isinstance(side, exp.Lower) and isinstance(side.this, exp.Column):
        return side.this.name.lower() in _BY_LOWER and _has_beginning(term)
    if not isinstance(side, exp.Column):
        return False
    name = side.name.lower()
    if isinstance(term, exp.Like):
        return name == "uri" and _has_beginning(term)
    return name in _BY_VALUE or (
        name in _BY_VALUE_WITH_COLLECTION and any(_is_collection(each) for each in all_terms)
    )


def _has_beginning(term: exp.Expr) -> bool:
    if not isinstance(term, exp.Like):
        return True
    pattern = term.expression
    return isinstance(pattern, exp.Literal) and not pattern.this.startswith(("%", "_"))


def _is_collection(term: exp.Expr) -> bool:
    return (
        isinstance(term, exp.EQ)
        and isinstance(term.this, exp.Column)
        and term.this.name.lower() == "collection"
    )
