"""What covers a circle: drawn, as DS9 regions, and as a MOC; made when opened."""

from __future__ import annotations

import os
import re
import sqlite3
import subprocess
from contextlib import closing
from pathlib import Path

import pytest
from astropy.coordinates import SkyCoord
from mocpy import MOC
from PIL import Image

from tests.conftest import ExpectLog
from tests.rig import Mount, Server

REGION = "region/10.6847_41.2688_0.5"
FILES = ("coverage.fits", "footprints.png", "footprints.reg")


@pytest.fixture
def place(mount: Mount) -> Path:
    return mount.path / REGION


def bounds(server: Server) -> list[str]:
    """The outlines of good planes near the circle's centre, from the archive's own tables."""
    with closing(sqlite3.connect(server.archive.database)) as database:
        return [
            row[0]
            for row in database.execute(
                "SELECT p.position_bounds FROM Observation o JOIN Plane p ON o.obsID = p.obsID"
                " WHERE o.target_name = 'M31' AND o.collection = 'CFHT'"
                " AND p.position_bounds IS NOT NULL AND coalesce(p.quality_flag, '') <> 'junk'"
            )
        ]


def test_listing_makes_none_and_opening_costs_one_query(place: Path, server: Server) -> None:
    assert set(FILES) <= set(os.listdir(place))
    shown = subprocess.run(["ls", "-l", place], capture_output=True, text=True, check=True).stdout
    subprocess.run(["du", "-a", place, "--max-depth=1"], capture_output=True, check=True)
    assert len(re.findall(r" 0 .* footprints\.(?:png|reg)$", shown, re.MULTILINE)) == 2
    asked = len(server.queries())
    assert not any("o.target_name, p.position_bounds" in query for query in server.queries())
    for name in FILES:
        assert (place / name).stat().st_size == len((place / name).read_bytes()) > 0
    assert len(server.queries()) == asked + 1
    assert "p.position_bounds FROM" in server.queries()[-1]
    assert all((place / name).read_bytes() for name in FILES)
    assert len(server.queries()) == asked + 1


def test_the_picture_shows_the_circle_and_names_its_collections(place: Path) -> None:
    with Image.open(place / "footprints.png") as picture:
        told = dict(picture.text)
        colours = picture.convert("RGB").getcolors(1 << 24)
    assert told["Title"] == "10.684700 +41.268800 (ICRS, deg), radius 30 arcmin"
    assert "M31" in told["Description"]
    # The circle is black; collections have colours of their own.
    assert colours is not None
    assert len([colour for count, colour in colours if count > 50]) > 3


def test_ds9_regions_are_the_archives_outlines(place: Path, server: Server) -> None:
    lines = (place / "footprints.reg").read_text().splitlines()
    assert lines[0] == "# Region file format: DS9 version 4.1"
    assert lines[2] == "icrs"
    assert lines[3].startswith('circle(10.6847000,41.2688000,1800.0000") # color=white dash=1')
    assert lines[3].endswith("text={region, radius 30 arcmin}")
    polygons = [line for line in lines if line.startswith("polygon") and "tag={CFHT}" in line]
    shown = {tuple(float(n) for n in re.findall(r"-?\d+\.\d+", line)[:8]) for line in polygons}
    wanted = [text.split() for text in bounds(server)]
    assert wanted
    for word, *numbers in wanted:
        assert word == "polygon"
        assert tuple(round(float(n), 7) for n in numbers[:8]) in shown


def test_the_moc_covers_what_the_outlines_cover(place: Path, server: Server) -> None:
    moc = MOC.from_fits(place / "coverage.fits")
    assert 0 < moc.sky_fraction < 0.001
    # A vertex lies on the edge, in a cell that is covered in part.
    ra, dec = (float(n) for n in bounds(server)[0].split()[1:3])
    inside = SkyCoord([10.6847, ra, 190.0], [41.2688, dec, -41.0], unit="deg")
    assert moc.contains_skycoords(inside).tolist() == [True, True, False]


def test_the_result_of_a_region_has_its_own(mount: Mount, server: Server) -> None:
    for place in ("region/10.6847_41.2688_0.5/CFHT", "collections/CFHT/region/10.6847_41.2688_0.5"):
        text = (mount.path / place / "footprints.reg").read_text()
        assert "tag={CFHT}" in text
        assert set(re.findall(r"tag=\{(.*?)\}", text)) == {"CFHT"}
        assert "footprints.reg" not in os.listdir(mount.path / place)
    assert len(server.queries()) == 2


def test_what_covers_nothing_has_none(mount: Mount, expect_log: ExpectLog) -> None:
    empty = mount.path / "region/200_-85_0.01"
    assert os.listdir(empty) == []
    for place in (empty, mount.path / "region/201_-85_0.01", mount.path / "name/m31"):
        with pytest.raises(FileNotFoundError):
            (place / "footprints.png").read_bytes()
