"""Parquet with the columns' descriptions as a VOTable in its metadata (VOParquet convention)."""

from __future__ import annotations

import io
from collections.abc import Iterable
from typing import Any

import pyarrow as pa
from pyarrow import parquet

from cadcfs.demo.adql.catalogue import Field
from cadcfs.demo.tap.votable import fields_document
from cadcfs.demo.tap.writer import Header, Row, text_of

_TYPES = {
    "boolean": pa.bool_(), "unsignedByte": pa.uint8(), "short": pa.int16(), "int": pa.int32(),
    "long": pa.int64(), "float": pa.float32(), "double": pa.float64(),
}  # fmt: skip
_VERSION_KEY, _CONTENT_KEY = "IVOA.VOTable-Parquet.version", "IVOA.VOTable-Parquet.content"


class Parquet:
    """Writes a row group for each batch; a result that was cut is not marked."""

    def __init__(self) -> None:
        """Write into a buffer that is emptied after every batch."""
        self._sink = _Sink()
        self._fields: tuple[Field, ...] = ()
        self._schema: pa.Schema = pa.schema([])
        self._writer: parquet.ParquetWriter | None = None

    def begin(self, header: Header) -> bytes:
        """Write the file's first bytes."""
        self._fields = header.fields
        content = {_VERSION_KEY: "1.0", _CONTENT_KEY: fields_document(header)}
        columns = [pa.field(field.name, _type(field)) for field in header.fields]
        self._schema = pa.schema(columns, metadata=content)
        self._writer = parquet.ParquetWriter(self._sink, self._schema)
        return self._sink.taken()

    def rows(self, batch: Iterable[Row]) -> bytes:
        """Write rows."""
        columns = list(zip(*batch, strict=True))
        arrays = [
            pa.array([_value(field, value) for value in column], _type(field))
            for field, column in zip(self._fields, columns, strict=True)
        ]
        assert self._writer is not None
        self._writer.write_table(pa.Table.from_arrays(arrays, schema=self._schema))
        return self._sink.taken()

    def end(self, *, overflow: bool) -> bytes:  # noqa: ARG002 - the format cannot say it
        """Write the footer, where Parquet keeps its metadata."""
        assert self._writer is not None
        self._writer.close()
        return self._sink.taken()


class _Sink(io.RawIOBase):
    """A file that is read off while it is written."""

    def __init__(self) -> None:
        super().__init__()
        self._parts: list[bytes] = []
        self._size = 0

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:  # noqa: ANN401 (whatever holds bytes)
        part = bytes(data)
        self._parts.append(part)
        self._size += len(part)
        return len(part)

    def tell(self) -> int:
        return self._size

    def taken(self) -> bytes:
        """Return what was written since the last call."""
        parts, self._parts = self._parts, []
        return b"".join(parts)


def _is_array(field: Field) -> bool:
    return bool(field.arraysize) and field.datatype in _TYPES


def _type(field: Field) -> Any:  # noqa: ANN401 (pyarrow has no types)
    if _is_array(field):
        return pa.list_(_TYPES[field.datatype])
    return _TYPES.get(field.datatype, pa.string())


def _value(field: Field, value: Any) -> Any:  # noqa: ANN401 (any SQLite value)
    if value is None:
        return None
    if _is_array(field):
        convert = float if field.datatype in ("float", "double") else int
        return [convert(part) for part in text_of(field)(value).split()]
    if field.datatype == "boolean":
        return text_of(field)(value) == "true"
    if field.datatype in _TYPES:
        return float(value) if field.datatype in ("float", "double") else int(value)
    return str(value)
