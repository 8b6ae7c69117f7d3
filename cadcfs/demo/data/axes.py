"""The axes that are no positions: wavelength, time, polarisation (FITS 4.0, 8.4 to 8.6)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

    from cadcfs.demo.data.extensions import Extension
    from cadcfs.demo.data.shapes import Vectors

LIGHT = 299_792_458.0
"""Speed of light, m/s."""

PLANCK = 6.626_070_15e-34
"""J s."""

_STOKES = {
    1: "I", 2: "Q", 3: "U", 4: "V", 5: "POLI", 6: "POLA",
    -1: "RR", -2: "LL", -3: "RL", -4: "LR", -5: "XX", -6: "YY", -7: "XY", -8: "YX",
}  # fmt: skip
"""FITS 4.0, table 29; states 5 and 6 as CAOM has them."""

STATES = tuple(_STOKES.values())
"""What POL may name."""


@dataclass(frozen=True, slots=True)
class Edges:
    """Values at the borders of the pixels of one axis (from 0): n + 1 for n pixels."""

    axis: int
    values: Vectors


def band_edges(extension: Extension) -> Edges | None:
    """Wavelengths in vacuum (m) along the spectral axis, or None without one."""
    wcs = extension.wcs
    if wcs is None or not 0 <= wcs.wcs.spec < len(extension.shape):
        return None
    axis = int(wcs.wcs.spec)
    converter = _WAVELENGTHS.get(str(wcs.wcs.ctype[axis])[:4].rstrip("-"))
    world = _world_edges(extension, axis)
    if converter is None or world is None:
        return None
    values = converter(world, wcs.wcs)
    return None if values is None else Edges(axis, values)


def time_edges(extension: Extension) -> Edges | None:
    """MJD along the time axis, or None without one."""
    wcs = extension.wcs
    names = [] if wcs is None else [str(name).split("-")[0] for name in wcs.wcs.ctype]
    for axis, name in enumerate(names[: len(extension.shape)]):
        if name in ("TIME", "UTC", "TAI", "TT", "MJD"):
            world = _world_edges(extension, axis)
            return None if world is None else Edges(axis, _days(world, wcs.wcs, axis))
    return None


def states_of(extension: Extension) -> tuple[int, tuple[str, ...]] | None:
    """The polarisation axis (from 0) and the state of each of its pixels, or None."""
    wcs = extension.wcs
    if wcs is None:
        return None
    for axis, name in enumerate(list(wcs.wcs.ctype)[: len(extension.shape)]):
        if str(name).startswith("STOKES"):
            edges = _world_edges(extension, axis)
            if edges is None:
                return None
            middles = (edges[:-1] + edges[1:]) / 2
            return axis, tuple(_STOKES.get(round(float(value)), "") for value in middles)
    return None


def _world_edges(extension: Extension, axis: int) -> Vectors | None:
    import numpy as np

    own = extension.wcs.sub([axis + 1])
    pixels = np.arange(extension.shape[axis] + 1) + 0.5
    (values,) = own.wcs_pix2world(pixels, 1)
    return np.asarray(values, float) if np.isfinite(values).all() else None


def _days(world: Vectors, wcs: Any, axis: int) -> Vectors:  # noqa: ANN401 (astropy has no types)
    unit = str(wcs.cunit[axis]) or "d"
    scale = {"s": 86400.0, "min": 1440.0, "h": 24.0}.get(unit, 1.0)
    start = float(sum(wcs.mjdref))
    days: Vectors = world / scale + start
    return days


def _by_velocity(world: Vectors, wcs: Any) -> Vectors | None:  # noqa: ANN401
    rest = wcs.restwav or (LIGHT / wcs.restfrq if wcs.restfrq else 0.0)
    return rest * (1 + world / LIGHT) if rest else None


def _by_radio_velocity(world: Vectors, wcs: Any) -> Vectors | None:  # noqa: ANN401
    rest = wcs.restwav or (LIGHT / wcs.restfrq if wcs.restfrq else 0.0)
    return rest / (1 - world / LIGHT) if rest else None


def _by_relativistic_velocity(world: Vectors, wcs: Any) -> Vectors | None:  # noqa: ANN401
    import numpy as np

    rest = wcs.restwav or (LIGHT / wcs.restfrq if wcs.restfrq else 0.0)
    beta = world / LIGHT
    wavelengths: Vectors = rest * np.sqrt((1 + beta) / (1 - beta))
    return wavelengths if rest else None


def _air_to_vacuum(world: Vectors, _wcs: Any) -> Vectors:  # noqa: ANN401
    # FITS 4.0, equation 18: the index of refraction at 1 atm and 0 degrees Celsius.
    inverse = (1e-6 / world) ** 2
    index = 1 + 1e-6 * (287.6155 + 1.62887 * inverse + 0.01360 * inverse**2)
    vacuum: Vectors = world * index
    return vacuum


_WAVELENGTHS: dict[str, Callable[[Vectors, Any], Vectors | None]] = {
    "WAVE": lambda world, _: world,
    "AWAV": _air_to_vacuum,
    "FREQ": lambda world, _: LIGHT / world,
    "WAVN": lambda world, _: 1 / world,
    "ENER": lambda world, _: PLANCK * LIGHT / world,
    "VOPT": _by_velocity,
    "ZOPT": lambda world, wcs: _by_velocity(world * LIGHT, wcs),
    "VRAD": _by_radio_velocity,
    "VELO": _by_relativistic_velocity,
}
