"""Synthetic FITS files and previews, the same bytes for the same random generator."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
from astropy.io import fits
from numpy.typing import NDArray
from PIL import Image

Cards = dict[str, object]
Rng = np.random.Generator


def celestial(
    ra: float,
    dec: float,
    shape: tuple[int, ...],
    scale: float,
    frame: tuple[str, str] = ("RA", "DEC"),
) -> Cards:
    """Cards of a gnomonic projection about the middle of an image; `scale` in degrees."""
    names = ("RA---TAN", "DEC--TAN") if frame[0] == "RA" else ("GLON-TAN", "GLAT-TAN")
    return {
        "CTYPE1": names[0], "CTYPE2": names[1],
        "CRVAL1": ra, "CRVAL2": dec,
        "CRPIX1": shape[-1] / 2 + 0.5, "CRPIX2": shape[-2] / 2 + 0.5,
        "CDELT1": -scale, "CDELT2": scale,
        "CUNIT1": "deg", "CUNIT2": "deg",
    }  # fmt: skip


def sky(rng: Rng, shape: tuple[int, ...], level: float = 100, noise: float = 5) -> NDArray[Any]:
    """A background with noise."""
    return (level + noise * rng.standard_normal(shape, dtype=np.float32)).astype(np.float32)


def stars(rng: Rng, shape: tuple[int, int], count: int) -> tuple[NDArray[Any], NDArray[Any]]:
    """An image of Gaussian stars, and their x, y (from 0) and peaks."""
    image = sky(rng, shape)
    rows, columns = np.mgrid[-8:9, -8:9]
    x = rng.uniform(10, shape[1] - 10, count)
    y = rng.uniform(10, shape[0] - 10, count)
    peak = np.exp(rng.uniform(np.log(100), np.log(5000), count))
    for x0, y0, top in zip(x, y, peak, strict=True):
        i, j = round(y0), round(x0)
        square = (rows + i - y0) ** 2 + (columns + j - x0) ** 2
        image[i - 8 : i + 9, j - 8 : j + 9] += top * np.exp(-square / (2 * 1.5**2))
    return image, np.column_stack([x, y, peak])


def _signed(hdu: Any, cards: Cards) -> Any:  # noqa: ANN401 (astropy has no types)
    for key, value in cards.items():
        hdu.header[key] = value
    hdu.header["HISTORY"] = "SIMULATED by cadcfs"
    return hdu


def write_image(path: Path, data: NDArray[Any], cards: Cards) -> None:
    """One image in the primary HDU."""
    _signed(fits.PrimaryHDU(data), cards).writeto(path)


def write_extensions(
    path: Path, cards: Cards, images: Iterable[tuple[str, NDArray[Any], Cards]], *, packed: bool
) -> None:
    """An empty primary HDU and images as extensions, Rice-compressed if `packed`."""
    hdus = fits.HDUList([_signed(fits.PrimaryHDU(), cards)])
    for name, data, own in images:
        hdu = (
            fits.CompImageHDU(data, name=name, compression_type="RICE_1")
            if packed
            else fits.ImageHDU(data, name=name)
        )
        for key, value in own.items():
            hdu.header[key] = value
        hdus.append(hdu)
    hdus.writeto(path)


def write_mosaic(
    path: Path, rng: Rng, cards: Cards, place: tuple[float, float], *, small: bool
) -> None:
    """A camera of forty detectors in rows of 9, 11, 11 and 9, as MegaPrime's.

    All share one tangent point, and the outline of the whole is not convex.
    """
    shape = (128, 64) if small else (1024, 512)
    scale = 0.1 / shape[1]
    matrix = {"CDELT1": -scale, "CDELT2": scale, "CRVAL1": place[0], "CRVAL2": place[1]}

    def detectors() -> Iterable[tuple[str, NDArray[Any], Cards]]:
        for number, (east, north) in enumerate(_mosaic_places()):
            data = sky(rng, shape, 1000, 20).round().astype(np.int16)
            own = celestial(*place, shape, scale) | matrix
            own["CRPIX1"] = shape[1] / 2 + 0.5 + east / scale
            own["CRPIX2"] = shape[0] / 2 + 0.5 - north / scale
            yield f"ccd{number:02d}", data, own

    write_extensions(path, cards, detectors(), packed=True)


def _mosaic_places() -> Iterable[tuple[float, float]]:
    """How far the middle of each detector lies east and north of the tangent point, degrees."""
    for row, count in enumerate((9, 11, 11, 9)):
        for column in range(count):
            yield (count // 2 - column) * 0.105, (1.5 - row) * 0.215


def write_table(path: Path, sources: NDArray[Any], cards: Cards) -> None:
    """A catalogue as a binary table."""
    columns = [
        fits.Column("ID", "J", array=np.arange(1, len(sources) + 1)),
        fits.Column("X", "D", unit="pixel", array=sources[:, 0]),
        fits.Column("Y", "D", unit="pixel", array=sources[:, 1]),
        fits.Column("PEAK", "E", unit="adu", array=sources[:, 2]),
    ]
    table = fits.BinTableHDU.from_columns(columns, name="CATALOG")
    fits.HDUList([_signed(fits.PrimaryHDU(), cards), table]).writeto(path)


def write_preview(path: Path, rng: Rng, side: int) -> None:
    """A grey picture; its format follows from the name."""
    values = np.clip(sky(rng, (side, side), 60, 12), 0, 255).astype(np.uint8)
    Image.fromarray(values).save(path)
