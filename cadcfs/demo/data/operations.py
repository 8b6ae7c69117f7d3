"""What minoc makes of a FITS file on request: its headers as text, and cutouts.

Order of the checks and words of the refusals are CADC's (storage inventory, minoc).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from cadcfs.demo.data.cutout import NoOverlapError, header_text, pieces_of, write_cutout
from cadcfs.demo.data.doubles import doubles
from cadcfs.demo.data.extensions import NotFitsError, read_headers
from cadcfs.demo.data.holdings import Holding
from cadcfs.demo.data.overlap import Cut, slices_of
from cadcfs.demo.data.parameters import (
    conflicts_of,
    single_cut,
    wants_headers,
)
from cadcfs.demo.data.shapes import ParameterError
from cadcfs.demo.data.slices import ExtensionSlice, parse_slice
from cadcfs.demo.tap.submission import Submission

_FITS_TYPES = ("application/fits", "image/fits")
_UNKNOWN_TYPES = (None, "application/octet-stream", "NULL", "None")
_FITS_NAMES = (".fits.fz", ".fits", ".fz")


@dataclass(frozen=True, slots=True)
class Product:
    """Something made of a file: its name, its media type and its bytes as they are made."""

    name: str
    content_type: str
    content: Iterator[bytes]


def operate(holding: Holding, parameters: Submission, name: str | None) -> Product:
    """Begin to make what is asked for (blocking); `name` overrides that of the file.

    Raises
    ------
    ParameterError
        It cannot be had; the text says why.
    """
    if not _is_fits(holding, name or holding.uri):
        known_as = f" aka {name}" if name else ""
        raise ParameterError(f"not a fits file: {holding.uri}{known_as}")
    conflicts = conflicts_of(parameters)
    if conflicts:
        raise ParameterError(f"Conflicting SODA parameters found: [{', '.join(conflicts)}]")
    name = name or holding.name
    try:
        if wants_headers(parameters):
            return Product(f"{name}.txt", "text/plain", header_text(holding.path))
        return _cutout(holding, parameters, name)
    except (NoOverlapError, NotFitsError) as error:
        raise ParameterError(str(error)) from error


def _cutout(holding: Holding, parameters: Submission, name: str) -> Product:
    wanted = tuple(parse_slice(text) for text in parameters.all("SUB"))
    cut = Cut() if wanted else single_cut(parameters)
    headers = read_headers(holding.path)
    found = wanted or slices_of(headers, cut)
    if not found:
        raise NoOverlapError("No overlap found.")
    content = write_cutout(holding.path, pieces_of(headers, found))
    return Product(cutout_name(name, wanted, cut), "application/fits", content)


def _is_fits(holding: Holding, name: str) -> bool:
    if holding.content_type in _UNKNOWN_TYPES:
        return name.endswith(_FITS_NAMES)
    return holding.content_type in _FITS_TYPES


def cutout_name(name: str, slices: tuple[ExtensionSlice, ...], cut: Cut) -> str:
    """Name a cutout after its file and its numbers, joined by `_`: `x.circle_1_0_2_0_0_1.fits`."""
    end = next((end for end in (*_FITS_NAMES, ".fits.gz") if name.endswith(end)), "")
    words = [_words(part) for part in slices]
    if cut.shape is not None:
        words.append(f"{cut.shape}__")
    words += [f"{doubles(interval)}__" for interval in (cut.band, cut.time) if interval]
    if cut.states:
        words.append(f"_{'_'.join(cut.states)}__")
    description = re.sub("[ .]", "_", "".join(words)).rstrip("_")
    return f"{name.removesuffix(end)}.{description}.fits"


def _words(part: ExtensionSlice) -> str:
    extension = part.name if part.number is None else str(part.number)
    if part.number is None and part.version is not None:
        extension += f"_{part.version}"
    ranges = [
        "__" if pixels.first is None else f"{pixels.first}_{pixels.last}_" for pixels in part.ranges
    ]
    return f"{extension}__{''.join(ranges)}__"
