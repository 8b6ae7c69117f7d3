"""Where the headers of a FITS file begin and which bytes go together, from what has arrived.

FITS Standard 4.0: headers of 80-byte cards in blocks of 2880 bytes (3.1-3.3), the size of the data
from BITPIX, NAXISn, PCOUNT and GCOUNT (4.4.1, equations 1 and 2), tile-compressed images as tables
whose rows point into a heap (10.1). Nothing but hints follow from it: a wrong or malformed header
costs no more than these.
"""

from __future__ import annotations

import bisect
import json
import re
from array import array
from collections.abc import Callable
from dataclasses import asdict, dataclass

ReadNow = Callable[[int, int], bytes | None]

BLOCK = 2880
CARD = 80
HEADER = 128 * 1024
"""Bytes of a header that are fetched together: most fit into them."""
LONGEST_HEADER = 4 << 20
"""Bytes after which a header without END is none."""
LONGEST_TILE = 4 << 20
"""Bytes of a tile that are fetched together."""
MOST_UNITS = 10_000
MOST_ROWS = 1_000_000

_WIDTHS = {"L": 1, "B": 1, "I": 2, "J": 4, "K": 8, "A": 1, "E": 4, "D": 8, "C": 8, "M": 16,
           "P": 8, "Q": 16}  # fmt: skip
_TFORM = re.compile(r"(\d*)([LXBIJKAEDCMPQ])")


@dataclass(frozen=True)
class Tiles:
    """The table of a tile-compressed image: where its descriptors and its heap are.

    Bytes from the beginning of the unit's data; *wide* descriptors are pairs of 64-bit numbers.
    """

    rows: int
    row: int
    column: int
    wide: bool
    heap: int


@dataclass(frozen=True)
class Unit:
    """One header and data unit: offsets in the file, in bytes."""

    header: int
    data: int
    end: int
    tiles: Tiles | None = None


def _header(unit: Unit) -> int:
    return unit.header


class FitsMap:
    """The units of one file as far as they are known.

    Parameters
    ----------
    size
        Bytes of the file.
    packed
        What `packed` gave for the same file earlier.
    """

    def __init__(self, size: int, packed: str | None = None) -> None:
        self._size = size
        self._units = _unpacked(packed, size)
        self._ended = False
        self._tiles: dict[int, tuple[array[int], array[int]]] = {}
        self.awaited = -1
        """Where the header that was fetched ahead begins; -1 if none was."""

    def packed(self) -> str | None:
        """The map as text; None while nothing is known."""
        return json.dumps([asdict(unit) for unit in self._units]) if self._units else None

    def units(self, read_now: ReadNow) -> tuple[Unit, ...]:
        """All units whose headers can be read without a gap from the beginning."""
        self._advance(self._size, read_now)
        return tuple(self._units)

    def extent(self, offset: int, size: int, read_now: ReadNow) -> int:
        """Up to where whoever reads [offset, offset + size) will read on: a header, a tile."""
        end = offset + size
        self._advance(end, read_now)
        if offset <= self._next < end and not self._ended:
            return self._next + HEADER // 2
        unit = self._unit_at(offset)
        if unit is None or unit.tiles is None or offset < unit.data:
            return end
        return self._tile_end(unit, unit.tiles, end - 1, read_now) or end

    def in_header(self, offset: int, size: int) -> bool:
        """True for bytes of a header but the first: who reads these may go from one to the next."""
        if not self._units:
            return False
        if offset <= self._next < offset + size:
            return True
        index = bisect.bisect_right(self._units, offset + size - 1, key=_header) - 1
        unit = self._units[index]
        return index > 0 and offset < unit.data

    def walked(self, offset: int, size: int, read_now: ReadNow) -> int | None:
        """Where the next header begins, if these bytes are the beginning of one but the first."""
        end = offset + size
        if not self._units and offset:
            self._advance(0, read_now)
        begin = self._next
        if not offset <= begin < end:
            index = bisect.bisect_left(self._units, offset, key=_header)
            if index >= len(self._units) or self._units[index].header >= end:
                return None
            begin = self._units[index].header
        if not begin:
            return None
        self._advance(end, read_now)
        unit = self._unit_at(begin)
        if unit is None or unit.end >= self._size:
            return None
        self.awaited = unit.end
        return unit.end

    def end_of_run(self, start: int, end: int) -> int:
        """Up to where a run of reads that began at *start* and came to *end* is likely to go."""
        unit = self._unit_at(start)
        return unit.end if unit is not None and end < unit.end else self._size

    @property
    def _next(self) -> int:
        return self._units[-1].end if self._units else 0

    def _unit_at(self, offset: int) -> Unit | None:
        index = bisect.bisect_right(self._units, offset, key=_header) - 1
        return self._units[index] if index >= 0 and offset < self._units[index].end else None

    def _advance(self, until: int, read_now: ReadNow) -> None:
        """Read the headers that begin before *until* and have arrived."""
        while not self._ended and self._next < min(until + 1, self._size):
            start = self._next
            raw = _header_at(start, self._size, read_now)
            if raw is None:
                return
            unit = _unit(start, raw) if raw else None
            if unit is None or len(self._units) >= MOST_UNITS:
                self._ended = True
                return
            self._units.append(unit)

    def _tile_end(self, unit: Unit, tiles: Tiles, offset: int, read_now: ReadNow) -> int | None:
        """The end of the tile that *offset* lies in."""
        heap = unit.data + tiles.heap
        if not heap <= offset < unit.end:
            return None
        known = self._tiles.get(unit.header)
        if known is None:
            table = read_now(unit.data, tiles.rows * tiles.row)
            if table is None or len(table) < tiles.rows * tiles.row:
                return None
            known = self._tiles[unit.header] = _descriptors(table, tiles)
        starts, ends = known
        index = bisect.bisect_right(starts, offset - heap) - 1
        if index < 0 or offset - heap >= ends[index]:
            return None
        return min(heap + ends[index], offset + LONGEST_TILE, unit.end)


