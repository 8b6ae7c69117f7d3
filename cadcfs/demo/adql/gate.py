"""From ADQL text to SQL for SQLite, through a gate that lets only known things pass.

The parser is lenient (it takes DROP and two statements at once); what a query may be is decided
here, on the tree: one SELECT out of the parts of ADQL that CADC's service takes, with tables and
columns of the catalogue and functions of functions.py. Resolving the names also gives the
result's fields.
"""

from __future__ import annotations

from dataclasses import dataclass

from sqlglot import exp

from cadcfs.demo.adql.catalogue import Catalogue, Field, Table
from cadcfs.demo.adql.functions import SIGNATURES
from cadcfs.demo.adql.reading import read
from cadcfs.demo.adql.scope import AdqlError, Resolver, place_of

_PARTS = (
    exp.Select, exp.From, exp.Join, exp.Table, exp.TableAlias, exp.Identifier, exp.Column,
    exp.Star, exp.Alias, exp.Where, exp.Group, exp.Having, exp.Order, exp.Ordered, exp.Distinct,
    exp.Limit, exp.Subquery, exp.In, exp.Between, exp.Like, exp.Escape, exp.Is, exp.Null,
    exp.Not, exp.EQ, exp.NEQ, exp.GT, exp.GTE, exp.LT, exp.LTE, exp.Add, exp.Sub, exp.Mul,
    exp.Div, exp.Neg, exp.DPipe, exp.Paren, exp.Literal, exp.DataType, exp.DataTypeParam,
    exp.Anonymous,
    exp.Count, exp.Sum, exp.Min, exp.Max, exp.Avg, exp.Lower, exp.Upper, exp.Cast, exp.Case,
    exp.If, exp.And, exp.Or, exp.Exists,
)  # fmt: skip
_JOINS = frozenset({"", "INNER", "LEFT", "RIGHT", "FULL", "OUTER", "CROSS", "NATURAL"})


@dataclass(frozen=True, slots=True)
class Translated:
    """A query that passed the gate."""

    sql: str
    fields: tuple[Field, ...]
    tables: tuple[Table, ...]


def translate(adql: str, catalogue: Catalogue) -> Translated:
    """Check a query and write it for SQLite; raise AdqlError with the place of what is wrong."""
    tree = read(adql)
    try:
        return _translated(tree, catalogue)
    except RecursionError:
        raise AdqlError("the query is nested too deeply") from None


def _translated(tree: exp.Query, catalogue: Catalogue) -> Translated:
    for node in tree.walk():
        _check_part(node)
    resolver = Resolver(catalogue)
    fields = resolver.fields(tree)
    _check_schemas(resolver.tables)
    for node in list(tree.find_all(exp.Cast)):
        _keep_timestamp(node)
    sql = tree.sql(dialect="sqlite", normalize_functions=False)
    return Translated(sql, fields, resolver.tables)


def _check_part(node: exp.Expr) -> None:
    """Refuse what CADC's service does not take, in its words."""
    if isinstance(node, exp.SetOperation):
        raise AdqlError(f"{node.key.upper()} is not supported.{place_of(node)}")
    if isinstance(node, exp.With):
        raise AdqlError(f"WITH is not supported.{place_of(node)}")
    if not isinstance(node, _PARTS):
        raise AdqlError(f"not part of ADQL: {node.key.upper()}{place_of(node)}")
    if isinstance(node, exp.Select):
        _check_select(node)
    elif isinstance(node, exp.Subquery) and isinstance(node.parent, (exp.From, exp.Join)):
        if isinstance(node.this, exp.Query):
            raise AdqlError(f"sub-select not supported in FROM clause.{place_of(node)}")
    elif isinstance(node, exp.Join):
        words = {node.side, node.kind, str(node.args.get("method") or "")}
        if not words <= _JOINS:
            raise AdqlError(f"not part of ADQL: {' '.join(sorted(words))} JOIN{place_of(node)}")
    elif isinstance(node, exp.Func):
        _check_function(node)


def _check_select(node: exp.Select) -> None:
    if not node.expressions:
        raise AdqlError("the select list is empty")
    if node.args.get("from_") is None:
        raise AdqlError("FROM is missing")
    limit = node.args.get("limit")
    if limit is not None and not (
        isinstance(limit.expression, exp.Literal) and limit.expression.is_int
    ):
        raise AdqlError("TOP takes a whole number")


def _check_function(node: exp.Func) -> None:
    if isinstance(node, exp.Anonymous):
        signature = SIGNATURES.get(str(node.this).upper())
        if signature is None:
            raise AdqlError(f'function "{node.this}" does not exist{place_of(node)}')
        if not signature.fewest <= len(node.expressions) <= signature.most:
            raise AdqlError(f"wrong number of arguments to {node.this}{place_of(node)}")
    elif isinstance(node, exp.AggFunc) and isinstance(node.this, exp.Distinct):
        # CADC's own documentation: DISTINCT within an aggregate is not supported.
        raise AdqlError(f"DISTINCT is not supported within {node.sql_name()}{place_of(node)}")


def _check_schemas(tables: tuple[Table, ...]) -> None:
    own = {table.schema == "tap_schema" for table in tables}
    if len(own) > 1:
        raise AdqlError("access tap_schema and non-tap_schema tables in single query")


def _keep_timestamp(node: exp.Cast) -> None:
    # Timestamps are stored as ISO text; SQLite's DATETIME() would put a blank for the T.
    if node.to.this in {exp.DType.TIMESTAMP, exp.DType.TIMESTAMPTZ, exp.DType.DATETIME}:
        node.replace(node.this)
