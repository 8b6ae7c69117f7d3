"""Parts, chunks and positions of planes follow from the headers of the stored files."""

import math
import sqlite3
from contextlib import closing

import numpy as np
import pytest
import spherely
from astropy.coordinates import SkyCoord
from astropy.io import fits
from astropy.wcs import WCS

from cadcfs.demo.archive import Archive
from cadcfs.demo.data.footprints import Footprint, union
from cadcfs.demo.data.shapes import vectors

MOSAIC = "cadc:CFHT/2376828p.fits.fz"


def rows(archive: Archive, text: str, *values: object) -> list[dict[str, object]]:
    with closing(sqlite3.connect(archive.database)) as database:
        cursor = database.execute(text, values)
        names = [column[0] for column in cursor.description]
        return [dict(zip(names, row, strict=True)) for row in cursor]


def chunks(archive: Archive, uri: str) -> dict[str, dict[str, object]]:
    found = rows(
        archive,
        "SELECT t.name, c.* FROM Artifact a JOIN Part t ON t.artifactID = a.artifactID"
        " LEFT JOIN Chunk c ON c.partID = t.partID WHERE a.uri = ?",
        uri,
    )
    return {str(row["name"]): row for row in found}


def polygon(archive: Archive, product: str) -> list[tuple[float, float]]:
    [row] = rows(archive, "SELECT position_bounds b FROM Plane WHERE productID = ?", product)
    kind, *numbers = str(row["b"]).split()
    assert kind == "polygon"
    values = [float(number) for number in numbers]
    return list(zip(values[::2], values[1::2], strict=True))


def test_a_mosaic_has_a_chunk_for_each_detector(archive):
    found = chunks(archive, MOSAIC)
    assert sorted(map(int, found)) == list(range(41))
    assert found["0"]["chunkID"] is None
    with fits.open(archive.path_of(MOSAIC)) as hdus:
        for number in (1, 17, 40):
            row, header = found[str(number)], hdus[number].header
            start = "position_axis_function"
            assert (row["naxis"], row["positionAxis1"], row["positionAxis2"]) == (2, 1, 2)
            assert row["position_axis_axis1_ctype"] == "RA---TAN"
            assert row[f"{start}_dimension_naxis1"] == header["NAXIS1"]
            assert row[f"{start}_refCoord_coord1_pix"] == header["CRPIX1"]
            assert row[f"{start}_refCoord_coord2_val"] == header["CRVAL2"]
            assert row[f"{start}_cd11"] == pytest.approx(header["CDELT1"])
            assert row[f"{start}_cd12"] == 0


def test_a_cube_has_an_energy_axis(archive):
    [row] = chunks(archive, "cadc:JCMT/acsis_00021_20190107T062424_cube.fits").values()
    assert (row["naxis"], row["energyAxis"], row["energy_axis_axis_ctype"]) == (3, 3, "FREQ")
    assert row["energy_axis_function_naxis"] == 100
    [plane] = rows(
        archive,
        "SELECT energy_bounds_lower l, energy_bounds_upper u, energy_dimension n FROM Plane"
        " WHERE productID = 'reduced-345796MHz'",
    )
    ends = 3.45796e11 + 9.765e5 * (np.array([0.5, 100.5]) - 50)
    assert [plane["l"], plane["u"]] == pytest.approx(sorted(299792458 / ends))
    assert plane["n"] == 100


def test_the_bounds_of_a_mosaic_hold_every_detector_and_are_not_convex(archive):
    corners = polygon(archive, "2376828p")
    body = spherely.create_polygon(corners)
    with fits.open(archive.path_of(MOSAIC)) as hdus:
        for hdu in hdus[1:]:
            for ra, dec in WCS(hdu.header).calc_footprint():
                assert spherely.covers(body, spherely.create_point(ra, dec))
    hull = spherely.convex_hull(spherely.create_multipoint(corners))
    assert spherely.area(hull) > 1.03 * spherely.area(body)


def test_galactic_images_are_where_their_pixels_are(archive):
    body = spherely.create_polygon(polygon(archive, "1420MHz-I"))
    with fits.open(archive.path_of("cadc:CGPS/CGPS_MA1_1420_MHz_I_image.fits")) as hdus:
        wcs = WCS(hdus[0].header)
        height, width = hdus[0].data.shape
        for x, y in ((0, 0), (width - 1, 0), (width // 2, height - 1)):
            place: SkyCoord = wcs.pixel_to_world(x, y).icrs
            assert spherely.covers(body, spherely.create_point(place.ra.deg, place.dec.deg))


def test_files_without_coordinates_leave_the_plane_as_it_was_described(archive):
    [row] = rows(archive, "SELECT position_bounds b FROM Plane WHERE productID = '2460606i'")
    assert row["b"] == "circle 36.7127 37.5504 0.0005"


def square(ra: float, dec: float, half: float = 0.5) -> Footprint:
    return Footprint(
        vectors(
            [ra + half, ra - half, ra - half, ra + half],
            [dec - half, dec - half, dec + half, dec + half],
        )
    )


def test_squares_with_a_gap_become_one_line():
    found = union([square(0.0, 0.0), square(1.05, 0.0), square(359.0, 0.0)])
    assert found is not None
    assert len(found.corners) in (4, 6, 8)
    numbers = found.numbers()
    assert min(numbers[1::2]) == pytest.approx(-0.525, abs=0.03)
    assert {round(ra) % 360 for ra in numbers[::2]} >= {2, 358}


def test_far_apart_is_no_line():
    assert union([square(0.0, 0.0), square(10.0, 0.0)]) is None


def test_the_smallest_circle_goes_through_the_corners():
    ra, dec, radius = square(0.0, 0.0).circle()
    assert (ra % 360, dec) == (pytest.approx(0, abs=1e-9), pytest.approx(0, abs=1e-9))
    assert radius == pytest.approx(math.hypot(0.5, 0.5), rel=1e-4)
