"""Tables that were compressed column by column (FITS Standard 4.0, 10.3).

Groups of rows (tiles) are kept one per row of the compressed table: each cell holds one column of
one tile, transposed and compressed. Arrays of variable length are compressed one by one; their
cell holds two lists of descriptors, of where they belong and of where they are.
"""

from __future__ import annotations

import io
import re
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from cadcfs.errors import Corrupt
from cadcfs.fits.header import BLOCK, NULL_PRIMARY, Header, header_of
from cadcfs.fits.tiles import unpack_image

_FORM = re.compile(r"(\d*)([LXBIJKAEDCMPQ])([LXBIJKAEDCM]?).*")
_BYTES = {"L": 1, "X": 1, "B": 1, "A": 1, "I": 2, "J": 4, "E": 4, "K": 8, "D": 8, "C": 8, "M": 16,
          "P": 8, "Q": 16}  # fmt: skip
_RICE = {"B": 8, "I": 16, "J": 32}
"""BITPIX of the types that RICE_1 takes."""
_REPLACED = re.compile(
    r"TFORM\d+|NAXIS[12]|PCOUNT|ZTABLE|ZTILELEN|ZFORM\d+|ZCTYP\d+|ZNAXIS[12]|ZPCOUNT|ZHEAPPTR"
    r"|ZTHEAP|CHECKSUM|DATASUM|ZHECKSUM|ZDATASUM"
)
_ORIGINALS = {"NAXIS1": "ZNAXIS1", "NAXIS2": "ZNAXIS2", "PCOUNT": "ZPCOUNT"}


