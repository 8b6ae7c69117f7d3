"""What a query may name: tables and their columns, looked up without regard to case."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Field:
    """A column as a VOTable FIELD describes it (VOTable 1.4, 4.1), and TAP_SCHEMA's flags."""

    name: str
    datatype: str
    arraysize: str = ""
    xtype: str = ""
    unit: str = ""
    ucd: str = ""
    utype: str = ""
    description: str = ""
    id: str = ""
    flags: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Key:
    """A way to join two tables (TAP 1.1, section 4.4)."""

    id: str
    source: str
    target: str
    from_column: str
    target_column: str
    description: str = ""


@dataclass(frozen=True, slots=True)
class Table:
    """A table under its full name, `schema.name`."""

    schema: str
    name: str
    fields: tuple[Field, ...]
    description: str = ""

    @property
    def full_name(self) -> str:
        """The name by which queries call the table."""
        return f"{self.schema}.{self.name}"

    @property
    def view(self) -> str:
        """The name of the temporary view through which queries see this table."""
        return self.full_name.lower()


@dataclass(frozen=True, slots=True)
class Catalogue:
    """All tables of the service."""

    tables: tuple[Table, ...]
    keys: tuple[Key, ...] = ()
    _by_name: dict[str, Table] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        """Index the tables by lower-case full name."""
        names = {table.view: table for table in self.tables}
        object.__setattr__(self, "_by_name", names)

    def find(self, schema: str, name: str) -> Table | None:
        """Return the table of that name, in any case of letters."""
        return self._by_name.get(f"{schema}.{name}".lower())

    def schemas(self) -> Iterable[str]:
        """Return the schemas' names, each once, in order."""
        return dict.fromkeys(table.schema for table in self.tables)

    def with_tables(self, more: Iterable[Table]) -> Catalogue:
        """Return this catalogue and some tables more, such as uploaded ones."""
        return Catalogue((*self.tables, *more), self.keys)
