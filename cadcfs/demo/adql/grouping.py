"""What may stand beside an aggregate, as PostgreSQL behind CADC's service sees it.

SQLite would answer with the values of some row; PostgreSQL refuses.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from sqlglot import exp

from cadcfs.demo.adql.catalogue import Field

Lookup = Callable[[exp.Column], Field | None]
Refuse = Callable[[str, exp.Expr], Exception]

_OWN_AGGREGATES = frozenset({"STDDEV", "VARIANCE"})
# The key of a table decides its other columns, which may then stand alone.
_KEYS = frozenset({"obsID", "planeID", "artifactID", "partID", "chunkID"})


def check(select: exp.Select, lookup: Lookup, refuse: Refuse) -> None:
    """Refuse columns that have many values in a group."""
    group = select.args.get("group")
    having = select.args.get("having")
    items = [item.unalias() for item in select.expressions]
    if group is None and having is None and not any(_has_aggregate(item) for item in items):
        return
    named = {item.alias.lower(): item.this for item in select.expressions if item.alias}
    keys = [_meant(key, items, named) for key in (group.expressions if group else ())]
    texts = {key.sql().lower() for key in keys}
    fields = [lookup(key) for key in keys if isinstance(key, exp.Column)]
    if any(field is not None and field.name in _KEYS for field in fields):
        return
    for part in (*items, *((having.this,) if having else ())):
        for column in _bare(part, texts):
            found = None if isinstance(column.this, exp.Star) else lookup(column)
            if not any(found is field for field in fields):
                name = column.sql().replace('"', "")
                raise refuse(
                    f'column "{name}" must appear in the GROUP BY clause or be used in an'
                    " aggregate function",
                    column,
                )


def _meant(key: exp.Expr, items: list[exp.Expr], named: dict[str, exp.Expr]) -> exp.Expr:
    """GROUP BY takes places and names of the select list, too."""
    if isinstance(key, exp.Literal) and key.is_int and 0 < int(key.this) <= len(items):
        return items[int(key.this) - 1]
    if isinstance(key, exp.Column) and not key.table:
        return named.get(key.name.lower(), key)
    return key


def _is_aggregate(node: exp.Expr) -> bool:
    own = isinstance(node, exp.Anonymous) and str(node.this).upper() in _OWN_AGGREGATES
    return own or isinstance(node, exp.AggFunc)


def _has_aggregate(node: exp.Expr) -> bool:
    if isinstance(node, exp.Select):
        return False
    return _is_aggregate(node) or any(_has_aggregate(child) for child in node.iter_expressions())


def _bare(node: exp.Expr, grouped: set[str]) -> Iterator[exp.Column]:
    """Yield the columns outside aggregates and outside what is grouped by."""
    if _is_aggregate(node) or isinstance(node, exp.Select) or node.sql().lower() in grouped:
        return
    if isinstance(node, exp.Star):
        yield exp.Column(this=exp.Star())
    elif isinstance(node, exp.Column):
        yield node
    else:
        for child in node.iter_expressions():
            yield from _bare(child, grouped)