@dataclass(frozen=True)
class _Column:
    """A column of the original table."""

    code: str
    element: str
    width: int
    algorithm: str

    @classmethod
    def of(cls, packed: Header, number: int) -> _Column:
        form = _FORM.fullmatch(packed.text(f"ZFORM{number}") or "")
        if form is None:
            raise Corrupt(f"ZFORM{number} of a compressed table is no format")
        repeat = int(form[1] or 1)
        width = -(-repeat // 8) if form[2] == "X" else repeat * _BYTES[form[2]]
        algorithm = packed.text(f"ZCTYP{number}") or "GZIP_2"
        return cls(form[2], form[3] or form[2], width, algorithm)

    @property
    def is_variable(self) -> bool:
        return self.code in "PQ"


def unpack_table(packed: Header, data: bytes) -> tuple[Header, bytes]:
    """Header and data of the original table."""
    try:
        return original_table_header(packed), _Table(packed, data).unpacked()
    except (ValueError, IndexError, zlib.error, KeyError) as exc:
        raise Corrupt(f"the compressed table is damaged: {exc!r}") from exc


def original_table_header(packed: Header) -> Header:
    """The cards of the original, in their places."""
    originals = {card[:8].decode("latin-1").rstrip(): card for card in packed.cards}
    cards = []
    for card in packed.cards:
        name = card[:8].decode("latin-1").rstrip()
        source = _ORIGINALS.get(name, f"Z{name[1:]}" if name.startswith("TFORM") else "")
        if source in originals:
            cards.append(name.ljust(8).encode() + originals[source][8:])
        elif name in ("ZHECKSUM", "ZDATASUM"):
            restored = {"ZHECKSUM": "CHECKSUM", "ZDATASUM": "DATASUM"}[name]
            cards.append(restored.ljust(8).encode() + card[8:])
        elif not _REPLACED.fullmatch(name):
            cards.append(card)
    return Header(cards)


class _Table:
    """One compressed table, all of it in memory."""

    def __init__(self, packed: Header, data: bytes) -> None:
        self._packed = packed
        self._data = data
        self._columns = [
            _Column.of(packed, number) for number in range(1, packed.integer("TFIELDS") + 1)
        ]
        self._row = packed.integer("ZNAXIS1")
        self._rows = packed.integer("ZNAXIS2")
        heap = packed.integer("NAXIS1") * packed.integer("NAXIS2")
        self._heap = packed.integer("THEAP", heap)
        if sum(column.width for column in self._columns) != self._row:
            raise Corrupt("the columns of a compressed table do not add up to its rows")

    def unpacked(self) -> bytes:
        table = self._row * self._rows
        start = self._packed.integer("ZTHEAP", self._packed.integer("ZHEAPPTR", table))
        content = bytearray(table + self._packed.integer("ZPCOUNT"))
        tile_rows = min(self._packed.integer("ZTILELEN"), self._rows)
        for tile in range(-(-self._rows // tile_rows) if self._rows else 0):
            first = tile * tile_rows
            rows = min(tile_rows, self._rows - first)
            for place, column, cell in self._cells(tile):
                values = self._values(column, cell, rows)
                _spread(content, first * self._row + place, self._row, values, column.width)
                if column.is_variable:
                    self._arrays(content, start, column, cell, rows)
        return bytes(content)

    def _cells(self, tile: int) -> Iterator[tuple[int, _Column, bytes]]:
        """Where in a row each column is, and its compressed cell."""
        place = 0
        descriptors = tile * self._packed.integer("NAXIS1")
        for number, column in enumerate(self._columns, 1):
            wide = "Q" in (self._packed.text(f"TFORM{number}") or "")
            size = 16 if wide else 8
            length, offset = _pair(self._data[descriptors : descriptors + size])
            descriptors += size
            if column.width:
                begin = self._heap + offset
                yield place, column, self._data[begin : begin + length]
            place += column.width

    def _values(self, column: _Column, cell: bytes, rows: int) -> bytes:
        """The cell's values in the order of the rows."""
        if column.is_variable:
            return zlib.decompress(cell, 47)[: rows * column.width]
        return _decompressed(cell, column.algorithm, column.element, rows * column.width)

    def _arrays(
        self, content: bytearray, start: int, column: _Column, cell: bytes, rows: int
    ) -> None:
        """Decompress each array of a column of variable length to where it belongs."""
        descriptors = zlib.decompress(cell, 47)
        packed = descriptors[rows * column.width :]
        for row in range(rows):
            count, place = _pair(descriptors[row * column.width : (row + 1) * column.width])
            length, offset = _pair(packed[row * 16 : (row + 1) * 16])
            size = -(-count // 8) if column.element == "X" else count * _BYTES[column.element]
            if not length:
                continue
            raw = self._data[self._heap + offset : self._heap + offset + length]
            # What did not become smaller was kept as it was.
            if length != size:
                raw = _decompressed(raw, column.algorithm, column.element, size)
            content[start + place : start + place + size] = raw


def _pair(descriptor: bytes) -> tuple[int, int]:
    half = len(descriptor) // 2
    return int.from_bytes(descriptor[:half], "big"), int.from_bytes(descriptor[half:], "big")


def _decompressed(cell: bytes, algorithm: str, element: str, size: int) -> bytes:
    if algorithm == "RICE_1":
        found = _rice(cell, _RICE[element], size // _BYTES[element])
    elif algorithm in ("GZIP_1", "GZIP_2"):
        found = zlib.decompress(cell, 47)
        if algorithm == "GZIP_2" and _BYTES[element] > 1:
            if element in "CM":
                raise Corrupt("bytes of complex numbers are not shuffled in a way that is agreed")
            found = _unshuffled(found, _BYTES[element])
    else:
        raise Corrupt(f"columns are compressed by {algorithm}, which is unknown")
    if len(found) != size:
        raise Corrupt(f"a column has {len(found)} bytes instead of {size}")
    return found


def _unshuffled(data: bytes, width: int) -> bytes:
    import numpy as np

    return np.frombuffer(data, "u1").reshape(width, -1).T.tobytes()


def _spread(content: bytearray, place: int, step: int, values: bytes, width: int) -> None:
    """Write *values* of *width* bytes each, one every *step* bytes."""
    import numpy as np

    rows = len(values) // width
    table: Any = np.frombuffer(content, "u1")[place : place + (rows - 1) * step + width]
    view = np.lib.stride_tricks.as_strided(table, (rows, width), (step, 1), writeable=True)
    view[:] = np.frombuffer(values, "u1").reshape(rows, width)


def _rice(cell: bytes, bits: int, count: int) -> bytes:
    """Decode RICE_1 by way of an image with one tile, which is what astropy decodes."""
    header = header_of({
        "XTENSION": "'BINTABLE'", "BITPIX": 8, "NAXIS": 2, "NAXIS1": 8, "NAXIS2": 1,
        "PCOUNT": len(cell), "GCOUNT": 1, "TFIELDS": 1, "TTYPE1": "'COMPRESSED_DATA'",
        "TFORM1": f"'1PB({len(cell)})'", "ZIMAGE": "T", "ZCMPTYPE": "'RICE_1'", "ZBITPIX": bits,
        "ZNAXIS": 1, "ZNAXIS1": count, "ZTILE1": count, "ZNAME1": "'BLOCKSIZE'", "ZVAL1": 32,
        "ZNAME2": "'BYTEPIX'", "ZVAL2": bits // 8,
    })  # fmt: skip
    data = len(cell).to_bytes(4, "big") + bytes(4) + cell
    file = io.BytesIO(NULL_PRIMARY.packed() + header.packed() + data + bytes(-len(data) % BLOCK))
    return b"".join(unpack_image(file, header))
