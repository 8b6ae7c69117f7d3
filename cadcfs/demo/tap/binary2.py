"""Rows as VOTable's BINARY2 has them (VOTable 1.4, section 5.4)."""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import Any

from cadcfs.demo.adql.catalogue import Field
from cadcfs.demo.tap.writer import WHOLE, Row, text_of

_CODES = {
    "unsignedByte": "B", "short": "h", "int": "i", "long": "q", "float": "f", "double": "d",
}  # fmt: skip
_LENGTH = struct.Struct(">I")


class Packer:
    """Turns rows of one table into bytes: flags of what is NULL, then every value."""

    def __init__(self, fields: tuple[Field, ...]) -> None:
        """Pack rows of these columns."""
        self._packers = tuple(_packer(field) for field in fields)
        self._empty = tuple(_nothing(field) for field in fields)

    def pack(self, row: Row) -> bytes:
        """Pack one row."""
        count = len(self._packers)
        nulls = 0
        parts = []
        for pack, empty, value in zip(self._packers, self._empty, row, strict=True):
            nulls = nulls << 1 | (value is None)
            parts.append(empty if value is None else pack(value))
        size = -(-count // 8)
        flags = (nulls << (size * 8 - count)).to_bytes(size, "big")
        return flags + b"".join(parts)


def _packer(field: Field) -> Callable[[Any], bytes]:
    if field.datatype in ("char", "unicodeChar"):
        return _characters(field)
    if field.arraysize:
        return _array(field)
    if field.datatype == "boolean":
        return lambda value: b"T" if value in (1, "1", "true", "T") else b"F"
    code = struct.Struct(">" + _CODES[field.datatype])
    convert = int if field.datatype in WHOLE else float
    return lambda value: code.pack(convert(value))


def _characters(field: Field) -> Callable[[Any], bytes]:
    size = field.arraysize or "1"
    # A char is ASCII in BINARY2; readers give up at anything else.
    encoding, width = ("utf-16-be", 2) if field.datatype == "unicodeChar" else ("ascii", 1)
    if size.isdigit():
        length = int(size) * width

        def fixed(value: Any) -> bytes:  # noqa: ANN401 (any SQLite value)
            return str(value).encode(encoding, "replace")[:length].ljust(length, b"\0")

        return fixed

    def counted(value: Any) -> bytes:  # noqa: ANN401
        data = str(value).encode(encoding, "replace")
        return _LENGTH.pack(len(data) // width) + data

    return counted


def _array(field: Field) -> Callable[[Any], bytes]:
    plain = text_of(field)
    code = _CODES[field.datatype]
    convert = int if field.datatype in WHOLE else float
    fixed = field.arraysize.isdigit()

    def pack(value: Any) -> bytes:  # noqa: ANN401
        numbers = [convert(part) for part in plain(value).split()]
        if fixed:
            count = int(field.arraysize)
            numbers = (numbers + [convert(0)] * count)[:count]
        data = struct.pack(f">{len(numbers)}{code}", *numbers)
        return data if fixed else _LENGTH.pack(len(numbers)) + data

    return pack


def _nothing(field: Field) -> bytes:
    """What stands for a value that is NULL: as many bytes as a value has, or length 0."""
    size = field.arraysize or "1"
    if not size.isdigit():
        return _LENGTH.pack(0)
    widths = {"char": 1, "unicodeChar": 2, "boolean": 1}
    width = widths.get(field.datatype) or struct.calcsize(">" + _CODES[field.datatype])
    return bytes(int(size) * width)
