"""FITS headers card by card, as they stand in the file (FITS Standard 4.0, sections 3 and 4).

Byte for byte, because what is unpacked must have the cards of the original. No I/O: fed by block.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping

from cadcfs.errors import Corrupt

BLOCK = 2880
"""Bytes of a FITS block (3.1)."""
CARD = 80
"""Bytes of a keyword record (4.1)."""
LARGEST = 64 << 20
"""Bytes of a header beyond which a file is taken for damaged."""

_VALUE = re.compile(rb"= +('(?:[^']|'')*'|[^/ ]*)")


class Header:
    """The cards of one HDU, without END and what fills its block."""

    def __init__(self, cards: Iterable[bytes] = ()) -> None:
        self.cards = list(cards)
        self.is_whole = False
        self._values: dict[str, bytes] | None = None

    def feed(self, block: bytes) -> bool:
        """Take one block; True once END came.

        Raises
        ------
        Corrupt
            It is no header.
        """
        if len(block) != BLOCK:
            raise Corrupt("a FITS header breaks off")
        if not self.cards and not block.startswith((b"SIMPLE  =", b"XTENSION=")):
            raise Corrupt("there is no FITS header where one should be")
        for start in range(0, BLOCK, CARD):
            card = block[start : start + CARD]
            if card.rstrip() == b"END":
                self.is_whole = True
                break
            self.cards.append(card)
        if len(self.cards) * CARD > LARGEST:
            raise Corrupt("a FITS header has no end")
        self._values = None
        return self.is_whole

    def text(self, name: str) -> str | None:
        """The value of a keyword as text, without quotes; None where it is not there."""
        if self._values is None:
            self._values = {}
            for card in self.cards:
                if card[8:9] == b"=":
                    self._values.setdefault(card[:8].decode("latin-1").rstrip(), card)
        match = _VALUE.match(self._values.get(name, b""), 8)
        if match is None:
            return None
        value = match[1].decode("latin-1")
        return value[1:-1].replace("''", "'").rstrip() if value.startswith("'") else value

    def integer(self, name: str, default: int | None = None) -> int:
        text = self.text(name)
        if text is None and default is not None:
            return default
        try:
            return int(text or "")
        except ValueError as exc:
            raise Corrupt(f"{name} of a FITS header is {text!r}") from exc

    def is_true(self, name: str) -> bool:
        return self.text(name) == "T"

    def shape(self, prefix: str = "") -> list[int]:
        """NAXIS1, NAXIS2, ... (or ZNAXIS1, ... with the prefix Z)."""
        axes = self.integer(f"{prefix}NAXIS")
        return [self.integer(f"{prefix}NAXIS{axis}") for axis in range(1, axes + 1)]

    def data_bytes(self) -> int:
        """Bytes of the data that follow, without what fills their last block (4.4.1, 6, 7)."""
        shape = self.shape()
        if not shape:
            return 0
        if shape[0] == 0 and self.is_true("GROUPS"):
            shape = shape[1:]
        elements = math.prod(shape)
        item = abs(self.integer("BITPIX")) // 8
        return item * self.integer("GCOUNT", 1) * (self.integer("PCOUNT", 0) + elements)

    def without_tail(self) -> list[bytes]:
        """The cards without blank ones at the end, which are room to grow."""
        end = len(self.cards)
        while end and not self.cards[end - 1].strip():
            end -= 1
        return self.cards[:end]

    def packed(self) -> bytes:
        """Whole blocks, with END."""
        raw = b"".join(self.cards) + b"END".ljust(CARD)
        return raw + b" " * (-len(raw) % BLOCK)

    def lines(self) -> bytes:
        """One card a line, with END."""
        return b"".join(card + b"\n" for card in [*self.cards, b"END".ljust(CARD)])


def header_of(values: Mapping[str, str | int]) -> Header:
    """A header of these keywords; texts bring their quotes."""
    return Header(f"{name:8}= {value:>20}".ljust(CARD).encode() for name, value in values.items())


NULL_PRIMARY = header_of({"SIMPLE": "T", "BITPIX": 8, "NAXIS": 0, "EXTEND": "T"})
"""A primary HDU without data."""


def padded(size: int) -> int:
    """*size* bytes in whole blocks."""
    return size + -size % BLOCK
