"""DATASUM and CHECKSUM of an HDU (FITS Standard 4.0, 4.4.2.7 and Appendix J).

Written where they are absent or wrong, as funpack does, but without the date of the day: the same
file unpacked twice has the same bytes.
"""

from __future__ import annotations

from cadcfs.fits.header import CARD, Header

FULL = 0xFFFFFFFF
UNKNOWN = "0" * 16
NO_DATA = "         0"
"""The DATASUM of no data, as cfitsio writes it."""
_PUNCTUATION = frozenset(b":;<=>?@[\\]^_`")


class Sum:
    """The ones' complement sum of 32-bit words (Appendix J.1), over pieces of any length."""

    def __init__(self, start: int = 0) -> None:
        self._sum = start
        self._rest = b""

    def add(self, data: bytes) -> None:
        import numpy as np

        data = self._rest + data if self._rest else data
        whole = len(data) // 4 * 4
        self._rest = data[whole:]
        words = np.frombuffer(data, ">u4", whole // 4)
        self._sum = _folded(self._sum + int(words.sum(dtype=np.uint64)))

    def value(self) -> int:
        """Of all that came, zeros after it to the end of the word."""
        if self._rest:
            self.add(bytes(-len(self._rest) % 4))
        return self._sum


def with_sums(header: Header) -> Header:
    """*header* with room for both cards, before what is blank at its end."""
    cards = header.without_tail()
    tail = header.cards[len(cards) :]
    absent = [
        _card(name, value)
        for name, value in (("CHECKSUM", UNKNOWN), ("DATASUM", NO_DATA))
        if header.text(name) is None
    ]
    return Header([*cards, *absent, *tail]) if absent else header


def summed(header: Header, data: int) -> Header:
    """*header* (of `with_sums`) with the right values, where *data* is the sum of the data."""
    if _integer(header.text("DATASUM")) == data and _sum_of(header, data) in (0, FULL):
        return header
    known = header
    if _integer(header.text("DATASUM")) != data:
        known = _replaced(known, "DATASUM", str(data))
    known = _replaced(known, "CHECKSUM", UNKNOWN)
    return _replaced(known, "CHECKSUM", encoded(FULL ^ _sum_of(known, data)))


def encoded(value: int) -> str:
    """32 bits as 16 letters and digits whose own sum they are (Appendix J.2)."""
    columns = []
    for shift in (24, 16, 8, 0):
        byte = value >> shift & 0xFF
        letters = [byte // 4 + ord("0")] * 4
        letters[0] += byte % 4
        # Pairs move apart, one up and one down, until neither is a punctuation mark.
        while _PUNCTUATION & set(letters):
            for first in (0, 2):
                if {letters[first], letters[first + 1]} & _PUNCTUATION:
                    letters[first] += 1
                    letters[first + 1] -= 1
        columns.append(letters)
    text = "".join(chr(columns[column][row]) for row in range(4) for column in range(4))
    return text[-1] + text[:-1]


def _folded(value: int) -> int:
    while value > FULL:
        value = (value & FULL) + (value >> 32)
    return value


def _sum_of(header: Header, data: int) -> int:
    total = Sum(data)
    total.add(header.packed())
    return total.value()


def _integer(text: str | None) -> int | None:
    try:
        return int(text or "0")
    except ValueError:
        return None


def _replaced(header: Header, name: str, value: str) -> Header:
    start = name.ljust(8).encode() + b"="
    cards = [_card(name, value) if card.startswith(start) else card for card in header.cards]
    return Header(cards)


def _card(name: str, value: str) -> bytes:
    comment = "HDU checksum" if name == "CHECKSUM" else "data unit checksum"
    quoted = f"'{value:<8}'"
    return f"{name:<8}= {quoted:<20} / {comment}".ljust(CARD).encode()
