"""A VOTable in parts as one FITS binary table (FITS 4.0, 7.3).

A binary table has fixed widths and says its number of rows first. So the parts are turned into
columns of numbers and bytes once, which wait in a temporary file, while the longest text and the
value that can stand for NULL become known. NULL is NaN, a TNULL that no row has, or blanks; arrays
of varying length lie in the heap (7.3.5). The standard knows ASCII text alone (4.2.1); names that
are more are UTF-8, as astropy and stilts read and write them.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import numpy as np
from astropy.io import fits

from cadcfs.archive.conversion import unique

if TYPE_CHECKING:
    from astropy.io.votable.tree import Field, TableElement

CODES = {
    "boolean": "L",
    "bit": "L",
    "unsignedByte": "B",
    "short": "I",
    "int": "J",
    "long": "K",
    "float": "E",
    "double": "D",
    "floatComplex": "C",
    "doubleComplex": "M",
}
STORED = {"L": "S1", "B": "u1", "I": ">i2", "J": ">i4", "K": ">i8", "E": ">f4", "D": ">f8",
          "C": ">c8", "M": ">c16"}  # fmt: skip
WIDER = {"B": "I", "I": "J", "J": "K"}
BLOCK = 2880


@dataclass
class _Column:
    """What has been seen of one column so far."""

    field: Field
    code: str
    shape: tuple[int, ...] = ()
    is_varying: bool = False
    width: int = 1
    longest: int = 0
    lowest: int | None = None
    highest: int | None = None
    has_nulls: bool = False
    null: int | None = None
    notes: dict[str, str] = field(default_factory=dict)


def write_fits(tables: Iterable[TableElement], target: Path) -> None:
    """Write all parts; there is at least one."""
    columns: list[_Column] = []
    names: list[str] = []
    sizes: list[int] = []
    with tempfile.TemporaryFile(dir=target.parent) as waiting:
        for table in tables:
            if not columns:
                columns = [_column(table, f) for f in table.fields]
                names = unique([f.name for f in table.fields])
            sizes.append(len(table.array))
            for column in columns:
                _put_by(table.array[column.field.ID], column, waiting)
        for column in columns:
            _choose_null(column)
        waiting.seek(0)
        with target.open("wb") as out, tempfile.TemporaryFile(dir=target.parent) as heap:
            _write(out, heap, waiting, names, columns, sizes)


def _column(table: TableElement, told: Field) -> _Column:
    dtype = table.array.dtype[told.ID]
    is_text = told.datatype in ("char", "unicodeChar")
    code = "A" if is_text else CODES.get(told.datatype, "A")
    is_varying = dtype.kind == "O" and code != "A"
    return _Column(told, code, shape=dtype.shape, is_varying=is_varying)


def _put_by(values: Any, column: _Column, waiting: IO[bytes]) -> None:  # noqa: ANN401
    """Turn one column of a part into plain arrays, and note what its heading must say."""
    masked: Any = np.ma.getmaskarray(values)
    if column.code == "A":
        # Text in arrays is written as one text, as VOTable has it.
        texts = np.array([_bytes(v) for v in values.data.tolist()], dtype="S")
        flat = masked.reshape(len(texts), -1).all(axis=1) if len(texts) else masked
        texts[flat[: len(texts)]] = b""
        column.width = max(column.width, texts.dtype.itemsize if len(texts) else 1)
        np.save(waiting, texts, allow_pickle=False)
    elif column.is_varying:
        kept = [_flat(value, column) for value in values.data]
        lengths = np.array([len(part) for part in kept], dtype=">i8")
        column.longest = max([column.longest, *lengths.tolist()])
        np.save(waiting, lengths, allow_pickle=False)
        joined = np.concatenate(kept) if kept else np.array([], STORED[column.code])
        np.save(waiting, joined, allow_pickle=False)
    else:
        data = _plain(np.asarray(values.data), masked, column)
        np.save(waiting, data, allow_pickle=False)
        np.save(waiting, masked, allow_pickle=False)


def _plain(data: Any, masked: Any, column: _Column) -> Any:  # noqa: ANN401
    if column.code == "L":
        words = np.where(data.astype(bool), b"T", b"F")
        words[masked] = b"\0"
        return words.astype("S1")
    data = data.astype(STORED[column.code])
    if column.code in "BIJK":
        column.has_nulls |= bool(masked.any())
        seen = data[~masked]
        if seen.size:
            low, high = int(seen.min()), int(seen.max())
            column.lowest = low if column.lowest is None else min(low, column.lowest)
            column.highest = high if column.highest is None else max(high, column.highest)
    else:
        data[masked] = np.nan
    return data


def _flat(value: Any, column: _Column) -> Any:  # noqa: ANN401
    stored = STORED[column.code]
    if value is None:
        return np.array([], stored)
    flat = np.ma.ravel(value)
    if column.code == "L":
        return np.where(flat.filled(False), b"T", b"F").astype("S1")
    return np.asarray(flat.filled(np.nan) if flat.dtype.kind in "fc" else flat.data).astype(stored)


def _choose_null(column: _Column) -> None:
    """A value that no row has; a wider type where every value of the narrow one is in use."""
    if not column.has_nulls or column.code not in "BIJK":
        return
    limits = np.iinfo(np.dtype(STORED[column.code]).newbyteorder("="))
    lowest = column.lowest if column.lowest is not None else 0
    highest = column.highest if column.highest is not None else 0
    if lowest > limits.min:
        column.null = int(limits.min)
    elif highest < limits.max:
        column.null = int(limits.max)
    elif column.code in WIDER:
        column.code = WIDER[column.code]
        _choose_null(column)


def _write(
    out: IO[bytes],
    heap: IO[bytes],
    waiting: IO[bytes],
    names: Sequence[str],
    columns: Sequence[_Column],
    sizes: Sequence[int],
) -> None:
    heading = _heading(names, columns)
    heading["NAXIS2"] = sum(sizes)
    rows_type = np.dtype([(str(i), *_stored(column)) for i, column in enumerate(columns)])
    out.write(_primary())
    place = out.tell()
    out.write(heading.tostring().encode("ascii"))
    start = out.tell()
    for size in sizes:
        rows = np.zeros(size, rows_type)
        for index, column in enumerate(columns):
            rows[str(index)] = _taken(column, waiting, heap)
        out.write(rows.tobytes())
    heap_size = heap.tell()
    heap.seek(0)
    while piece := heap.read(1 << 20):
        out.write(piece)
    out.write(b"\0" * (-(out.tell() - start) % BLOCK))
    heading["PCOUNT"] = heap_size
    for number, column in enumerate(columns, 1):
        if column.is_varying:
            heading[f"TFORM{number}"] = _form(column)
    out.seek(place)
    out.write(heading.tostring().encode("ascii"))


def _primary() -> bytes:
    header = fits.PrimaryHDU().header
    header["EXTEND"] = True
    return bytes(header.tostring().encode("ascii"))


def _stored(column: _Column) -> tuple[Any, ...]:
    if column.code == "A":
        return (f"S{column.width}",)
    if column.is_varying:
        return (">i8", (2,))
    return (STORED[column.code], column.shape) if column.shape else (STORED[column.code],)


def _taken(column: _Column, waiting: IO[bytes], heap: IO[bytes]) -> Any:  # noqa: ANN401
    data = np.load(waiting, allow_pickle=False)
    if column.code == "A":
        return data
    if column.is_varying:
        values = np.load(waiting, allow_pickle=False)
        begins = heap.tell() + (np.cumsum(data) - data) * values.dtype.itemsize
        heap.write(values.tobytes())
        return np.stack([data, begins], axis=1)
    masked = np.load(waiting, allow_pickle=False)
    if column.null is not None:
        data = data.astype(STORED[column.code])
        data[masked] = column.null
    return data


def _heading(names: Sequence[str], columns: Sequence[_Column]) -> fits.Header:
    made = [
        fits.Column(
            name=name,
            format=_form(column),
            unit=str(column.field.unit) if column.field.unit is not None else None,
            null=column.null,
            dim=_dimensions(column),
        )
        for name, column in zip(names, columns, strict=True)
    ]
    header = fits.BinTableHDU.from_columns(made, nrows=0).header
    header["NAXIS1"] = sum(np.dtype([("", *_stored(column))]).itemsize for column in columns)
    for number, column in enumerate(columns, 1):
        for key, value in (
            ("TUCD", column.field.ucd),
            ("TUTYP", column.field.utype),
            ("TCOMM", column.field.description),
        ):
            if value:
                text = " ".join(str(value).split())
                header.set(
                    f"{key}{number}",
                    text.encode("ascii", "replace").decode(),
                    after=f"TFORM{number}",
                )
    header.set("LONGSTRN", "OGIP 1.0", "long values go on in CONTINUE")
    return header


def _form(column: _Column) -> str:
    if column.code == "A":
        return f"{column.width}A"
    if column.is_varying:
        return f"Q{column.code}({column.longest})"
    return f"{int(np.prod(column.shape)) if column.shape else 1}{column.code}"


def _dimensions(column: _Column) -> str | None:
    if len(column.shape) < 2 or column.code == "A":
        return None
    return f"({','.join(str(size) for size in reversed(column.shape))})"


def _bytes(value: object) -> bytes:
    if isinstance(value, bytes):
        return value
    if value is None:
        return b""
    if isinstance(value, list | tuple):
        return b" ".join(_bytes(part) for part in value)
    return str(value).encode("utf-8")
