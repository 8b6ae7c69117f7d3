"""The datatype of a select-list item (VOTable 1.4, section 4.1; TAP 1.1, section 2.7)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from sqlglot import exp

from cadcfs.demo.adql.catalogue import Field
from cadcfs.demo.adql.functions import SIGNATURES

Lookup = Callable[[exp.Column], Field | None]

_WHOLE = frozenset({"short", "int", "long"})
_CASTS = {
    "INT": "int", "BIGINT": "long", "SMALLINT": "short", "FLOAT": "float", "DOUBLE": "double",
}  # fmt: skip


def type_of(item: exp.Expr, lookup: Lookup) -> Field:
    """Describe one expression; a plain column keeps all its metadata."""
    if isinstance(item, exp.Column):
        return lookup(item) or _text(item.name)
    if isinstance(item, (exp.Paren, exp.Neg)):
        return type_of(item.this, lookup)
    if isinstance(item, exp.Subquery) and isinstance(item.this, exp.Select):
        # Names within are out of sight here; the first item of a scalar subquery decides.
        return type_of(item.this.expressions[0].unalias(), lambda _column: None)
    if isinstance(item, exp.Func):
        return _of_function(item, lookup)
    if isinstance(item, exp.Literal):
        if item.is_string:
            return _text("literal")
        return Field("literal", "long" if item.is_int else "double")
    if isinstance(item, (exp.Add, exp.Sub, exp.Mul, exp.Div, exp.Mod)):
        sides = {type_of(item.left, lookup).datatype, type_of(item.right, lookup).datatype}
        return Field("expression", "long" if sides <= _WHOLE else "double")
    if isinstance(item, (exp.Predicate, exp.Connector, exp.Not)):
        return Field("expression", "int")
    return _text("expression")


def _of_function(item: exp.Func, lookup: Lookup) -> Field:
    if isinstance(item, exp.Anonymous):
        name = str(item.this).lower()
        signature = SIGNATURES[name.upper()]
        if signature.like_argument and item.expressions:
            first = type_of(item.expressions[0], lookup).datatype
            return Field(name, first if first in _WHOLE else "double")
        return Field(name, signature.datatype, signature.arraysize, signature.xtype, signature.unit)
    name = item.sql_name().lower()
    if isinstance(item, exp.Count):
        return Field(name, "long")
    if isinstance(item, exp.Avg):
        return Field(name, "double")
    if isinstance(item, exp.Cast):
        kind = _CASTS.get(str(item.to.this.value))
        return Field(name, kind) if kind else _text(name)
    if isinstance(item, exp.Case):
        branch = item.args["ifs"][0].args["true"]
        return Field(name, *_kind(branch, lookup))
    if isinstance(item, exp.Sum):
        kind, _ = _kind(item.this, lookup)
        return Field(name, "long" if kind in _WHOLE else "double")
    if isinstance(item, (exp.Min, exp.Max)):
        return replace(type_of(item.this, lookup), name=name)
    return Field(name, *_kind(item.this, lookup)) if item.this else _text(name)


def _kind(item: exp.Expr, lookup: Lookup) -> tuple[str, str]:
    known = type_of(item, lookup)
    return known.datatype, known.arraysize


def _text(name: str) -> Field:
    return Field(name, "char", "*")
