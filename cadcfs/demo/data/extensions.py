"""The headers of a FITS file, extension by extension, as a cutout needs them.

Tile-compressed images appear as the images that they hold. Nothing of the pixels is read here.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from astropy.io import fits

    from cadcfs.demo.data.shapes import Vectors

_CAP_POINTS = 5
_HALF = 0.5
_KEPT = 256
"""Files whose headers stay parsed: WCS objects are most of the time that a cutout takes."""


class NotFitsError(ValueError):
    """The file cannot be read as FITS."""


@dataclass(frozen=True)
class Extension:
    """One HDU. `shape` is NAXIS1, NAXIS2, ...; empty where there is no image."""

    number: int
    name: str
    version: int
    header: fits.Header
    shape: tuple[int, ...]
    is_table: bool

    @cached_property
    def wcs(self) -> Any:  # noqa: ANN401 (astropy has no types)
        """The world coordinates of the image, or None."""
        from astropy.wcs import WCS

        if not any(f"CTYPE{axis}" in self.header for axis in range(1, len(self.shape) + 1)):
            return None
        try:
            # Unfixed: what `fix` mends, it tells by warnings, and nothing here needs it.
            return WCS(self.header, fix=False)
        except Exception:  # noqa: BLE001 (wcslib raises many kinds; such an image has no WCS)
            return None

    @cached_property
    def sky(self) -> Sky | None:
        """The celestial part of the world coordinates, or None."""
        return Sky.of(self)


@dataclass(frozen=True)
class Sky:
    """Two axes of an image that are a position on the sky.

    `axes` are their numbers from 0, `wcs` is of these alone, in this order.
    """

    axes: tuple[int, int]
    lengths: tuple[int, int]
    wcs: Any
    to_icrs: Vectors
    """Rotates unit vectors of the image's own frame to ICRS."""

    @cached_property
    def cap(self) -> tuple[Vectors, float] | None:
        """A circle that holds the image: its centre as a unit vector and its radius in radians.

        None where some of the image is nowhere on the sky.
        """
        import numpy as np

        from cadcfs.demo.data.shapes import separation

        x, y = (np.linspace(0.5, length + 0.5, _CAP_POINTS) for length in self.lengths)
        points = self.to_world(*(axis.ravel() for axis in np.meshgrid(x, y)))
        middle = points.mean(axis=0)
        if not np.isfinite(middle).all() or np.linalg.norm(middle) < _HALF:
            return None
        middle /= np.linalg.norm(middle)
        # Between the points the image may reach a little farther.
        return middle, 1.05 * float(separation(points, middle).max())

    @classmethod
    def of(cls, extension: Extension) -> Sky | None:
        """Find the celestial axes."""
        wcs = extension.wcs
        if wcs is None or not wcs.has_celestial:
            return None
        first, second = sorted((wcs.wcs.lng, wcs.wcs.lat))
        if second >= len(extension.shape):
            return None
        lengths = (extension.shape[first], extension.shape[second])
        return cls((first, second), lengths, wcs.celestial, _rotation_of(wcs.celestial))

    def to_world(self, x: Vectors, y: Vectors) -> Vectors:
        """Unit vectors in ICRS of pixels, counted from 1."""
        from cadcfs.demo.data.shapes import vectors

        world = self.wcs.all_pix2world(x, y, 1)
        own = vectors(world[self.wcs.wcs.lng], world[self.wcs.wcs.lat])
        return own @ self.to_icrs.T

    def to_pixels(self, points: Vectors) -> tuple[Vectors, Vectors]:
        """Pixels, counted from 1, of unit vectors in ICRS; NaN for what cannot be projected."""
        import numpy as np

        from cadcfs.demo.data.shapes import angles

        longitude, latitude = angles(points @ self.to_icrs)
        world = (longitude, latitude) if self.wcs.wcs.lng == 0 else (latitude, longitude)
        pixels = np.stack(self.wcs.wcs_world2pix(*world, 1))
        known = np.isfinite(pixels).all(axis=0)
        if self.wcs.has_distortion and known.any():
            near = [axis[known] for axis in world]
            pixels[:, known] = self.wcs.all_world2pix(*near, 1, quiet=True, maxiter=50)
        return pixels[0], pixels[1]


def _rotation_of(wcs: Any) -> Vectors:  # noqa: ANN401 (astropy has no types)
    from astropy.wcs.utils import wcs_to_celestial_frame

    frame = wcs_to_celestial_frame(wcs)
    equinox = getattr(frame, "equinox", None)
    return _rotation(frame.name, equinox.jyear_str if equinox is not None else "")


@lru_cache
def _rotation(frame: str, equinox: str) -> Vectors:
    """The matrix whose columns are the axes of a frame, in ICRS."""
    import numpy as np
    from astropy.coordinates import CartesianRepresentation, SkyCoord

    axes = CartesianRepresentation(np.eye(3))
    more = {"equinox": equinox} if equinox else {}
    rotation: Vectors = np.asarray(SkyCoord(axes, frame=frame, **more).icrs.cartesian.xyz.value)
    return rotation


@dataclass(frozen=True)
class FitsHeaders:
    """All extensions of a file. Hold the lock while their WCS are used: wcslib keeps state."""

    extensions: tuple[Extension, ...]
    lock: threading.Lock = field(default_factory=threading.Lock)


def read_headers(path: Path) -> FitsHeaders:
    """Parse the headers of a file, or take them from memory (blocking).

    Raises
    ------
    NotFitsError
        It is not FITS, or damaged.
    """
    return _parse(path, path.stat().st_mtime_ns)


@lru_cache(maxsize=_KEPT)
def _parse(path: Path, _mtime: int) -> FitsHeaders:
    with open_fits(path) as hdus:
        return FitsHeaders(tuple(_extension(number, hdu) for number, hdu in enumerate(hdus)))


def image_of(hdu: Any) -> Any:  # noqa: ANN401 (astropy has no types)
    """The image in an HDU of `open_fits(path, packed=True)`, its integers as they are stored."""
    from astropy.io import fits

    if not (isinstance(hdu, fits.BinTableHDU) and hdu.header.get("ZIMAGE")):
        return hdu
    return fits.CompImageHDU(bintable=hdu, do_not_scale_image_data=True)


def open_fits(path: Path, *, packed: bool = False) -> Any:  # noqa: ANN401 (astropy has no types)
    """Open a file with its integers as they are stored, BZERO and BSCALE unapplied.

    If `packed`, compressed images are the tables that hold them, which is much faster where few
    of many are wanted; `image_of` makes images of these.
    """
    from astropy.io import fits

    try:
        hdus = fits.open(
            path, do_not_scale_image_data=True, memmap=True, disable_image_compression=packed
        )
        len(hdus)  # Reads every header, so that damage shows here.
    except (OSError, ValueError, KeyError, TypeError, fits.VerifyError) as trouble:
        raise NotFitsError(f"invalid fits data: {trouble}") from trouble
    return hdus


def _extension(number: int, hdu: Any) -> Extension:  # noqa: ANN401 (astropy has no types)
    header = hdu.header.copy()
    is_image = hdu.is_image
    count = int(header.get("NAXIS", 0)) if is_image else 0
    shape = tuple(int(header.get(f"NAXIS{axis + 1}", 0)) for axis in range(count))
    if 0 in shape:
        shape = ()
    name = str(header.get("EXTNAME", "")).strip()
    version = header.get("EXTVER", 1)
    version = version if isinstance(version, int) else 1
    return Extension(number, name, version, header, shape, not is_image)
