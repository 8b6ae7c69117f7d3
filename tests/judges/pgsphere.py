"""Compares the embedded archive's geometry with PostgreSQL and pgSphere, which CADC runs.

    python -m tests.judges.pgsphere [--pairs 2000] [--seed 0]

Needs Debian's `postgresql-15` and `postgresql-15-pgsphere`; root runs the server as `postgres`.
Each pair is a circle and a polygon near it: convex, L-shaped or a star, at the poles, across
right ascension 0, or anywhere. Compared are INTERSECTS, CONTAINS both ways, the circle's centre in
the polygon and in a RANGE_S2D near it, and areas. (Whether a box meets another shape is not asked:
pgSphere misses circles that cross a parallel from outside, and polygons round a box at a pole,
though it has points in both.) Exit code 1 if any answer differs.
"""

from __future__ import annotations

import argparse
import math
import os
import random
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from cadcfs.demo.adql import geometry

_BIN = Path("/usr/lib/postgresql/15/bin")
_SHAPES = ("quad", "ell", "star", "sliver")
_PLACES = ("anywhere", "north", "south", "zero")
_QUESTIONS = (
    "intersects", "circle in polygon", "polygon in circle", "centre in polygon",
    "centre in range",
)  # fmt: skip

Point = tuple[float, float]


@dataclass(frozen=True, slots=True)
class Pair:
    """A circle (degrees) and the corners of a polygon."""

    kind: str
    center: Point
    radius: float
    corners: tuple[Point, ...]
    # West, east, south, north.
    range: tuple[float, float, float, float]

    @property
    def ours(self) -> tuple[geometry.Region, geometry.Region]:
        """The two as the archive builds them."""
        numbers = tuple(value for corner in self.corners for value in corner)
        circle = geometry.parse(geometry.shape_text("circle", (*self.center, self.radius)))
        polygon = geometry.parse(geometry.shape_text("polygon", numbers))
        assert isinstance(circle, geometry.Region)
        assert isinstance(polygon, geometry.Region)
        return circle, polygon

    @property
    def sql(self) -> str:
        """The same questions for pgSphere, as one row."""
        corners = ",".join(f"({lon!r}d,{lat!r}d)" for lon, lat in self.corners)
        circle = f"scircle '<({self.center[0]!r}d,{self.center[1]!r}d),{self.radius!r}d>'"
        polygon, center = (
            f"spoly '{{{corners}}}'",
            f"spoint '({self.center[0]!r}d,{self.center[1]!r}d)'",
        )
        west, east, south, north = self.range
        box = f"sbox '(({west!r}d,{south!r}d),({east!r}d,{north!r}d))'"
        return (
            f"SELECT {circle} && {polygon}, {circle} <@ {polygon}, {polygon} <@ {circle},"
            f" {center} <@ {polygon}, {center} <@ {box}, area({polygon});"
        )


