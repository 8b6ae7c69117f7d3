"""TAP_SCHEMA (TAP 1.1, section 4) and the catalogue that the gate checks names against."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Mapping
from contextlib import closing
from pathlib import Path

from cadcfs.demo.adql.catalogue import Catalogue, Field, Table
from cadcfs.demo.schema import COLUMNS

_OWN: Mapping[str, tuple[str, ...]] = {
    "schemas": ("schema_name", "utype", "description", "schema_index:int"),
    "tables": (
        "schema_name", "table_name", "table_type", "utype", "description", "table_index:int",
    ),
    "columns": (
        "table_name", "column_name", "utype", "ucd", "unit", "description", "datatype",
        "arraysize", "xtype", '"size":int', "principal:int", "indexed:int", "std:int",
        "column_index:int",
    ),
    "keys": ("key_id", "from_table", "target_table", "utype", "description"),
    "key_columns": ("key_id", "from_column", "target_column"),
}  # fmt: skip

_KEYS = (
    ("observation_plane", "caom2.Plane", "caom2.Observation", "obsID"),
    ("plane_artifact", "caom2.Artifact", "caom2.Plane", "planeID"),
)


def catalogue_of(database: Path) -> Catalogue:
    """Describe the tables that the archive's database really has, and TAP_SCHEMA's own."""
    described = {
        (column.table.rpartition(".")[2].lower(), column.name.lower()): column for column in COLUMNS
    }
    tables = []
    with closing(
        sqlite3.connect(f"{database.absolute().as_uri()}?mode=ro&immutable=1", uri=True)
    ) as db:
        names = [
            name for (name,) in db.execute("SELECT name FROM sqlite_master WHERE type='table'")
        ]
        for name in names:
            fields = []
            for _, column, *_ in db.execute(f'PRAGMA table_info("{name}")'):
                known = described.get((name.lower(), column.lower()))
                if known is not None:
                    size = str(known.arraysize or "")
                    fields.append(
                        Field(
                            known.name, known.datatype, size, known.xtype or "",
                            known.unit or "", known.ucd or "", known.utype or "",
                            known.description or "",
                        )
                    )  # fmt: skip
            if fields:
                tables.append(Table("caom2", name, tuple(fields)))
    return Catalogue((*tables, *_own_tables()))


def _own_tables() -> Iterable[Table]:
    for name, columns in _OWN.items():
        yield Table("tap_schema", name, tuple(_own_field(column) for column in columns))


def _own_field(column: str) -> Field:
    name, _, kind = column.partition(":")
    return Field(name.strip('"'), kind or "char", "" if kind else "*")


def image_of(catalogue: Catalogue) -> bytes:
    """Write TAP_SCHEMA as a SQLite database image, which a connection loads in microseconds."""
    with closing(sqlite3.connect(":memory:")) as db:
        for name, columns in _OWN.items():
            listed = ", ".join(column.replace(":", " ") for column in columns)
            db.execute(f'CREATE TABLE "{name}" ({listed})')
        rows = _rows(catalogue)
        for name, values in rows.items():
            marks = ", ".join("?" * len(_OWN[name]))
            db.executemany(f'INSERT INTO "{name}" VALUES ({marks})', values)
        db.commit()
        return db.serialize()


def _rows(catalogue: Catalogue) -> dict[str, list[tuple[object, ...]]]:
    schemas: list[tuple[object, ...]] = [
        (name, None, None, place) for place, name in enumerate(catalogue.schemas())
    ]
    tables: list[tuple[object, ...]] = []
    columns: list[tuple[object, ...]] = []
    for place, table in enumerate(catalogue.tables):
        full = f"{table.schema}.{table.name}"
        tables.append((table.schema, full, "table", None, table.description or None, place))
        for index, field in enumerate(table.fields):
            size = int(field.arraysize) if field.arraysize.isdigit() else None
            columns.append((
                full, field.name, field.utype or None, field.ucd or None, field.unit or None,
                field.description or None, field.datatype, field.arraysize or None,
                field.xtype or None, size, 0, 0, 0, index,
            ))  # fmt: skip
    return {
        "schemas": schemas,
        "tables": tables,
        "columns": columns,
        "keys": [(key, source, target, None, None) for key, source, target, _ in _KEYS],
        "key_columns": [(key, column, column) for key, _, _, column in _KEYS],
    }
