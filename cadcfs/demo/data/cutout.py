"""Writes pieces of a FITS file as a new FITS file, reading only the pixels that it needs.

As CADC does: one piece becomes a file with one image; several become an empty primary HDU (the
parent's) with the pieces as extensions, in file order. Every piece keeps its header; where its
pixels moved, the coordinates follow (FITS 4.0, section 8.1; LTV and LTM as in IRAF).
"""

from __future__ import annotations

import gzip
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, cast

from cadcfs.demo.data.extensions import (
    Extension,
    FitsHeaders,
    image_of,
    open_fits,
    read_headers,
)
from cadcfs.demo.data.slices import ExtensionSlice, PixelRange

if TYPE_CHECKING:
    from astropy.io import fits
    from numpy.typing import NDArray

_BLOCK = 2880
_CARD = 80
_SLAB_BYTES = 4 << 20
_STRUCTURE = (
    "SIMPLE", "XTENSION", "BITPIX", "NAXIS", "EXTEND", "NEXTEND", "PCOUNT", "GCOUNT", "GROUPS",
    "TFIELDS", "CHECKSUM", "DATASUM", "ZHECKSUM", "ZDATASUM", "END",
)  # fmt: skip


class NoOverlapError(ValueError):
    """Nothing of the file is asked for."""


@dataclass(frozen=True, slots=True)
class Axis:
    """Pixels first, first + step, ... of an axis: `count` of them; the step may be negative."""

    first: int
    count: int
    step: int

    def forward(self) -> slice:
        """The same pixels as a slice from 0, upwards."""
        last = self.first + self.step * (self.count - 1)
        low, high = min(self.first, last), max(self.first, last)
        return slice(low - 1, high, abs(self.step))


@dataclass(frozen=True, slots=True)
class Piece:
    """An extension and which of its pixels are wanted; no axes where it is copied as it is."""

    extension: Extension
    axes: tuple[Axis, ...]


def pieces_of(headers: FitsHeaders, slices: Sequence[ExtensionSlice]) -> tuple[Piece, ...]:
    """Find the wanted pieces, in file order.

    Raises
    ------
    NoOverlapError
        One of them is not there, or none of its pixels.
    """
    found: list[tuple[int, Piece]] = []
    missing = []
    for wanted in slices:
        extension = _matching(headers.extensions, wanted)
        piece = None if extension is None else _piece(extension, wanted.ranges)
        if piece is None:
            missing.append(str(wanted))
        else:
            found.append((piece.extension.number, piece))
    if missing:
        listed = ", ".join(missing)
        raise NoOverlapError(f"One or more requested slices could not be found:\n[{listed}]")
    found.sort(key=lambda pair: pair[0])
    return tuple(piece for _, piece in found)


def _matching(extensions: Sequence[Extension], wanted: ExtensionSlice) -> Extension | None:
    for extension in extensions:
        if wanted.number is not None:
            matches = extension.number == wanted.number
        else:
            matches = extension.name.upper() == wanted.name.upper() and extension.version == (
                wanted.version or 1
            )
        if matches:
            return extension
    return None


def _piece(extension: Extension, ranges: Sequence[PixelRange]) -> Piece | None:
    if not extension.shape:
        return None if ranges else Piece(extension, ())
    if len(ranges) > len(extension.shape):
        return None
    padded = [*ranges, *[PixelRange()] * (len(extension.shape) - len(ranges))]
    axes = []
    for wanted, length in zip(padded, extension.shape, strict=True):
        span = wanted.within(length)
        if span is None:
            return None
        first, last, step = span
        count = abs(last - first) // step + 1
        axes.append(Axis(first, count, step if last >= first and not wanted.reversed else -step))
    return Piece(extension, tuple(axes))


