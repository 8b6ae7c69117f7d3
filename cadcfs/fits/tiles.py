"""Pixels of a tile-compressed image, a few rows of tiles at a time (FITS Standard 4.0, 10.1-10.4).

astropy decodes RICE_1, GZIP_1, GZIP_2, HCOMPRESS_1, PLIO_1 and NOCOMPRESS, quantised and dithered.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import IO, Any

from cadcfs.errors import Corrupt
from cadcfs.fits.header import Header

BUDGET = 32 << 20
"""Bytes of pixels decoded at once, unless one tile is larger."""
TYPES = {8: "u1", 16: ">i2", 32: ">i4", 64: ">i8", -32: ">f4", -64: ">f8"}


def unpack_image(file: IO[bytes], packed: Header) -> Iterator[bytes]:
    """The pixels of the one compressed image in *file*, as they stand in an uncompressed one."""
    import numpy as np
    from astropy.io import fits

    shape = packed.shape("Z")
    tiles = [_tile(packed, axis, length) for axis, length in enumerate(shape, 1)]
    kind = TYPES.get(packed.integer("ZBITPIX"))
    if kind is None:
        raise Corrupt(f"ZBITPIX is {packed.integer('ZBITPIX')}")
    item = np.dtype(kind).itemsize
    try:
        # Raw values: BSCALE and BZERO stay what they are, cards of the header.
        with fits.open(file, do_not_scale_image_data=True, memmap=False) as hdus:
            section = hdus[1].section
            for place in pieces(shape[::-1], tiles[::-1], BUDGET // item):
                pixels = np.ascontiguousarray(section[place], dtype=kind)
                if pixels.dtype.kind == "f":
                    # As cfitsio writes what has no value: a NaN of ones.
                    pixels.view(f"u{item}")[np.isnan(pixels)] = -1 % (1 << 8 * item)
                yield pixels.tobytes()
    except (Corrupt, OSError, MemoryError):
        raise
    except Exception as exc:
        # astropy and its codecs raise whatever comes to them over damaged tiles.
        raise Corrupt(f"the compressed image is damaged: {exc!r}") from exc


def _tile(packed: Header, axis: int, length: int) -> int:
    """Length of a tile; by default it is one row (10.1.1, ZTILEn)."""
    return max(1, packed.integer(f"ZTILE{axis}", length if axis == 1 else 1))


def pieces(shape: Sequence[int], tiles: Sequence[int], budget: int) -> Iterator[tuple[Any, ...]]:
    """Slices that cover an array of *shape* in the order of its pixels, by whole tiles.

    Parameters
    ----------
    shape, tiles
        Slowest axis first.
    budget
        Pixels of one piece, unless a row of tiles is larger.
    """
    inner = math.prod(shape[1:])
    rows = budget // max(1, inner)
    if len(shape) == 1 or rows >= tiles[0]:
        step = max(rows // tiles[0] * tiles[0], tiles[0])
        for start in range(0, shape[0], step):
            yield (slice(start, min(start + step, shape[0])), *(slice(n) for n in shape[1:]))
    else:
        for index in range(shape[0]):
            for rest in pieces(shape[1:], tiles[1:], budget):
                yield (slice(index, index + 1), *rest)
