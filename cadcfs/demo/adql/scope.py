"""Which table and which column a name means (ADQL 2.1, section 2.2: scopes and correlation names).

The walk checks every name, spells tables the way the connection knows them, and gives the fields
of the outermost select list.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace

from sqlglot import exp

from cadcfs.demo.adql.catalogue import Catalogue, Field, Table
from cadcfs.demo.adql.typing import type_of
from cadcfs.errors import BadRequest

Fields = tuple[Field, ...]


class AdqlError(BadRequest):
    """A query that the service refuses; the message names the place."""


def place_of(node: exp.Expr) -> str:
    """Say where in the query a node stands, if the parser knows."""
    for part in (node, *node.find_all(exp.Identifier)):
        if "line" in part.meta:
            return f" at line {part.meta['line']}, column {part.meta['col']}"
    return ""


@dataclass(slots=True)
class Scope:
    """The tables in sight of one SELECT, by correlation name in lower case."""

    outer: Scope | None
    tables: dict[str, Fields] = field(default_factory=dict)

    def add(self, name: str, fields: Fields) -> None:
        """Put a table in sight."""
        if name.lower() in self.tables:
            raise AdqlError(f'the name "{name}" stands for two tables')
        self.tables[name.lower()] = fields

    def find(self, column: exp.Column) -> Field | None:
        """Return the field a column means, in this scope or an outer one."""
        wanted, table = column.name.lower(), column.table.lower()
        candidates = (self.tables.get(table),) if table else tuple(self.tables.values())
        for fields in candidates:
            for known in fields or ():
                if known.name.lower() == wanted:
                    return known
        return self.outer.find(column) if self.outer else None


class Resolver:
    """Walks a query, checking names."""

    def __init__(self, catalogue: Catalogue) -> None:
        """Resolve against the tables of a catalogue."""
        self._catalogue = catalogue
        self._used: dict[str, Table] = {}

    @property
    def tables(self) -> tuple[Table, ...]:
        """The tables that the query named, each once."""
        return tuple(self._used.values())

    def fields(self, query: exp.Expr) -> Fields:
        """Check a whole query and return the fields of its result."""
        return self._query(query, None, {})

    def _query(self, query: exp.Expr, outer: Scope | None, named: Mapping[str, Fields]) -> Fields:
        common = query.args.get("with_")
        if common is not None:
            named = dict(named)
            for cte in common.expressions:
                named[cte.alias.lower()] = self._query(cte.this, outer, named)
        if isinstance(query, exp.Subquery):
            return self._query(query.this, outer, named)
        if isinstance(query, exp.SetOperation):
            left = self._query(query.left, outer, named)
            right = self._query(query.right, outer, named)
            if len(left) != len(right):
                raise AdqlError("the parts of a set operation differ in their number of columns")
            return left
        if not isinstance(query, exp.Select):
            raise AdqlError(f"a query is expected, not {query.key.upper()}")
        return self._select(query, outer, named)

    def _select(
        self, select: exp.Select, outer: Scope | None, named: Mapping[str, Fields]
    ) -> Fields:
        scope = Scope(outer)
        origin = select.args.get("from_")
        joins = select.args.get("joins") or []
        if origin is not None:
            self._sources(origin.this, scope, named)
        for join in joins:
            self._sources(join.this, scope, named)
        for join in joins:
            for part in (join.args.get("on"), *(join.args.get("using") or ())):
                self._expression(part, scope, named)
        result = tuple(
            known for item in select.expressions for known in self._item(item, scope, named)
        )
        for part in ("where", "having", "distinct", "limit", "offset"):
            self._expression(select.args.get(part), scope, named)
        # Names given in the select list count in GROUP BY and ORDER BY.
        outputs = Scope(scope, {"": result})
        for part in ("group", "order"):
            self._expression(select.args.get(part), outputs, named)
        return result

    def _sources(self, source: exp.Expr, scope: Scope, named: Mapping[str, Fields]) -> None:
        for join in source.args.get("joins") or []:
            self._sources(join.this, scope, named)
            self._expression(join.args.get("on"), scope, named)
        wraps_table = isinstance(source, exp.Subquery) and isinstance(source.this, exp.Table)
        if wraps_table or isinstance(source, exp.Paren):
            self._sources(source.this, scope, named)
        elif isinstance(source, exp.Subquery):
            scope.add(source.alias, self._query(source.this, scope.outer, named))
        elif isinstance(source, exp.Table) and isinstance(source.this, exp.Identifier):
            self._table(source, scope, named)
        else:
            raise AdqlError(f"not a table: {source.sql()}{place_of(source)}")

    def _table(self, node: exp.Table, scope: Scope, named: Mapping[str, Fields]) -> None:
        if not node.db and node.name.lower() in named:
            scope.add(node.alias_or_name, named[node.name.lower()])
            return
        table = None if node.catalog else self._catalogue.find(node.db, node.name)
        if table is None:
            full = f"{node.db}.{node.name}" if node.db else node.name
            raise AdqlError(f'table "{full}" does not exist{place_of(node)}')
        scope.add(node.alias_or_name, table.fields)
        alias = node.alias
        self._used[table.view] = table
        node.set("this", exp.to_identifier(table.view, quoted=True))
        node.set("db", exp.to_identifier("temp"))
        if not alias:
            node.set("alias", exp.TableAlias(this=exp.to_identifier(table.name, quoted=True)))

    def _item(self, item: exp.Expr, scope: Scope, named: Mapping[str, Fields]) -> Iterator[Field]:
        if isinstance(item, exp.Star):
            for fields in scope.tables.values():
                yield from fields
            return
        if isinstance(item, exp.Column) and isinstance(item.this, exp.Star):
            starred = scope.tables.get(item.table.lower())
            if starred is None:
                raise AdqlError(f'table "{item.table}" is not in the query{place_of(item)}')
            item.set("db", None)
            yield from starred
            return
        self._expression(item, scope, named)
        inner = item.this if isinstance(item, exp.Alias) else item
        known = type_of(inner, scope.find)
        yield replace(known, name=item.alias) if isinstance(item, exp.Alias) else known

    def _expression(self, part: exp.Expr | None, scope: Scope, named: Mapping[str, Fields]) -> None:
        """Check the names of an expression; queries within it open scopes of their own."""
        if part is None:
            return
        if isinstance(part, (exp.Select, exp.SetOperation)):
            self._query(part, scope, named)
            return
        if isinstance(part, exp.Column) and not isinstance(part.this, exp.Star):
            self._column(part, scope)
        elif isinstance(part, exp.Identifier) and isinstance(part.parent, exp.Join):
            self._column(exp.column(part.copy()), scope)
        for child in part.iter_expressions():
            self._expression(child, scope, named)

    def _column(self, column: exp.Column, scope: Scope) -> None:
        if scope.find(column) is None:
            text = f"{column.table}.{column.name}" if column.table else column.name
            raise AdqlError(f'column "{text}" does not exist{place_of(column)}')
        # caom2.Plane.obsID: the correlation name is the table's own, without its schema.
        column.set("db", None)
        column.set("catalog", None)