def write_cutout(path: Path, pieces: Sequence[Piece]) -> Iterator[bytes]:
    """Yield the new file in slabs of some MiB (blocking)."""
    primary = read_headers(path).extensions[0]
    alone = len(pieces) == 1 and bool(pieces[0].axes)
    with closing(open_fits(path, packed=True)) as hdus:
        begun = alone or (primary.number == pieces[0].extension.number and bool(pieces[0].axes))
        if not begun:
            yield _header(_cards(primary, ()), shape=(), bitpix=8, extensions=len(pieces))
        for place, piece in enumerate(pieces):
            if piece.axes:
                hdu = image_of(hdus[piece.extension.number])
                head = begun and place == 0
                yield from _image(hdu, piece, extensions=None if alone else len(pieces), head=head)
            elif piece.extension.number:
                yield from _copied(path, piece.extension.number)


def _image(hdu: Any, piece: Piece, *, extensions: int | None, head: bool) -> Iterator[bytes]:  # noqa: ANN401
    cards = _cards(piece.extension, piece.axes)
    shape = tuple(axis.count for axis in piece.axes)
    bitpix = int(piece.extension.header["BITPIX"])
    if head:
        others = 0 if extensions is None else extensions - 1
        yield _header(cards, shape=shape, bitpix=bitpix, extensions=others)
    else:
        yield _header(cards, shape=shape, bitpix=bitpix, extensions=None)
    written = 0
    for slab in _slabs(hdu, piece.axes, abs(bitpix) // 8):
        data = slab.astype(slab.dtype.newbyteorder(">"), copy=False).tobytes()
        written += len(data)
        yield data
    yield b"\0" * (-written % _BLOCK)


def _slabs(hdu: Any, axes: Sequence[Axis], width: int) -> Iterator[NDArray[Any]]:  # noqa: ANN401
    import numpy as np

    # numpy's order: the last FITS axis comes first.
    order = list(reversed(axes))
    outer = next((i for i, axis in enumerate(order) if axis.count > 1), len(order) - 1)
    row = width * prod(axis.count for axis in order[outer + 1 :])
    rows = max(_SLAB_BYTES // max(row, 1), 1)
    flips = tuple(i for i, axis in enumerate(order) if axis.step < 0)
    for start in range(0, order[outer].count, rows):
        part = order[outer]
        count = min(rows, part.count - start)
        parts = [*order]
        parts[outer] = Axis(part.first + start * part.step, count, part.step)
        whole = tuple(slice(axis.forward().start, axis.forward().stop) for axis in parts)
        steps = tuple(slice(None, None, abs(axis.step)) for axis in parts)
        yield np.flip(hdu.section[whole][steps], flips)


def _copied(path: Path, number: int) -> Iterator[bytes]:
    from astropy.io import fits

    with fits.open(path, disable_image_compression=True) as hdus:
        place = hdus[number].fileinfo()
    with _unpacked(path) as file:
        file.seek(place["hdrLoc"])
        left = place["datLoc"] + place["datSpan"] - place["hdrLoc"]
        while left and (data := file.read(min(left, _SLAB_BYTES))):
            left -= len(data)
            yield data


def _unpacked(path: Path) -> IO[bytes]:
    """The bytes of a FITS file, also of one that is packed as a whole."""
    return cast("IO[bytes]", gzip.open(path)) if path.name.endswith(".gz") else path.open("rb")


def _header(
    cards: fits.Header, *, shape: Sequence[int], bitpix: int, extensions: int | None
) -> bytes:
    """Complete a header; `extensions` is how many follow a primary HDU, None for an extension."""
    from astropy.io import fits

    header = fits.Header()
    if extensions is None:
        header["XTENSION"] = ("IMAGE", "Image extension")
    else:
        header["SIMPLE"] = (True, "conforms to FITS standard")
    header["BITPIX"] = (bitpix, "array data type")
    header["NAXIS"] = (len(shape), "number of array dimensions")
    for axis, length in enumerate(shape, 1):
        header[f"NAXIS{axis}"] = length
    if extensions is None:
        header["PCOUNT"] = (0, "number of parameters")
        header["GCOUNT"] = (1, "number of groups")
    elif extensions:
        header["EXTEND"] = (True, "there are extensions")
        header["NEXTEND"] = (extensions, "number of extensions")
    # Unstripped: BZERO and BSCALE belong to the integers as they are stored.
    header.extend(cards, strip=False, unique=False, update=False, end=True)
    text: str = header.tostring()
    return text.encode("ascii")


def _cards(extension: Extension, axes: Sequence[Axis]) -> fits.Header:
    """The extension's own cards, with its coordinates moved."""
    cards = extension.header.copy()
    for key in list(cards):
        if key in _STRUCTURE or (key.startswith("NAXIS") and key[5:].isdecimal()):
            cards.remove(key, ignore_missing=True, remove_all=True)
    if any((axis.first, axis.step) != (1, 1) for axis in axes):
        _move_coordinates(cards, axes)
    return cards


def _move_coordinates(cards: fits.Header, axes: Sequence[Axis]) -> None:
    versions = ["", *(chr(code) for code in range(ord("A"), ord("Z") + 1))]
    for number, axis in enumerate(axes, 1):
        for version in versions:
            key = f"CRPIX{number}{version}"
            if key in cards or f"CTYPE{number}{version}" in cards:
                cards[key] = (_number(cards, key, 0.0) - axis.first) / axis.step + 1
                _scale(cards, number, version, axis.step)
        shift = _number(cards, f"LTV{number}", 0.0)
        cards[f"LTV{number}"] = (shift - axis.first) / axis.step + 1
        matrix = f"LTM{number}_{number}"
        if axis.step != 1 or matrix in cards:
            cards[matrix] = _number(cards, matrix, 1.0) / axis.step
    if any(axis.step != 1 for axis in axes[:2]):
        _scale_distortions(cards, [axis.step for axis in axes[:2]])


def _number(cards: fits.Header, key: str, default: float) -> float:
    value = cards.get(key, default)
    return float(value) if isinstance(value, int | float) else default


def _scale(cards: fits.Header, axis: int, version: str, step: int) -> None:
    """Let one pixel of an axis stand for `step` of the parent's."""
    if step == 1:
        return
    column = f"_{axis}{version}"
    matrix = [key for key in cards if key[:2] in ("CD", "PC") and key[2:].endswith(column)]
    matrix = [key for key in matrix if key[2 : -len(column)].isdecimal()]
    for key in matrix:
        cards[key] = _number(cards, key, 0.0) * step
    has_cd = any(key.startswith("CD") for key in matrix)
    has_pc = any(key[:2] == "PC" and key[2:3].isdecimal() and "_" in key for key in cards)
    size = f"CDELT{axis}{version}"
    if not has_cd and not has_pc and size in cards:
        cards[size] = _number(cards, size, 1.0) * step
    elif has_pc and f"PC{axis}{column}" not in cards:
        cards[f"PC{axis}{column}"] = float(step)


def _scale_distortions(cards: fits.Header, steps: Sequence[int]) -> None:
    """SIP's polynomials are of pixels and give pixels (SIP 1.0, equations 2 and 3)."""
    for key in list(cards):
        name, _, powers = key.partition("_")
        parts = powers.split("_")
        if name in ("A", "B", "AP", "BP") and len(parts) == 2 and all(p.isdecimal() for p in parts):
            own = steps[0] if name.startswith("A") else steps[-1]
            factor = steps[0] ** int(parts[0]) * steps[-1] ** int(parts[1]) / own
            cards[key] = _number(cards, key, 0.0) * factor


def header_text(path: Path) -> Iterator[bytes]:
    """Yield the headers of all extensions as they are stored, a line a card (blocking)."""
    from astropy.io import fits

    with fits.open(path, disable_image_compression=True) as hdus, _unpacked(path) as file:
        for hdu in hdus:
            place = hdu.fileinfo()
            file.seek(place["hdrLoc"])
            block = file.read(place["datLoc"] - place["hdrLoc"]).rstrip()
            # The last card, END, is as wide as all others.
            block = block.ljust(-(-len(block) // _CARD) * _CARD)
            cards = [block[start : start + _CARD] for start in range(0, len(block), _CARD)]
            yield b"".join(card + b"\n" for card in cards)
