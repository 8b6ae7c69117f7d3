"""Times in queries, in any of the forms that people write, compared with times in the tables.

Tables hold times as text, `2020-01-01T00:00:00.000` (DALI 1.1, section 3.1), which compares
rightly with text of the same form only.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime

from sqlglot import exp

from cadcfs.demo.adql.catalogue import Field
from cadcfs.demo.adql.typing import type_of

Lookup = Callable[[exp.Column], Field | None]

_COMPARISONS = (exp.EQ, exp.NEQ, exp.LT, exp.LTE, exp.GT, exp.GTE, exp.Between, exp.In)


def unify(node: exp.Expr, lookup: Lookup, refuse: Callable[[str], Exception]) -> None:
    """Write literals that are compared with a time as the tables do."""
    if not isinstance(node, _COMPARISONS):
        return
    sides = [side for side in node.iter_expressions() if not isinstance(side, exp.Query)]
    if not any(_is_time(side, lookup) for side in sides):
        return
    for side in sides:
        if isinstance(side, exp.Literal) and side.is_string:
            try:
                moment = datetime.fromisoformat(side.this.strip())
            except ValueError as trouble:
                raise refuse(f"not a timestamp: {side.this!r}") from trouble
            if moment.tzinfo is not None:
                moment = moment.astimezone(UTC).replace(tzinfo=None)
            side.set("this", moment.isoformat(timespec="milliseconds"))


def _is_time(side: exp.Expr, lookup: Lookup) -> bool:
    return isinstance(side, (exp.Column, exp.Anonymous)) and (
        type_of(side, lookup).xtype == "timestamp"
    )
