"""From ADQL text to SQL for SQLite, through a gate that lets only known names pass.

The parser is lenient (it takes DROP and two statements at once); what a query may be is decided
here, on the tree: one statement, a query, non-empty select lists, only tables and columns of the
catalogue and functions of functions.py. Resolving the names also gives the result's fields.
"""

from __future__ import annotations

from dataclasses import dataclass

import sqlglot
from sqlglot import exp
from sqlglot.errors import ParseError, TokenError

from cadcfs.demo.adql.catalogue import Catalogue, Field, Table
from cadcfs.demo.adql.dialect import Adql
from cadcfs.demo.adql.functions import SIGNATURES
from cadcfs.demo.adql.scope import AdqlError, Resolver, place_of

_FORBIDDEN = (
    exp.Window, exp.Into, exp.Placeholder, exp.Parameter, exp.Lateral, exp.Pivot, exp.Lock,
    exp.TableSample, exp.Hint, exp.Command,
)  # fmt: skip
_LONGEST = 200_000


@dataclass(frozen=True, slots=True)
class Translated:
    """A query that passed the gate."""

    sql: str
    fields: tuple[Field, ...]
    tables: tuple[Table, ...]


def translate(adql: str, catalogue: Catalogue) -> Translated:
    """Check a query and write it for SQLite; raise AdqlError with the place of what is wrong."""
    tree = _parse(adql)
    for node in tree.walk():
        if isinstance(node, _FORBIDDEN):
            raise AdqlError(f"not part of ADQL: {node.key.upper()}")
        if isinstance(node, exp.Select) and not node.expressions:
            raise AdqlError("the select list is empty")
        if isinstance(node, exp.Func):
            _check_function(node)
    resolver = Resolver(catalogue)
    try:
        fields = resolver.fields(tree)
    except RecursionError:
        raise AdqlError("the query is nested too deeply") from None
    for node in list(tree.find_all(exp.Cast)):
        _keep_timestamp(node)
    return Translated(
        tree.sql(dialect="sqlite", normalize_functions=False), fields, resolver.tables
    )


def _parse(adql: str) -> exp.Query:
    if len(adql) > _LONGEST:
        raise AdqlError("the query is too long")
    try:
        trees = [tree for tree in sqlglot.parse(adql, dialect=Adql) if tree is not None]
    except ParseError as trouble:
        raise AdqlError(_where(trouble)) from trouble
    except TokenError as trouble:
        raise AdqlError(f"cannot read the query: {trouble}") from trouble
    except RecursionError:
        raise AdqlError("the query is nested too deeply") from None
    if len(trees) != 1:
        raise AdqlError(
            "one statement is expected, found " + (str(len(trees)) if trees else "none")
        )
    tree = trees[0]
    while isinstance(tree, exp.Subquery) and not tree.alias:
        tree = tree.this
    if not isinstance(tree, (exp.Select, exp.SetOperation)):
        raise AdqlError(f"only SELECT is allowed, not {tree.key.upper()}")
    return tree


def _where(trouble: ParseError) -> str:
    if not trouble.errors:
        return str(trouble).splitlines()[0]
    first = trouble.errors[0]
    text = str(first.get("description") or "cannot read the query").rstrip(".")
    return (
        f"{text} at line {first.get('line')}, column {first.get('col')}, "
        f'near "{first.get("highlight")}"'
    )


_STANDARD = (
    exp.Count, exp.Sum, exp.Min, exp.Max, exp.Avg, exp.Coalesce, exp.Lower, exp.Upper, exp.Cast,
    exp.Case, exp.If, exp.And, exp.Or, exp.Exists,
)  # fmt: skip


def _check_function(node: exp.Func) -> None:
    if isinstance(node, exp.Anonymous):
        signature = SIGNATURES.get(str(node.this).upper())
        if signature is None:
            raise AdqlError(f'function "{node.this}" does not exist{place_of(node)}')
        if not signature.fewest <= len(node.expressions) <= signature.most:
            raise AdqlError(f"wrong number of arguments to {node.this}{place_of(node)}")
    elif not isinstance(node, _STANDARD):
        raise AdqlError(f"not part of ADQL: {node.sql_name()}")
    elif isinstance(node, exp.AggFunc) and isinstance(node.this, exp.Distinct):
        # CADC's own documentation: DISTINCT within an aggregate is not supported.
        raise AdqlError(f"DISTINCT is not supported within {node.sql_name()}")


def _keep_timestamp(node: exp.Cast) -> None:
    # Timestamps are stored as ISO text; SQLite's DATETIME() would put a blank for the T.
    if node.to.this in {exp.DType.TIMESTAMP, exp.DType.TIMESTAMPTZ, exp.DType.DATETIME}:
        node.replace(node.this)