def pairs(count: int, seed: int) -> Iterator[Pair]:
    """Yield pairs, the same for the same seed."""
    rng = random.Random(seed)
    for number in range(count):
        shape, place = _SHAPES[number % 4], _PLACES[number // 4 % 4]
        lat = {
            "anywhere": math.degrees(math.asin(rng.uniform(-1, 1))),
            "north": rng.uniform(88, 90),
            "south": rng.uniform(-90, -88),
            "zero": rng.uniform(-60, 60),
        }[place]
        lon = rng.uniform(-0.5, 0.5) % 360 if place == "zero" else rng.uniform(0, 360)
        size = 10 ** rng.uniform(-1.5, 0.5)
        corners = tuple(_offset(lon, lat, size * x, size * y) for x, y in _flat(shape, rng))
        away = size * rng.uniform(0, 2.2)
        angle = rng.uniform(0, 2 * math.pi)
        center = _offset(lon, lat, away * math.cos(angle), away * math.sin(angle))
        radius = size * 10 ** rng.uniform(-1.5, 0.4)
        yield Pair(f"{shape} {place}", center, radius, corners, _range(lon, lat, size, rng))


def _range(
    lon: float, lat: float, size: float, rng: random.Random
) -> tuple[float, float, float, float]:
    """A range near a place; some go far around, and some up to a pole."""
    width = rng.choice((2 * size, 2 * size, rng.uniform(20, 350)))
    west = lon + rng.uniform(-1.5, 1) * width
    south = lat + rng.uniform(-2, 1) * size
    north = rng.choice((south + size, south + size, 90.0))
    south = max(min(south, 89.0), -90.0)
    return west % 360, (west + width) % 360, south, min(max(north, south + 0.01), 90.0)


def _flat(shape: str, rng: random.Random) -> list[Point]:
    """Corners in units of the size, counter-clockwise about the middle."""
    turn = rng.uniform(0, 2 * math.pi)
    if shape == "quad":
        around = sorted(rng.uniform(0, 1) * 0.8 + place for place in range(4))
        flat = [(math.cos(a * math.pi / 2), math.sin(a * math.pi / 2)) for a in around]
    elif shape == "ell":
        x, y = rng.uniform(-0.4, 0.4), rng.uniform(-0.4, 0.4)
        flat = [(-1, -1), (1, -1), (1, y), (x, y), (x, 1), (-1, 1)]
    elif shape == "star":
        points = [(1.0 if k % 2 else rng.uniform(0.3, 0.6), k * math.pi / 5) for k in range(10)]
        flat = [(r * math.cos(a), r * math.sin(a)) for r, a in points]
    else:
        flat = [(-1, -0.02), (1, -0.01), (1, 0.03), (-1, 0.02)]
    cos, sin = math.cos(turn), math.sin(turn)
    return [(x * cos - y * sin, x * sin + y * cos) for x, y in flat]


def _offset(lon: float, lat: float, x: float, y: float) -> Point:
    """Go x, y degrees in the tangent plane (gnomonic), which keeps straight lines straight."""
    xi, eta = math.tan(math.radians(x)), math.tan(math.radians(y))
    sin, cos = math.sin(math.radians(lat)), math.cos(math.radians(lat))
    down = cos - eta * sin
    longitude = math.radians(lon) + math.atan2(xi, down)
    latitude = math.atan2(sin + eta * cos, math.hypot(xi, down))
    return math.degrees(longitude) % 360, math.degrees(latitude)


def answers(pair: Pair) -> tuple[bool, ...]:
    """Our answers to the questions."""
    circle, polygon = pair.ours
    point = geometry.parse(geometry.shape_text("point", pair.center))
    box = geometry.parse(geometry.shape_text("range", pair.range))
    return (
        geometry.intersects(circle, polygon),
        geometry.contains(circle, polygon),
        geometry.contains(polygon, circle),
        geometry.contains(point, polygon),
        geometry.contains(point, box),
    )


def _judged(pairs: list[Pair]) -> list[tuple[tuple[bool, ...], float]]:
    """Ask pgSphere, in a server of our own that ends with us."""
    with tempfile.TemporaryDirectory() as directory:
        place = Path(directory)
        user: list[str] = []
        if os.geteuid() == 0:
            subprocess.run(["chown", "postgres", place], check=True)
            user = ["setpriv", "--reuid=postgres", "--regid=postgres", "--init-groups"]
        data = place / "data"
        options = f"-c listen_addresses='' -c unix_socket_directories={place}"
        script = place / "questions.sql"
        script.write_text("CREATE EXTENSION pg_sphere;\n" + "\n".join(p.sql for p in pairs))
        for command in (
            [_BIN / "initdb", "-A", "trust", "-U", "postgres", "-D", data],
            [_BIN / "pg_ctl", "-w", "-D", data, "-o", options, "-l", place / "log", "start"],
        ):
            subprocess.run([*user, *command], check=True, stdout=subprocess.DEVNULL, cwd=place)
        try:
            told = subprocess.run(
                [*user, "psql", "-qAt", "-v", "ON_ERROR_STOP=1", "-h", place, "-U", "postgres",
                 "-f", script], check=True, capture_output=True, text=True, cwd=place,
            ).stdout  # fmt: skip
        finally:
            subprocess.run(
                [*user, _BIN / "pg_ctl", "-D", data, "-m", "fast", "stop"],
                check=True, stdout=subprocess.DEVNULL, cwd=place,
            )  # fmt: skip
    rows = [line.split("|") for line in told.splitlines()]
    return [(tuple(value == "t" for value in row[:-1]), float(row[-1])) for row in rows]


def main() -> int:
    """Compare and print."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--pairs", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    asked = list(pairs(arguments.pairs, arguments.seed))
    judged = _judged(asked)
    assert len(judged) == len(asked)
    wrong = 0
    true = Counter[str]()
    worst = 0.0
    for pair, (expected, area) in zip(asked, judged, strict=True):
        ours = answers(pair)
        true.update(name for name, value in zip(_QUESTIONS, expected, strict=True) if value)
        for name, got, wanted in zip(_QUESTIONS, ours, expected, strict=True):
            if got != wanted:
                wrong += 1
                print(f"{name}: we say {got}, pgSphere {wanted}: {pair}")
        # In steradians: pgSphere adds up angles, which leaves it no more than this precision.
        worst = max(worst, abs(geometry.area(pair.ours[1]) / math.degrees(1) ** 2 - area))
    print(f"{len(asked)} pairs; true at pgSphere: {dict(true)}")
    print(f"largest difference of areas: {worst:.1e} sr")
    print(f"{wrong} answers differ")
    return 1 if wrong or worst > 1e-10 else 0


if __name__ == "__main__":
    sys.exit(main())
