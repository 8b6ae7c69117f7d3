"""The header of the original image in that of a tile-compressed one (FITS Standard 4.0, 10.1).

The same choice of cards as cfitsio's, card by card, because people compare with what funpack gives.
"""

from __future__ import annotations

import re

from cadcfs.fits.header import BLOCK, CARD, Header

_RESTORED = {
    "ZSIMPLE": "SIMPLE", "ZTENSION": "XTENSION", "ZBITPIX": "BITPIX", "ZNAXIS": "NAXIS",
    "ZEXTEND": "EXTEND", "ZBLOCKED": "BLOCKED", "ZPCOUNT": "PCOUNT", "ZGCOUNT": "GCOUNT",
    "ZHECKSUM": "CHECKSUM", "ZDATASUM": "DATASUM",
}  # fmt: skip
_RESTORED_AXIS = re.compile(r"ZNAXIS[0-9]+")
_OF_THE_TABLE = re.compile(
    r"XTENSION|BITPIX|NAXIS[0-9]*|PCOUNT|GCOUNT|TFIELDS|TTYPE[0-9]+|TFORM[0-9]+|THEAP|ZIMAGE"
    r"|ZQUANTIZ|ZDITHER0|ZTILE[0-9]+|ZCMPTYPE|ZBLANK|ZNAME[0-9]+|ZVAL[0-9]+|CHECKSUM|DATASUM"
)
_OF_A_PRIMARY = re.compile(
    r"SIMPLE|BITPIX|NAXIS[0-9]*|PCOUNT|EXTEND|GCOUNT|CHECKSUM|DATASUM|EXTNAME|HISTORY|COMMENT|"
)
PER_BLOCK = BLOCK // CARD
BLANK = b" " * CARD


def original_header(packed: Header) -> Header:
    """The header of the image that *packed* holds."""
    cards = []
    required = packed.text("ZTENSION") is None and packed.text("ZSIMPLE") is None
    if required:
        cards = _required(packed)
    for card in packed.without_tail():
        name = _name(card)
        if name in _RESTORED or _RESTORED_AXIS.fullmatch(name):
            if not required:
                cards.append(_RESTORED.get(name, name[1:]).ljust(8).encode() + card[8:])
        elif name == "EXTNAME" and packed.text(name) == "COMPRESSED_IMAGE":
            continue
        elif not _OF_THE_TABLE.fullmatch(name):
            cards.append(card)
    return Header(cards + [BLANK] * _spare(packed))


def appended_to_primary(image: Header, primary: Header) -> Header:
    """*image* with what the null primary HDU before it held beside the usual cards."""
    cards = image.without_tail()
    blank = len(image.cards) - len(cards)
    cards += [card for card in primary.cards if not _OF_A_PRIMARY.fullmatch(_name(card))]
    return Header(cards + [BLANK] * blank)


def _required(packed: Header) -> list[bytes]:
    """The mandatory cards of an IMAGE extension, where the original's were not kept (7.1.1)."""
    shape = packed.shape("Z")
    values: list[tuple[str, str | int]] = [
        ("XTENSION", "'IMAGE   '"), ("BITPIX", packed.integer("ZBITPIX")), ("NAXIS", len(shape)),
        *((f"NAXIS{axis}", length) for axis, length in enumerate(shape, 1)),
        ("PCOUNT", 0), ("GCOUNT", 1),
    ]  # fmt: skip
    return [_card(name, value) for name, value in values]


def _card(name: str, value: str | int) -> bytes:
    text = f"{value:<20}" if isinstance(value, str) else f"{value:>20}"
    return f"{name:8}= {text}".ljust(CARD).encode()


def _name(card: bytes) -> str:
    return card[:8].decode("latin-1").rstrip()


def _spare(packed: Header) -> int:
    """Blank cards for as many empty blocks as *packed* has at its end."""
    used = len(packed.without_tail())
    slots = len(packed.packed()) // CARD - 1 - used
    return slots // PER_BLOCK * PER_BLOCK
