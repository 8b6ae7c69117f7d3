"""TAP_SCHEMA (TAP 1.1, section 4) and the catalogue that the gate checks names against."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing

from cadcfs.demo.adql.catalogue import Catalogue, Field, Key, Table
from cadcfs.demo.schema import TABLES, Column, columns_of

SCHEMAS = {
    "caom2": "the Common Archive Observation Model, version 2.4",
    "ivoa": "tables that the IVOA defines",
    "tap_schema": "what tables and columns there are",
}

# Columns that carry an ID in results, by which a service descriptor can refer to them.
_IDS = {
    ("caom2.Observation", "observationURI"): "caomObservationURI",
    ("caom2.Plane", "publisherID"): "caomPublisherID",
    ("caom2.Artifact", "uri"): "caomArtifactURI",
    ("ivoa.ObsCore", "obs_publisher_did"): "ivoaPublisherID",
}

# Name, datatype and arraysize parted by colons, then what the column holds.
_OWN = {
    "schemas": {
        "schema_name:char:64*": "name of the schema",
        "utype:char:512*": "data model that the schema represents",
        "description:char:512*": "what the schema holds",
        "schema_index:int": "place of the schema in a listing",
    },
    "tables": {
        "schema_name:char:64*": "schema that the table belongs to",
        "table_name:char:64*": "name of the table, with its schema",
        "table_type:char:8*": "table or view",
        "utype:char:512*": "class of a data model that the table represents",
        "description:char:512*": "what the table holds",
        "table_index:int": "place of the table in a listing",
    },
    "columns": {
        "table_name:char:64*": "table that the column belongs to",
        "column_name:char:64*": "name of the column",
        "utype:char:512*": "attribute of a data model that the column represents",
        "ucd:char:64*": "Unified Content Descriptor",
        "unit:char:64*": "unit of the values",
        "description:char:512*": "what the column holds",
        "datatype:char:64*": "datatype as in VOTable",
        "xtype:char:64*": "how the values are to be read further",
        "arraysize:char:16*": "size of an array, as in VOTable",
        '"size":int': "length of an array, if fixed; arraysize tells more",
        "principal:int": "1 for the columns that matter most",
        "indexed:int": "1 if conditions on the column are fast",
        "std:int": "1 if a standard defines the column",
        "column_index:int": "place of the column in its table",
    },
    "keys": {
        "key_id:char:64*": "identifier of the key",
        "from_table:char:64*": "table that refers to another",
        "target_table:char:64*": "table that is referred to",
        "utype:char:512*": "relation of a data model that the key represents",
        "description:char:512*": "what the key joins",
    },
    "key_columns": {
        "key_id:char:64*": "key that the columns belong to",
        "from_column:char:64*": "column that refers to another",
        "target_column:char:64*": "column that is referred to",
    },
}  # fmt: skip
_OWN_TABLES = {
    "schemas": "the schemas",
    "tables": "the tables",
    "columns": "the columns of all tables",
    "keys": "which tables can be joined",
    "key_columns": "by which columns tables are joined",
}

_KEYS = (
    ("caom2.Plane.obsID", "caom2.Observation.obsID", "planes of an observation"),
    ("caom2.Artifact.planeID", "caom2.Plane.planeID", "files of a plane"),
    ("caom2.Part.artifactID", "caom2.Artifact.artifactID", "parts of a file"),
    ("caom2.Chunk.partID", "caom2.Part.partID", "data arrays of a part"),
    ("caom2.ObservationMember.parentID", "caom2.Observation.obsID", "what was combined"),
    ("caom2.ObservationMember.memberID", "caom2.Observation.observationURI", "the members"),
    ("caom2.ProvenanceInput.outputID", "caom2.Plane.planeID", "what a plane was made of"),
    ("caom2.ProvenanceInput.inputID", "caom2.Plane.planeURI", "the inputs"),
    ("ivoa.ObsFile.core_id", "caom2.Plane.planeID", "files of the data"),
    ("ivoa.ObsPart.file_id", "ivoa.ObsFile.file_id", "parts of the files"),
    ("tap_schema.tables.schema_name", "tap_schema.schemas.schema_name", "tables of a schema"),
    ("tap_schema.columns.table_name", "tap_schema.tables.table_name", "columns of a table"),
    ("tap_schema.keys.from_table", "tap_schema.tables.table_name", "table that refers"),
    ("tap_schema.keys.target_table", "tap_schema.tables.table_name", "table referred to"),
    ("tap_schema.key_columns.key_id", "tap_schema.keys.key_id", "columns of a key"),
)


def catalogue() -> Catalogue:
    """Describe all tables, TAP_SCHEMA's own among them."""
    tables = []
    for name, description in TABLES.items():
        schema, _, short = name.partition(".")
        fields = tuple(_field(column) for column in columns_of(name))
        tables.append(Table(schema, short, fields, description))
    return Catalogue((*tables, *_own_tables()), tuple(_keys()))


