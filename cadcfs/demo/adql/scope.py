"""Which table and which column a name means (ADQL 2.1, section 2.2: scopes and correlation names).

The walk checks every name, spells tables the way the connection knows them, and gives the fields
of the outermost select list.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field, replace

from sqlglot import exp

from cadcfs.demo.adql import grouping, regions, timestamps
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
            # The parser counts columns at the end of a word.
            length = part.meta.get("end", 0) - part.meta.get("start", 0)
            return f" at line {part.meta['line']}, column {part.meta['col'] - length}"
    return ""


@dataclass(slots=True)
class Scope:
    """The tables in sight of one SELECT, by correlation name in lower case."""

    outer: Scope | None
    tables: dict[str, Fields] = field(default_factory=dict)
    # Columns that a join made one of, by USING or NATURAL.
    joined: set[str] = field(default_factory=set)

    def add(self, name: str, fields: Fields) -> None:
        """Put a table in sight."""
        if name.lower() in self.tables:
            raise AdqlError(f'the name "{name}" stands for two tables')
        self.tables[name.lower()] = fields

    def find(self, column: exp.Column) -> Field | None:
        """Return the field a column means, in this scope or an outer one."""
        wanted, table = column.name.lower(), column.table.lower()
        candidates = (self.tables.get(table),) if table else tuple(self.tables.values())
        found = [
            known for fields in candidates for known in fields or () if known.name.lower() == wanted
        ]
        if len(found) > 1 and "" not in self.tables and wanted not in self.joined:
            raise AdqlError(f'column "{column.name}" is ambiguous{place_of(column)}')
        if found:
            return found[0]
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

    def fields(self, query: exp.Expr, outer: Scope | None = None) -> Fields:
        """Check a whole query and return the fields of its result."""
        if isinstance(query, exp.Subquery):
            return self.fields(query.this, outer)
        if not isinstance(query, exp.Select):
            raise AdqlError(f"a query is expected, not {query.key.upper()}")
        scope = Scope(outer)
        joins = query.args.get("joins") or []
        self._sources(query.args["from_"].this, scope)
        for join in joins:
            self._sources(join.this, scope)
        for join in joins:
            self._join(join, scope)
        result = tuple(known for item in query.expressions for known in self._item(item, scope))
        for part in ("where", "having", "distinct", "limit"):
            self._expression(query.args.get(part), scope)
        # Names given in the select list count in GROUP BY and ORDER BY.
        outputs = Scope(scope, {"": result})
        for part in ("group", "order"):
            self._expression(query.args.get(part), outputs)
        grouping.check(query, scope.find, lambda text, at: AdqlError(text + place_of(at)))
        return result

    def _sources(self, source: exp.Expr, scope: Scope) -> None:
        joins = source.args.get("joins") or []
        if isinstance(source, (exp.Subquery, exp.Paren)):
            self._sources(source.this, scope)
        elif isinstance(source, exp.Table) and isinstance(source.this, exp.Identifier):
            self._table(source, scope)
        else:
            raise AdqlError(f"not a table: {source.sql()}{place_of(source)}")
        for join in joins:
            self._sources(join.this, scope)
        for join in joins:
            self._join(join, scope)

    def _join(self, join: exp.Join, scope: Scope) -> None:
        self._expression(join.args.get("on"), scope)
        for name in join.args.get("using") or ():
            scope.joined.add(name.name.lower())
            self._expression(exp.column(name.copy()), scope)
        if str(join.args.get("method") or "").upper() == "NATURAL":
            counted = Counter(f.name.lower() for fields in scope.tables.values() for f in fields)
            scope.joined |= {name for name, count in counted.items() if count > 1}

    def _table(self, node: exp.Table, scope: Scope) -> None:
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

    def _item(self, item: exp.Expr, scope: Scope) -> Iterator[Field]:
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
        self._expression(item, scope)
        inner = item.this if isinstance(item, exp.Alias) else item
        known = type_of(inner, scope.find)
        yield replace(known, name=item.alias) if isinstance(item, exp.Alias) else known

    def _expression(self, part: exp.Expr | None, scope: Scope) -> None:
        """Check the names of an expression; queries within it open scopes of their own."""
        if part is None:
            return
        if isinstance(part, exp.Select):
            self.fields(part, scope)
            return
        if isinstance(part, exp.Column) and not isinstance(part.this, exp.Star):
            self._column(part, scope)
        for child in list(part.iter_expressions()):
            self._expression(child, scope)
        timestamps.unify(part, scope.find, lambda text: AdqlError(text + place_of(part)))
        if isinstance(part, exp.Anonymous):
            regions.check(part, scope.find, lambda text: AdqlError(text + place_of(part)))

    def _column(self, column: exp.Column, scope: Scope) -> None:
        if scope.find(column) is None:
            text = f"{column.table}.{column.name}" if column.table else column.name
            raise AdqlError(f'column "{text}" does not exist{place_of(column)}')
        # caom2.Plane.obsID: the correlation name is the table's own, without its schema.
        column.set("db", None)
        column.set("catalog", None)
