"""Shapes as archives write them, and the geometry of their edges."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from cadcfs.footprints import coverage, picture
from cadcfs.footprints.picture import View
from cadcfs.footprints.shapes import (
    Circle,
    Footprint,
    Polygon,
    bearing,
    distance,
    edge,
    offset,
    parse_shapes,
)

TRIANGLE = Polygon(((1.0, 2.0), (3.0, 4.0), (5.0, -6.0)))
positions = st.tuples(st.floats(0, 359.999), st.floats(-90, 90))


@pytest.mark.parametrize(
    ("text", "shapes"),
    [
        ("circle 10.5 -3 0.25", (Circle(10.5, -3, 0.25),)),
        ("polygon 1 2 3 4 5 -6", (TRIANGLE,)),
        ("POLYGON ICRS 1 2 3 4 5 -6", (TRIANGLE,)),
        ("Union ICRS (Polygon 1 2 3 4 5 -6 Circle 10.5 -3 0.25)",
         (TRIANGLE, Circle(10.5, -3, 0.25))),
        ("polygon 1 2 3 4 5 -6 NaN NaN 1 2 3 4 5 -6", (TRIANGLE, TRIANGLE)),
        ("", ()), ("point 1 2", ()), ("polygon 1 2 3 4", ()), ("circle 1 2", ()),
        ("circle 1 2 inf", ()), ("nonsense", ()),
    ],
)  # fmt: skip
def test_shapes_are_read_in_every_dialect(text: str, shapes: tuple[object, ...]) -> None:
    assert parse_shapes(text) == shapes


@given(positions, st.floats(1e-5, 179), st.floats(-180, 180))
def test_an_offset_is_as_far_as_it_says(
    start: tuple[float, float], length: float, turn: float
) -> None:
    there = offset(start, length, turn)
    assert distance(start, there) == pytest.approx(length, rel=1e-6, abs=1e-9)
    assert 0 <= there[0] <= 360
    assert -90 <= there[1] <= 90


@given(st.floats(0, 359), st.sampled_from([-90.0, 90.0, 89.9999, 0.0]), st.floats(0.001, 80))
def test_a_circles_edge_is_all_round_it_also_at_the_poles(
    ra: float, dec: float, radius: float
) -> None:
    points = edge(Circle(ra, dec, radius))
    assert all(distance((ra, dec), p) == pytest.approx(radius, rel=1e-6) for p in points)
    turns = {round(bearing((ra, dec), p) % 360) % 360 for p in points}
    assert len(turns) == len(points)


def test_a_picture_has_north_up_and_east_left() -> None:
    view = View((359.9, 10.0), 1.0, 100)
    assert view.point((359.9, 10.5)) == pytest.approx((50, 25))
    x, y = view.point((0.2, 10.0))
    assert x < 45
    assert y == pytest.approx(50, abs=0.1)


def test_a_picture_of_a_whole_sky_and_of_a_point_is_drawn(tmp_path: Path) -> None:
    wide = parse_shapes("polygon 0 -80 90 -80 180 80 270 80")
    found = [Footprint("A", str(i), (*wide, Circle(i % 360, 0, 0.01))) for i in range(3000)]
    for radius in (0.0003, 90.0):
        picture.draw(Circle(10, 0, radius), "title", "subtitle", found, tmp_path / "a.png")
        with Image.open(tmp_path / "a.png") as drawn:
            assert drawn.size == (1060, 864)


@pytest.mark.parametrize(("radius", "depth"), [(90, 8), (1, 11), (0.001, 13)])
def test_a_coverage_is_fine_beside_its_circle(radius: float, depth: int) -> None:
    assert coverage.depth_for(radius) == depth
