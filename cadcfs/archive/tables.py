"""What can be asked: the tables of a TAP service, from its TAP_SCHEMA (TAP 1.1, 4).

Two queries tell all tables with all their columns; pyvo's way through VOSI takes a request for
each table. Which columns TAP_SCHEMA itself has depends on the service's version of TAP, so all of
them are asked for and taken by name.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from cadcfs.archive.tap import Tap
from cadcfs.archive.votable import Answer
from cadcfs.errors import Incomplete

TABLES = "SELECT * FROM tap_schema.tables"
COLUMNS = "SELECT * FROM tap_schema.columns"
FLAGS = ("principal", "indexed", "std")
"""Columns of TAP_SCHEMA.columns that are 0 or 1 (TAP 1.1, 4.3)."""


@dataclass(frozen=True, slots=True)
class Column:
    """One column as its service describes it; "" where nothing is said."""

    name: str
    datatype: str
    arraysize: str
    unit: str
    ucd: str
    utype: str
    description: str
    flags: str


@dataclass(frozen=True, slots=True)
class Table:
    """One table; its name has the schema in front."""

    name: str
    description: str
    columns: tuple[Column, ...]


class Schema:
    """The tables of one service."""

    def __init__(self, tap: Tap, seconds: float) -> None:
        self._tap = tap
        self._seconds = seconds

    async def tables(self) -> tuple[Table, ...]:
        """All tables, by name.

        Raises
        ------
        Incomplete
            The service cut the answer, or has no TAP_SCHEMA.
        Unavailable
        """
        tables = _rows(await self._tap.answer(TABLES, seconds=self._seconds))
        columns = _rows(await self._tap.answer(COLUMNS, seconds=self._seconds))
        of_table: defaultdict[str, list[dict[str, str]]] = defaultdict(list)
        for row in columns:
            of_table[row.get("table_name", "")].append(row)
        return tuple(
            Table(
                _full_name(row),
                row.get("description", ""),
                tuple(_column(c) for c in _in_order(of_table[row["table_name"]])),
            )
            for row in sorted(tables, key=_full_name)
            if row.get("table_name")
        )


def _rows(answer: Answer) -> list[dict[str, str]]:
    if answer.cut:
        raise Incomplete("the service cut its own TAP_SCHEMA")
    names = [field.name.lower() for field in answer.fields]
    return [dict(zip(names, row, strict=True)) for row in answer.rows]


def _full_name(row: dict[str, str]) -> str:
    name, schema = row.get("table_name", ""), row.get("schema_name", "")
    return name if "." in name or not schema else f"{schema}.{name}"


def _in_order(rows: Sequence[dict[str, str]]) -> list[dict[str, str]]:
    """As the service wants its columns shown, where it says so (TAP 1.1: column_index)."""
    return sorted(rows, key=lambda row: int(row.get("column_index") or 0))


def _column(row: dict[str, str]) -> Column:
    told = {
        name: row.get(name, "")
        for name in ("datatype", "arraysize", "unit", "ucd", "utype", "description")
    }
    flags = " ".join(flag for flag in FLAGS if row.get(flag) == "1")
    return Column(name=row.get("column_name", ""), flags=flags, **told)
