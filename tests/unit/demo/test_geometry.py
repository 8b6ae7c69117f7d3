"""Geometry in the places where it goes wrong; every answer is pgSphere's, which CADC runs."""

from __future__ import annotations

import pytest

from cadcfs.demo.adql import geometry, stc

ELL = "polygon 0 0 2 0 2 1 1 1 1 2 0 2"
CAP = "polygon 0 89 90 89 180 89 270 89"
SOUTH = "polygon 10 -89.5 130 -89 250 -89.7"
SEAM = "polygon 359 -1 1 -1 1 1 359 1"
CLOCKWISE = "polygon 359 1 1 1 1 -1 359 -1"
WIDE = "polygon 10 60 50 60 50 61 10 61"
STAR = "polygon 180 2 179.7 0.4 178 0 179.7 -0.4 180 -2 180.3 -0.4 182 0 180.3 0.4"

# Circle, polygon, do they meet, is the circle within, is the polygon within, is the centre within.
CASES = [
    ("circle 1.7 1.7 0.5", ELL, False, False, False, False),
    ("circle 1.7 1.7 0.71", ELL, True, False, False, False),
    ("circle 0.5 0.5 0.49", ELL, True, True, False, True),
    ("circle 0.5 0.5 0.51", ELL, True, False, False, True),
    ("circle 1 1 1.5", ELL, True, False, True, True),
    ("circle 1 1 1.3", ELL, True, False, False, True),
    ("circle 123 90 0.5", CAP, True, True, False, True),
    ("circle 45 89.4 0.01", CAP, True, True, False, True),
    ("circle 45 89.2 0.01", CAP, False, False, False, False),
    ("circle 45 89 0.1", CAP, False, False, False, False),
    ("circle 0 90 1.1", CAP, True, False, True, True),
    ("circle 0 -90 0.01", SOUTH, True, True, False, True),
    ("circle 190 -89.2 0.01", SOUTH, False, False, False, False),
    ("circle 0 0 0.9", SEAM, True, True, False, True),
    ("circle 359.5 0.5 0.1", SEAM, True, True, False, True),
    ("circle 0 0 1.5", SEAM, True, False, True, True),
    ("circle 180 0 1", SEAM, False, False, False, False),
    ("circle 0 0 0.9", CLOCKWISE, True, True, False, True),
    # A side is a great circle, and bulges towards the pole beyond the parallel of its ends.
    ("circle 30 62 0.01", WIDE, True, True, False, True),
    ("circle 30 60.5 0.01", WIDE, False, False, False, False),
    ("circle 181 1 0.2", STAR, False, False, False, False),
    ("circle 181 0 0.01", STAR, True, True, False, True),
    ("circle 180 0 2.1", STAR, True, False, True, True),
]


@pytest.mark.parametrize(("circle", "polygon", "meets", "inside", "around", "centred"), CASES)
def test_circles_and_polygons(
    circle: str, polygon: str, meets: bool, inside: bool, around: bool, centred: bool
) -> None:
    a, b = geometry.parse(circle), geometry.parse(polygon)
    point = geometry.parse("point " + circle.removeprefix("circle ").rpartition(" ")[0])
    assert geometry.intersects(a, b) is geometry.intersects(b, a) is meets
    assert geometry.contains(a, b) is inside
    assert geometry.contains(b, a) is around
    assert geometry.contains(point, b) is centred


@pytest.mark.parametrize(
    ("box", "circle", "meets"),
    [
        ("range 350 10 -5 5", "circle 0 0 1", True),
        ("range 350 10 -5 5", "circle 180 0 1", False),
        ("range 0 300 -80 80", "circle 330 0 1", False),
        ("range 0 300 -80 80", "circle 150 0 1", True),
        ("range 0 360 -10 10", "circle 330 9 0.1", True),
        ("range 0 360 -10 10", "circle 330 11 0.1", False),
        ("range 0 360 80 90", "circle 45 90 0.1", True),
        ("range 10 20 80 90", "circle 15 89.99 0.001", True),
        ("range 10 20 80 90", "circle 100 89.9 0.001", False),
        # The sides follow the parallels, not great circles.
        ("range 0 40 60 61", "circle 20 60.5 0.1", True),
        ("range 0 40 60 61", "circle 20 61.2 0.1", False),
    ],
)
def test_ranges_follow_parallels_and_go_all_around(box: str, circle: str, meets: bool) -> None:
    assert geometry.intersects(geometry.parse(box), geometry.parse(circle)) is meets


@pytest.mark.parametrize(
    ("shape", "area"),
    [
        ("circle 10 20 90", 20626.480625),
        ("polygon 0 0 90 0 0 90", 5156.620156),
        (SEAM, 4.000203),
        (CLOCKWISE, 4.000203),
        (ELL, 2.999619),
    ],
)
def test_areas_in_square_degrees(shape: str, area: float) -> None:
    region = geometry.parse(shape)
    assert isinstance(region, geometry.Region)
    assert geometry.area(region) == pytest.approx(area, rel=1e-6)


@pytest.mark.parametrize(
    ("text", "shape"),
    [
        ("Circle ICRS 10 20 1", "circle 10.0 20.0 1.0"),
        ("CIRCLE ICRS GEOCENTER 10 20 1", "circle 10.0 20.0 1.0"),
        ("Position ICRS 10 -20", "point 10.0 -20.0"),
        ("Polygon ICRS 1 2 3 4 5 9", "polygon 1.0 2.0 3.0 4.0 5.0 9.0"),
        ("Box ICRS 10 0 2 4", "polygon 9.0 -2.0 11.0 -2.0 11.0 2.0 9.0 2.0"),
    ],
)
def test_regions_in_stc_s(text: str, shape: str) -> None:
    assert stc.shape_text(text) == shape


@pytest.mark.parametrize(
    "text",
    ["", "Circle", "Circle FK5 1 2 3", "Circle ICRS 1 2", "Polygon ICRS 1 2 3 4",
     "Polygon ICRS 0 0 1 1 0 1 1 0", "Union ICRS (Circle 1 2 3)", "Circle ICRS a b c"],
)  # fmt: skip
def test_what_is_no_region_is_refused(text: str) -> None:
    with pytest.raises(geometry.ShapeError):
        stc.shape_text(text)