def _field(column: Column) -> Field:
    flags = {"principal": column.principal, "indexed": column.indexed, "std": column.std}
    return Field(
        column.name, column.datatype, column.arraysize, column.xtype, column.unit, column.ucd,
        column.utype, column.description, _IDS.get((column.table, column.name), ""),
        frozenset(flag for flag, value in flags.items() if value == "1"),
    )  # fmt: skip


def _own_tables() -> Iterator[Table]:
    for name, columns in _OWN.items():
        yield Table(
            "tap_schema",
            name,
            tuple(_own_field(column, text) for column, text in columns.items()),
            _OWN_TABLES[name],
        )


def _own_field(column: str, description: str) -> Field:
    name, kind, size = (*column.split(":"), "")[:3]
    flags = frozenset({"principal", "std"})
    return Field(name.strip('"'), kind, size, description=description, flags=flags)


def _keys() -> Iterator[Key]:
    for number, (source, target, description) in enumerate(_KEYS, 1):
        (table, _, column), (goal, _, key) = source.rpartition("."), target.rpartition(".")
        yield Key(f"k{number:02d}", table, goal, column, key, description)


def written_name(field: Field) -> str:
    """A column's name as a query must write it: in quotes, if it is a reserved word."""
    return f'"{field.name}"' if field.name == "size" else field.name


def image_of(known: Catalogue) -> bytes:
    """Write TAP_SCHEMA as a SQLite database image, which a connection loads in microseconds."""
    with closing(sqlite3.connect(":memory:")) as db:
        for table in _own_tables():
            columns = ", ".join(f'"{field.name}"' for field in table.fields)
            db.execute(f'CREATE TABLE "{table.name}" ({columns})')
        for name, values in _rows(known).items():
            marks = ", ".join("?" * len(_OWN[name]))
            db.executemany(f'INSERT INTO "{name}" VALUES ({marks})', values)
        db.commit()
        return db.serialize()


def _rows(known: Catalogue) -> dict[str, list[tuple[object, ...]]]:
    tables: list[tuple[object, ...]] = []
    columns: list[tuple[object, ...]] = []
    for place, table in enumerate(known.tables):
        name = table.full_name
        tables.append((table.schema, name, "table", None, table.description or None, place))
        for index, field in enumerate(table.fields, 1):
            length = field.arraysize.rstrip("*")
            size = int(length) if length.isdigit() else None
            flags = [int(flag in field.flags) for flag in ("principal", "indexed", "std")]
            columns.append((
                name, written_name(field), field.utype or None, field.ucd or None,
                field.unit or None, field.description or None, field.datatype,
                field.xtype or None, field.arraysize or None, size, *flags, index,
            ))  # fmt: skip
    return {
        "schemas": [(s, None, SCHEMAS.get(s), i) for i, s in enumerate(known.schemas())],
        "tables": tables,
        "columns": columns,
        "keys": [(k.id, k.source, k.target, None, k.description) for k in known.keys],
        "key_columns": [(k.id, k.from_column, k.target_column) for k in known.keys],
    }
