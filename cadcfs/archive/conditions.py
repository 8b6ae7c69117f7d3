"""Conditions on the columns of a result's metadata (`where/<column>.<op>.<value>`), tested here."""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from cadcfs.archive.votable import Cells, Field
from cadcfs.archive.votable_file import unique_names
from cadcfs.errors import BadRequest

ORDERS: dict[str, Callable[[Any, Any], bool]] = {
    "lt": operator.lt, "le": operator.le, "gt": operator.gt, "ge": operator.ge,
}  # fmt: skip
OPERATORS = ("eq", "ne", *ORDERS, "like")
NUMBERS = frozenset({"short", "int", "long", "float", "double", "unsignedByte"})
"""Datatypes of VOTable 1.4, 2.1, that are compared as numbers, one to a cell."""
_TIME = re.compile(r"\d{4}(-\d\d(-\d\d(T\d\d(:\d\d(:\d\d(\.\d*)?)?)?)?)?)?")

Test = Callable[[str], bool]


@dataclass(frozen=True)
class Condition:
    """A column of metadata.csv compared with a value; *value* is None for `null`."""

    column: str
    op: str
    value: str | None


def parse_condition(text: str) -> Condition:
    """The condition in `<column>.<op>.<value>` or `<column>.null`.

    Raises
    ------
    BadRequest
    """
    column, _, rest = text.partition(".")
    op, dot, value = rest.partition(".")
    if not re.fullmatch(r"\w+", column):
        raise BadRequest(f"{text!r} is no condition: <column>.<op>.<value>")
    if op == "null" and not dot:
        return Condition(column, op, None)
    if op not in OPERATORS:
        raise BadRequest(f"{op!r} is no operator: one of {', '.join(OPERATORS)}, null")
    if not dot:
        raise BadRequest(f"{text!r}: a value is missing after {op}")
    return Condition(column, op, value)


def test_of(conditions: Sequence[Condition], fields: Sequence[Field]) -> Callable[[Cells], bool]:
    """Whether a row fulfils all *conditions*.

    Raises
    ------
    BadRequest
        There is no such column, or its values cannot be compared so.
    """
    places = {name.lower(): place for place, name in enumerate(unique_names(fields))}
    tests = []
    for condition in conditions:
        place = places.get(condition.column.lower())
        if place is None:
            raise BadRequest(f"metadata.csv has no column {condition.column!r}")
        tests.append((place, _test(condition, fields[place])))
    return lambda cells: all(test(cells[place]) for place, test in tests)


def _test(condition: Condition, field: Field) -> Test:
    if condition.value is None:
        return lambda cell: cell in ("", "NaN")
    if field.datatype in NUMBERS and not field.arraysize:
        return _numeric(condition.op, condition.value, field)
    if condition.op == "like":
        pattern = _like(condition.value)
        return lambda cell: pattern.fullmatch(cell) is not None
    if condition.op in ORDERS and not (
        "timestamp" in field.xtype.lower() and _TIME.fullmatch(condition.value)
    ):
        wanted = (
            "a time as YYYY-MM-DDThh:mm:ss"
            if "timestamp" in field.xtype.lower()
            else "eq, ne or like"
        )
        raise BadRequest(f"{field.name} is no number, use {wanted}, not {condition.op}")
    return _compared(condition.op, condition.value)


def _compared(op: str, value: str) -> Test:
    compare = {"eq": operator.eq, "ne": operator.ne, **ORDERS}[op]
    # NULL compares with nothing (SQL).
    return lambda cell: cell != "" and compare(cell, value)


def _numeric(op: str, value: str, field: Field) -> Test:
    if op == "like":
        raise BadRequest(f"{field.name} is a number: like is for text")
    try:
        number = float(value)
    except ValueError as exc:
        raise BadRequest(f"{field.name} is a number, and {value!r} is none") from exc
    compare = {"eq": operator.eq, "ne": operator.ne, **ORDERS}[op]
    return lambda cell: cell not in ("", "NaN") and compare(float(cell), number)


def _like(pattern: str) -> re.Pattern[str]:
    """SQL's LIKE: `%` for any text, `_` for any letter."""
    wild = {"%": ".*", "_": "."}
    return re.compile("".join(wild.get(c) or re.escape(c) for c in pattern), re.DOTALL)
