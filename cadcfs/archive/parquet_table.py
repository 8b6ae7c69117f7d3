"""A VOTable in parts as one Parquet file, a row group a part.

Units, UCDs and descriptions stand in each field's metadata, and the whole heading as a VOTable
without rows in the file's (VOParquet 1.0), which stilts and astropy read.
"""

from __future__ import annotations

import io
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from cadcfs.archive.conversion import unique

if TYPE_CHECKING:
    from astropy.io.votable.tree import Field, TableElement

TYPES = {
    "boolean": pa.bool_(),
    "bit": pa.bool_(),
    "unsignedByte": pa.uint8(),
    "short": pa.int16(),
    "int": pa.int32(),
    "long": pa.int64(),
    "float": pa.float32(),
    "double": pa.float64(),
    "char": pa.string(),
    "unicodeChar": pa.string(),
}
TOLD = ("unit", "ucd", "utype", "xtype", "description", "datatype", "arraysize")


def write_parquet(tables: Iterable[TableElement], target: Path) -> None:
    """Write all parts; there is at least one."""
    writer: pq.ParquetWriter | None = None
    try:
        for table in tables:
            names = unique([field.name for field in table.fields])
            if writer is None:
                writer = pq.ParquetWriter(target, _schema(table, names), compression="zstd")
            columns = [_column(table, field, type_) for field, type_ in
                       zip(table.fields, writer.schema.types, strict=True)]  # fmt: skip
            writer.write_table(pa.Table.from_arrays(columns, schema=writer.schema))
    finally:
        if writer is not None:
            writer.close()


def _schema(table: TableElement, names: list[str]) -> pa.Schema:
    fields = [
        pa.field(name, _type(field), metadata=_told(field))
        for name, field in zip(names, table.fields, strict=True)
    ]
    about = {
        "IVOA.VOTable-Parquet.version": "1.0",
        "IVOA.VOTable-Parquet.content": _heading(table),
    }
    return pa.schema(fields, metadata=about)


def _type(field: Field) -> pa.DataType:
    element = TYPES.get(field.datatype, pa.string())
    is_text = field.datatype in ("char", "unicodeChar")
    # The last dimension of text is its length.
    is_array = field.arraysize is not None and ("x" in field.arraysize or not is_text)
    return pa.list_(element) if is_array and field.arraysize != "1" else element


def _told(field: Field) -> dict[str, str]:
    values = {name: getattr(field, name, None) for name in TOLD}
    return {name: str(value) for name, value in values.items() if value is not None}


def _heading(table: TableElement) -> str:
    from astropy.io.votable.tree import Resource, TableElement, VOTableFile

    document = VOTableFile()
    resource = Resource()
    document.resources.append(resource)
    empty = TableElement(document)
    empty.fields.extend(table.fields)
    empty.description = table.description
    resource.tables.append(empty)
    with io.BytesIO() as text:
        document.to_xml(text)
        return text.getvalue().decode()


def _column(table: TableElement, field: Field, kind: pa.DataType) -> pa.Array:
    column = table.array[field.ID]
    masked: Any = np.ma.getmaskarray(column)
    if pa.types.is_list(kind):
        return pa.array([_listed(v) for v in column], type=kind)
    if masked.ndim > 1:
        masked = masked.all(axis=tuple(range(1, masked.ndim)))
    data: Any = column.data
    if pa.types.is_string(kind):
        texts = (_text(value) for value in data.tolist())
        return pa.array(
            [
                None if null or text == "" else text
                for text, null in zip(texts, masked, strict=True)
            ],
            type=kind,
        )
    return pa.array(np.asarray(data).astype(kind.to_pandas_dtype()), type=kind, mask=masked)


def _listed(value: Any) -> list[Any] | None:  # noqa: ANN401  (an array of any type, maybe masked)
    if value is None or value is np.ma.masked:
        return None
    flat = np.ma.ravel(value).tolist()
    if flat and all(part is None or part != part for part in flat):
        return None
    return [_text(part) if isinstance(part, bytes) else part for part in flat] or None


def _text(value: object) -> str:
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)
