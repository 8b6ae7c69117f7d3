"""Regions of the sky as SODA parameters name them (DALI 1.1, 3.3; SODA 1.0, 3.3).

All are in ICRS and degrees. Points travel as unit vectors, so that neither RA 0 nor a pole is
anything special.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from cadcfs.demo.data.doubles import double, doubles

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Vectors = NDArray[np.float64]

_CIRCLE_POINTS = 256
_EDGE_POINTS = 16
_SIDE_POINTS = 64


class ParameterError(ValueError):
    """A parameter that cannot be taken; the text is what the caller is told."""


@dataclass(frozen=True, slots=True)
class Circle:
    """All points within `radius` of a centre."""

    ra: float
    dec: float
    radius: float

    def __str__(self) -> str:
        return f"circle {doubles((self.ra, self.dec, self.radius))}"

    def outline(self) -> Vectors:
        """Points on the border, in order, shape (n, 3)."""
        import numpy as np

        centre = self._centre
        east = np.array([-math.sin(math.radians(self.ra)), math.cos(math.radians(self.ra)), 0.0])
        north = np.cross(centre, east)
        angles = np.linspace(0, 2 * math.pi, _CIRCLE_POINTS, endpoint=False)
        radius = math.radians(self.radius)
        # The polygon through these points encloses the circle, so that no border pixel is lost.
        radius = min(radius / math.cos(math.pi / _CIRCLE_POINTS), math.pi)
        ring = np.cos(angles)[:, None] * east + np.sin(angles)[:, None] * north
        border: Vectors = math.cos(radius) * centre + math.sin(radius) * ring
        return border

    def contains(self, points: Vectors) -> NDArray[np.bool_]:
        """Which points lie inside, for shape (n, 3)."""
        inside: NDArray[np.bool_] = separation(points, self._centre) <= math.radians(self.radius)
        return inside

    def misses(self, cap: tuple[Vectors, float]) -> bool:
        """Whether all of another circle (centre, radius in radians) lies outside."""
        centre, radius = cap
        apart = float(separation(self._centre[None], centre)[0])
        return apart > radius + math.radians(self.radius)

    @property
    def _centre(self) -> Vectors:
        centre: Vectors = vectors([self.ra], [self.dec])[0]
        return centre


@dataclass(frozen=True, slots=True)
class Polygon:
    """The smaller side of a closed line of great circle arcs."""

    vertices: tuple[tuple[float, float], ...]

    def __str__(self) -> str:
        return f"polygon {doubles([value for vertex in self.vertices for value in vertex])}"

    def outline(self) -> Vectors:
        """Points on the border, in order, shape (n, 3)."""
        import numpy as np

        corners = self._corners()
        steps = np.linspace(0, 1, _EDGE_POINTS, endpoint=False)[:, None]
        arcs = [
            start + steps * (end - start)
            for start, end in zip(corners, np.roll(corners, -1, axis=0), strict=True)
        ]
        points = np.concatenate(arcs)
        border: Vectors = points / np.linalg.norm(points, axis=-1)[:, None]
        return border

    def contains(self, points: Vectors) -> NDArray[np.bool_]:
        """Which points lie inside, for shape (n, 3): those that the border winds around."""
        import numpy as np

        corners = self._corners()
        turns = np.zeros(len(points))
        for start, end in zip(corners, np.roll(corners, -1, axis=0), strict=True):
            turns += _angle_at(points, start, end)
        # The border winds around the antipode of each inner point, too.
        near = points @ corners.mean(axis=0) > 0
        inside: NDArray[np.bool_] = near & (np.abs(turns) > math.pi)
        return inside

    def _corners(self) -> Vectors:
        ra, dec = zip(*self.vertices, strict=True)
        return vectors(ra, dec)


@dataclass(frozen=True, slots=True)
class Range:
    """Everything between two meridians, eastwards, and two parallels."""

    west: float
    east: float
    south: float
    north: float

    def __str__(self) -> str:
        return f"range {doubles((self.west, self.east, self.south, self.north))}"

    def outline(self) -> Vectors:
        """Points on the border, in order, shape (n, 3); parallels are no great circles."""
        import numpy as np

        ra = np.linspace(self.west, self.east, _SIDE_POINTS)
        dec = np.linspace(self.south, self.north, _SIDE_POINTS)
        west, east = np.full(_SIDE_POINTS, self.west), np.full(_SIDE_POINTS, self.east)
        south, north = np.full(_SIDE_POINTS, self.south), np.full(_SIDE_POINTS, self.north)
        longitudes = np.concatenate([ra, east, ra[::-1], west])
        latitudes = np.concatenate([south, dec, north, dec[::-1]])
        return vectors(longitudes, latitudes)

    def contains(self, points: Vectors) -> NDArray[np.bool_]:
        """Which points lie inside, for shape (n, 3)."""
        import numpy as np

        ra, dec = angles(points)
        east_of = (ra - self.west) % 360 <= self.east - self.west
        inside: NDArray[np.bool_] = east_of & (dec >= self.south) & (dec <= self.north)
        return inside | (np.isclose(np.abs(dec), 90) & (dec >= self.south) & (dec <= self.north))


Shape = Circle | Polygon | Range


def parse_shape(text: str) -> Shape:
    """Read the value of POS: CIRCLE, RANGE or POLYGON and its numbers.

    Raises
    ------
    ParameterError
        It is none.
    """
    kind, _, rest = text.strip().partition(" ")
    readers: dict[str, Callable[[str], Shape]] = {
        "circle": parse_circle,
        "range": parse_range,
        "polygon": parse_polygon,
    }
    reader = readers.get(kind.lower())
    if reader is None:
        raise ParameterError(f"unexpected shape: {kind}")
    return reader(rest)


def parse_circle(text: str) -> Circle:
    """Read `ra dec radius`, degrees."""
    values = numbers(text)
    if len(values) != 3:
        raise ParameterError(f"invalid circle (expected 3 values): {text}")
    ra, dec, radius = values
    _check_position(ra, dec)
    if not 0 < radius <= 180:
        raise ParameterError(f"invalid circle (radius not in (0,180]): {text}")
    return Circle(ra, dec, radius)


def parse_polygon(text: str) -> Polygon:
    """Read `ra dec ra dec ra dec ...`, degrees, at least three corners."""
    values = numbers(text)
    if any(math.isnan(value) for value in values):
        raise ParameterError(f"invalid polygon (NaN coordinate value): {text}")
    if len(values) % 2:
        raise ParameterError(f"invalid polygon (odd number of coordinate values): {text}")
    vertices = tuple(zip(values[::2], values[1::2], strict=True))
    if len(vertices) < 3:
        raise ParameterError(f"invalid polygon (not enough points): {text}")
    for ra, dec in vertices:
        _check_position(ra, dec)
    return Polygon(vertices)


def parse_range(text: str) -> Range:
    """Read `ra1 ra2 dec1 dec2`, degrees; infinite values are the ends of the coordinates."""
    values = numbers(text)
    if len(values) != 4:
        raise ParameterError(f"invalid range: found {len(values) // 2} intervals")
    limits = (0.0, 360.0, -90.0, 90.0)
    west, east, south, north = (
        limit if math.isinf(value) else value for value, limit in zip(values, limits, strict=True)
    )
    for lower, upper in ((west, east), (south, north)):
        if upper < lower:
            raise ParameterError(f"invalid interval: {double(upper)} < {double(lower)}")
    _check_position(west, south)
    _check_position(east, north)
    return Range(west, east, south, north)


def parse_interval(text: str) -> tuple[float, float]:
    """Read `lower upper`, or one number that is both."""
    values = numbers(text)
    if len(values) == 1:
        values *= 2
    if len(values) != 2 or any(math.isnan(value) for value in values):
        raise ParameterError(f"invalid interval: {text}")
    lower, upper = values
    if upper < lower:
        raise ParameterError(f"invalid interval: {double(upper)} < {double(lower)}")
    return lower, upper


def numbers(text: str) -> list[float]:
    """Read numbers with blanks between."""
    values = []
    for word in text.split():
        try:
            # Python takes `1_000` for a number; nobody else does.
            values.append(float(word if "_" not in word else "no"))
        except ValueError:
            raise ParameterError(f'For input string: "{word}"') from None
    return values


def _check_position(ra: float, dec: float) -> None:
    if not 0 <= ra <= 360:
        raise ParameterError(f"invalid longitude (not in [0,360]): {double(ra)}")
    if not -90 <= dec <= 90:
        raise ParameterError(f"invalid latitude (not in [-90,90]): {double(dec)}")


def separation(points: Vectors, centre: Vectors) -> Vectors:
    """Angles (radians) between unit vectors, shape (n, 3), and another one."""
    import numpy as np

    # By the chord: the cosine of a small angle has no digits left.
    chords = np.linalg.norm(points - centre, axis=-1)
    angle: Vectors = 2 * np.arcsin(np.clip(chords / 2, 0, 1))
    return angle


def vectors(ra: Sequence[float] | Vectors, dec: Sequence[float] | Vectors) -> Vectors:
    """Unit vectors, shape (n, 3), of positions in degrees."""
    import numpy as np

    longitude, latitude = np.radians(ra), np.radians(dec)
    return np.stack(
        [
            np.cos(latitude) * np.cos(longitude),
            np.cos(latitude) * np.sin(longitude),
            np.sin(latitude),
        ],
        axis=-1,
    )


def angles(points: Vectors) -> tuple[Vectors, Vectors]:
    """Right ascension in [0, 360) and declination, degrees, of unit vectors."""
    import numpy as np

    ra: Vectors = np.degrees(np.arctan2(points[..., 1], points[..., 0])) % 360
    dec: Vectors = np.degrees(np.arctan2(points[..., 2], np.hypot(points[..., 0], points[..., 1])))
    return ra, dec


def _angle_at(points: Vectors, start: Vectors, end: Vectors) -> Vectors:
    """By how much the direction turns, seen from each point, on the way from start to end."""
    import numpy as np

    first, second = np.cross(points, start), np.cross(points, end)
    sine = np.einsum("ij,ij->i", points, np.cross(first, second))
    angle: Vectors = np.arctan2(sine, np.einsum("ij,ij->i", first, second))
    return angle