def _header_at(start: int, size: int, read_now: ReadNow) -> bytes | None:
    """A whole header; None if it has not arrived, empty if there is none."""
    length = BLOCK
    while length <= LONGEST_HEADER and start + length <= size:
        raw = read_now(start, length)
        if raw is None or len(raw) < length:
            return None
        if not raw.startswith((b"SIMPLE  =", b"XTENSION=")):
            return b""
        for card in range(length - BLOCK if length > BLOCK else 0, length, CARD):
            if raw[card : card + 8] == b"END     ":
                return raw[: -(-(card + CARD) // BLOCK) * BLOCK]
        length += BLOCK
    return b""


def _unit(start: int, raw: bytes) -> Unit | None:
    """One unit from its header; None where that makes no sense."""
    try:
        cards = _cards(raw)
        axes = [int(cards[f"NAXIS{n}"]) for n in range(1, int(cards["NAXIS"]) + 1)]
        if any(axis < 0 for axis in axes) or len(axes) > 999:
            return None
        data = start + len(raw)
        size = _data_size(cards, axes)
        end = data + -(-size // BLOCK) * BLOCK
        return Unit(start, data, end, _tiles(cards, axes)) if size >= 0 else None
    except (KeyError, ValueError, IndexError, OverflowError):
        return None


def _cards(raw: bytes) -> dict[str, str]:
    """Keywords with a value; strings without their quotes, numbers as text, comments cut."""
    found: dict[str, str] = {}
    for begin in range(0, len(raw), CARD):
        card = raw[begin : begin + CARD].decode("latin-1")
        if card[8:10] != "= ":
            continue
        value = card[10:].strip()
        value = value[1:].partition("'")[0] if value[:1] == "'" else value.partition("/")[0]
        found.setdefault(card[:8].rstrip(), value.strip())
    return found


def _data_size(cards: dict[str, str], axes: list[int]) -> int:
    """Bytes of the data without padding (4.4.1.1; random groups, 6.1.1)."""
    if not axes:
        return 0
    if axes[0] == 0 and cards.get("GROUPS") == "T":
        axes = axes[1:]
    count = 1
    for axis in axes:
        count *= axis
    groups, parameters = int(cards.get("GCOUNT", "1")), int(cards.get("PCOUNT", "0"))
    return abs(int(cards["BITPIX"])) // 8 * groups * (parameters + count)


def _tiles(cards: dict[str, str], axes: list[int]) -> Tiles | None:
    if cards.get("ZIMAGE") != "T" or len(axes) != 2 or axes[1] > MOST_ROWS:
        return None
    offset = 0
    for column in range(1, int(cards["TFIELDS"]) + 1):
        match = _TFORM.match(cards[f"TFORM{column}"])
        if match is None:
            return None
        repeat, code = int(match[1] or 1), match[2]
        if cards.get(f"TTYPE{column}") == "COMPRESSED_DATA" and code in "PQ":
            heap = int(cards.get("THEAP", axes[0] * axes[1]))
            return Tiles(axes[1], axes[0], offset, code == "Q", heap)
        offset += -(-repeat // 8) if code == "X" else repeat * _WIDTHS[code]
    return None


def _descriptors(table: bytes, tiles: Tiles) -> tuple[array[int], array[int]]:
    """Where the tiles begin and end in the heap, in order."""
    width = 8 if tiles.wide else 4
    found = []
    for begin in range(tiles.column, len(table), tiles.row):
        pair = table[begin : begin + 2 * width]
        count, start = int.from_bytes(pair[:width], "big"), int.from_bytes(pair[width:], "big")
        if count:
            # Elements are bytes in all but PLIO, which has pairs of them; too short is harmless.
            found.append((start, start + count))
    found.sort()
    clipped = [(min(start, 1 << 62), min(end, 1 << 62)) for start, end in found]
    return array("q", (start for start, _ in clipped)), array("q", (end for _, end in clipped))


def _unpacked(packed: str | None, size: int) -> list[Unit]:
    """The units of an earlier map; none of them where that is damaged."""
    units: list[Unit] = []
    try:
        for told in json.loads(packed or "[]"):
            tiles = told["tiles"]
            unit = Unit(
                int(told["header"]), int(told["data"]), int(told["end"]),
                None if tiles is None else Tiles(**tiles),
            )  # fmt: skip
            if not (units[-1].end if units else 0) == unit.header <= unit.data <= unit.end:
                return []
            units.append(unit)
    except (TypeError, ValueError, KeyError):
        return []
    return [unit for unit in units if unit.header < size]
