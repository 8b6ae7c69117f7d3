"""What an archive holds, before it is written down: observations, planes and artifacts."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from cadcfs.demo.build.chunks import Part

PUBLIC = "2020-01-01T00:00:00.000"
FUTURE = "2099-01-01T00:00:00.000"
MODIFIED = "2020-01-02T03:04:05.000"
"""When everything was last modified: fixed, for a build must not depend on the clock."""

Values = Mapping[str, object]


@dataclass(frozen=True)
class Item:
    """An artifact."""

    uri: str
    product_type: str = "science"
    release_type: str = "data"
    content_type: str | None = None
    length: int | None = None
    checksum: str | None = None
    parts: tuple[Part, ...] = ()
    release: str | None = None


@dataclass(frozen=True)
class Product:
    """A plane; `values` are columns by name, over the usual ones."""

    name: str
    items: tuple[Item, ...] = ()
    values: Values = field(default_factory=dict)


@dataclass(frozen=True)
class Exposure:
    """An observation; `values` are columns by name, over the usual ones."""

    collection: str
    name: str
    target: str | None
    products: tuple[Product, ...]
    values: Values = field(default_factory=dict)


def circle(ra: float, dec: float, radius: float) -> Values:
    """Where a plane is, as columns; positions are text as DALI 1.1 writes them."""
    return {"position_bounds": f"circle {ra} {dec} {radius}", "position_bounds_size": 2 * radius}


def square(ra: float, dec: float, half: float) -> Values:
    """A plane whose bounds are a polygon, counter-clockwise as seen from inside the sphere."""
    corners = ((1, -1), (-1, -1), (-1, 1), (1, 1))
    width = half / math.cos(math.radians(dec))
    text = " ".join(f"{ra + x * width:.6f} {dec + y * half:.6f}" for x, y in corners)
    return {"position_bounds": f"polygon {text}", "position_bounds_size": 2 * half}


def energy(band: str, name: str, lower: float, upper: float) -> Values:
    """Which wavelengths (m) a plane covers, as columns."""
    return {
        "energy_emBand": band,
        "energy_energyBands": band,
        "energy_bandpassName": name or None,
        "energy_bounds": f"{lower} {upper}",
        "energy_bounds_lower": lower,
        "energy_bounds_upper": upper,
        "energy_bounds_width": upper - lower,
    }


def time(start: float, exposure: float) -> Values:
    """When a plane was taken (MJD) and for how long (s), as columns."""
    end = start + exposure / 86400
    return {
        "time_bounds": f"{start} {end}",
        "time_bounds_lower": start,
        "time_bounds_upper": end,
        "time_bounds_width": end - start,
        "time_exposure": exposure,
    }
