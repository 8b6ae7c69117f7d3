"""Shapes on the sphere, as archives write them (DALI 1.2, 3.3.6: xtype shape), and their edges.

Pure. Positions are ICRS, in degrees.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

Position = tuple[float, float]
"""Right ascension and declination."""
Vector = tuple[float, float, float]
STEP = 1.0
"""Degrees of an edge that are drawn as one straight line."""
ROUND = 72
"""Points of a circle's edge."""
WORDS = frozenset({"circle", "polygon"})


@dataclass(frozen=True)
class Circle:
    """A small circle; *radius* in degrees."""

    ra: float
    dec: float
    radius: float


@dataclass(frozen=True)
class Polygon:
    """Great circles between three or more vertices."""

    vertices: tuple[Position, ...]


Shape = Circle | Polygon


@dataclass(frozen=True)
class Footprint:
    """What one thing covers.

    *group* is what is drawn in one colour; *name* tells it from the others of its group.
    """

    group: str
    name: str
    shapes: tuple[Shape, ...]


def parse_shapes(text: str) -> tuple[Shape, ...]:
    """The circles and polygons in *text*; what else it holds is passed over.

    Takes `circle <ra> <dec> <r>`, `polygon <ra> <dec> ...` (polygons parted by NaN, too), and both
    as STC-S writes them, with a frame and parentheses.
    """
    return tuple(shape for word, numbers in _words(text) for shape in _shapes(word, numbers))


def _words(text: str) -> Iterator[tuple[str, list[float]]]:
    word, numbers = "", list[float]()
    for token in text.replace("(", " ").replace(")", " ").replace(",", " ").split():
        try:
            numbers.append(float(token))
        except ValueError:
            if token.lower() in WORDS:
                yield word, numbers
                word, numbers = token.lower(), []
    yield word, numbers


def _shapes(word: str, numbers: Sequence[float]) -> Iterator[Shape]:
    if word == "circle" and len(numbers) >= 3 and all(map(math.isfinite, numbers[:3])):
        yield Circle(*numbers[:3])
    elif word == "polygon":
        vertices: list[Position] = []
        for ra, dec in [*zip(numbers[::2], numbers[1::2], strict=False), (math.nan, math.nan)]:
            if math.isfinite(ra) and math.isfinite(dec):
                vertices.append((ra, dec))
            else:
                if len(vertices) >= 3:
                    yield Polygon(tuple(vertices))
                vertices = []


def edge(shape: Shape) -> list[Position]:
    """Points along the edge of *shape*, near enough to each other to join them by lines."""
    if isinstance(shape, Circle):
        turns = (360 * i / ROUND for i in range(ROUND))
        return [offset((shape.ra, shape.dec), shape.radius, turn) for turn in turns]
    vertices = shape.vertices
    return [
        point
        for start, end in zip(vertices, (*vertices[1:], vertices[0]), strict=True)
        for point in _arc(start, end)
    ]


def _arc(start: Position, end: Position) -> Iterator[Position]:
    """Points from *start* to before *end*, along their great circle."""
    length, turn = distance(start, end), bearing(start, end)
    pieces = max(1, math.ceil(length / STEP))
    yield start
    for i in range(1, pieces):
        yield offset(start, length * i / pieces, turn)


def distance(a: Position, b: Position) -> float:
    """The angle between two positions, 0 to 180."""
    east, north, along = _seen_from(a, b)
    return math.degrees(math.atan2(math.hypot(east, north), along))


def bearing(a: Position, b: Position) -> float:
    """The position angle of *b* as seen from *a*, from north through east."""
    east, north, _ = _seen_from(a, b)
    return math.degrees(math.atan2(east, north))


def offset(start: Position, length: float, turn: float) -> Position:
    """The position at *length* from *start* in the direction *turn*."""
    way, angle = math.radians(length), math.radians(turn)
    east, north = math.sin(way) * math.sin(angle), math.sin(way) * math.cos(angle)
    x, y, z = (
        math.cos(way) * p + north * n + east * e for p, n, e in zip(*_frame(start), strict=True)
    )
    return math.degrees(math.atan2(y, x)) % 360, math.degrees(math.atan2(z, math.hypot(x, y)))


def _seen_from(a: Position, b: Position) -> Vector:
    """The direction of *b* in the frame of *a*: to the east, to the north, outwards.

    By vectors, for formulas with angles alone fail at the poles or for small distances.
    """
    outwards, north, east = _frame(a)
    direction = _frame(b)[0]
    return _product(direction, east), _product(direction, north), _product(direction, outwards)


def _frame(position: Position) -> tuple[Vector, Vector, Vector]:
    """Unit vectors outwards, to the north and to the east."""
    ra, dec = math.radians(position[0]), math.radians(position[1])
    sin_ra, cos_ra, sin_dec, cos_dec = math.sin(ra), math.cos(ra), math.sin(dec), math.cos(dec)
    outwards = (cos_dec * cos_ra, cos_dec * sin_ra, sin_dec)
    return outwards, (-sin_dec * cos_ra, -sin_dec * sin_ra, cos_dec), (-sin_ra, cos_ra, 0.0)


def _product(a: Vector, b: Vector) -> float:
    return a[0] * b[0] + a[1] * b[1] + a[2] * b[2]
