"""Regions on the sphere (ADQL 2.1, section 4.2) and intervals, in the text forms of DALI 1.1.

Shapes travel through SQLite as text (`circle 10.0 41.0 0.5`, `polygon lon lat ...`, DALI section
3.3), so that stored columns and computed values meet in the same form. Parsing a polygon costs
far more than testing it; every text is therefore parsed once and remembered.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache, reduce
from itertools import pairwise
from typing import Any

import spherely

_REMEMBERED = 65_536
# A parallel is no great circle; this many chords per side follow it closely enough.
_CHORDS = 32
_CHORDS_PER_DEGREE = 4
_SLICE_DEGREES = 60.0
_SQUARE_DEGREES = math.degrees(1.0) ** 2


@dataclass(frozen=True, slots=True)
class Interval:
    """A closed range of numbers, of wavelength in metres or of time in days."""

    lower: float
    upper: float


@dataclass(frozen=True, slots=True)
class Region:
    """A point (radius 0), a circle (radius in degrees) or a polygon (no radius)."""

    body: Any
    center: tuple[float, float]
    radius: float | None
    vertices: tuple[tuple[float, float], ...] = ()


class ShapeError(ValueError):
    """A text or a list of numbers that describes no shape."""


def shape_text(kind: str, numbers: tuple[float, ...]) -> str:
    """Write a shape in its text form."""
    return f"{kind} " + " ".join(repr(float(number)) for number in numbers)


def box_text(lon: float, lat: float, width: float, height: float) -> str:
    """Write BOX (ADQL 2.1, section 4.2.9) as the polygon of its corners, sides as great circles."""
    west, east = lon - width / 2, lon + width / 2
    south, north = lat - height / 2, lat + height / 2
    return shape_text("polygon", (west, south, east, south, east, north, west, north))


@lru_cache(maxsize=_REMEMBERED)
def parse(text: str) -> Region | Interval:
    """Read a shape or an interval from its text form."""
    word, _, rest = text.strip().partition(" ")
    kind = word.lower()
    try:
        if kind in ("point", "circle", "polygon", "interval", "range"):
            numbers = tuple(float(part) for part in rest.split())
        else:
            kind, numbers = "interval", tuple(float(part) for part in text.split())
        return _build(kind, numbers)
    except (ValueError, RuntimeError) as trouble:
        raise ShapeError(f"not a shape: {text[:80]}") from trouble


def _build(kind: str, numbers: tuple[float, ...]) -> Region | Interval:
    if kind == "interval":
        lower, upper = numbers
        return Interval(lower, upper)
    if kind == "polygon":
        return _polygon(numbers)
    if kind == "range":
        return _range(*numbers)
    lon, lat, *rest = numbers
    radius = rest[0] if kind == "circle" else 0.0
    return Region(spherely.create_point(_wrapped(lon), lat), (lon, lat), radius)


def _range(west: float, east: float, south: float, north: float) -> Region:
    """Build RANGE_S2D, whose sides follow the parallels; all of them, if it goes all around."""
    if not (-90 <= south < north <= 90):
        raise ShapeError("a range goes from south to north")
    width = 360.0 if abs(east - west) >= 360.0 else (east - west) % 360.0
    # In slices, since a polygon of more than a hemisphere would be taken for the rest of the sky.
    count = math.ceil(width / _SLICE_DEGREES)
    edges = [west + width * step / count for step in range(count + 1)]
    slices = [_slice(a, b, south, north) for a, b in pairwise(edges)]
    body = reduce(spherely.union, (part.body for part in slices))
    center = ((west + width / 2) % 360.0, (south + north) / 2)
    return Region(body, center, None, tuple(v for part in slices for v in part.vertices))


def _slice(west: float, east: float, south: float, north: float) -> Region:
    count = max(_CHORDS, math.ceil((east - west) * _CHORDS_PER_DEGREE))
    steps = [west + (east - west) * step / count for step in range(count + 1)]
    corners = [(lon, south) for lon in steps] + [(lon, north) for lon in reversed(steps)]
    return _polygon(tuple(value for corner in corners for value in corner))


def _polygon(numbers: tuple[float, ...]) -> Region:
    if len(numbers) < 6 or len(numbers) % 2:
        raise ShapeError("a polygon needs three corners or more")
    corners = tuple(zip(map(_wrapped, numbers[::2]), numbers[1::2], strict=True))
    distinct = [corner for place, corner in enumerate(corners) if corner != corners[place - 1]]
    body = spherely.create_polygon(distinct)
    middle = spherely.centroid(body)
    center = (spherely.get_x(middle) % 360.0, spherely.get_y(middle))
    return Region(body, center, None, tuple(distinct))


def _wrapped(lon: float) -> float:
    return (lon + 180.0) % 360.0 - 180.0


def separation(a: Region, b: Region) -> float:
    """Shortest distance in degrees between two bodies (a circle counts as its centre)."""
    return math.degrees(spherely.distance(a.body, b.body, radius=1.0))


def intersects(a: Region | Interval, b: Region | Interval) -> bool:
    """INTERSECTS (ADQL 2.1, section 4.2.16), extended to intervals."""
    if isinstance(a, Interval) and isinstance(b, Interval):
        return a.lower <= b.upper and b.lower <= a.upper
    if isinstance(a, Interval) or isinstance(b, Interval):
        raise ShapeError("an interval meets intervals only")
    if a.radius is None and b.radius is None:
        return bool(spherely.intersects(a.body, b.body))
    return separation(a, b) <= (a.radius or 0.0) + (b.radius or 0.0)


def contains(inner: Region | Interval, outer: Region | Interval) -> bool:
    """CONTAINS (ADQL 2.1, section 4.2.12): the first argument lies within the second."""
    if isinstance(inner, Interval) and isinstance(outer, Interval):
        return outer.lower <= inner.lower and inner.upper <= outer.upper
    if isinstance(inner, Interval) or isinstance(outer, Interval):
        raise ShapeError("an interval contains intervals and numbers only")
    if outer.radius is not None:
        if inner.radius is not None:
            return separation(inner, outer) + inner.radius <= outer.radius
        return all(
            math.degrees(spherely.distance(spherely.create_point(*corner), outer.body, radius=1.0))
            <= outer.radius
            for corner in inner.vertices
        )
    if inner.radius is None:
        return bool(spherely.covers(outer.body, inner.body))
    if not spherely.covers(outer.body, inner.body):
        return False
    if inner.radius == 0.0:
        return True
    edge = spherely.boundary(outer.body)
    return math.degrees(spherely.distance(inner.body, edge, radius=1.0)) >= inner.radius


def area(region: Region) -> float:
    """AREA (ADQL 2.1, section 4.2.7) in square degrees."""
    if region.radius is None:
        return float(spherely.area(region.body, radius=1.0)) * _SQUARE_DEGREES
    return 2 * math.pi * (1 - math.cos(math.radians(region.radius))) * _SQUARE_DEGREES
