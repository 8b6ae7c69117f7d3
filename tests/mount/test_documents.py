"""What a result tells of its files: metadata, addresses, numbers, and what columns select."""

from __future__ import annotations

import csv
import errno
import io
import os
import sqlite3
from pathlib import Path

import pytest
from astropy.io.votable import parse_single_table

from tests.conftest import ExpectLog
from tests.rig import Mount, Server

M31 = "collections/CFHT/by-target/M31"
SCIENCE = "collections/CFHT/by-intent/science/by-date/2000-01-01..2030-01-01"


def refused(path: Path) -> int:
    """The errno of listing *path*; 0 where it is listed."""
    try:
        os.listdir(path)
    except OSError as exc:
        return exc.errno or -1
    return 0


def test_the_metadata_are_all_columns_of_the_planes(mount: Mount, server: Server) -> None:
    place = mount.path / M31
    os.listdir(place)
    server.forget()
    table = parse_single_table(place / "metadata.vot").to_table(use_names_over_ids=True)
    assert len(server.queries()) == 1
    assert {"observationID", "target_name", "productID", "time_exposure", "lastModified2"} <= set(
        table.colnames
    )
    with sqlite3.connect(server.archive.database) as database:
        known = database.execute(
            "SELECT p.publisherID, p.time_exposure FROM Observation o JOIN Plane p"
            " ON o.obsID = p.obsID WHERE o.collection = 'CFHT' AND o.target_name = 'M31'"
        ).fetchall()
    assert sorted(zip(table["publisherID"], table["time_exposure"], strict=True)) == sorted(known)
    rows = list(csv.DictReader(io.StringIO((place / "metadata.csv").read_text())))
    assert [row["publisherID"] for row in rows] == list(table["publisherID"])
    assert rows[0].keys() == set(table.colnames)
    assert len(server.queries()) == 1


def test_sizes_of_texts_are_true(mount: Mount) -> None:
    place = mount.path / M31
    for name in ("about.txt", "urls.txt", "metadata.csv", "metadata.vot"):
        assert (place / name).stat().st_size == len((place / name).read_bytes()) > 0


def test_one_target_of_two_in_other_case_has_its_own_metadata(mount: Mount) -> None:
    place = mount.path / "collections/GEMINI/by-target/m31b"
    rows = list(csv.DictReader(io.StringIO((place / "metadata.csv").read_text())))
    assert {row["target_name"] for row in rows} == {"m31b"}


def test_addresses_are_those_of_the_data(mount: Mount, server: Server) -> None:
    lines = (mount.path / M31 / "urls.txt").read_text().splitlines()
    base = server.registry_url.replace("/reg/resource-caps", "")
    assert [line.removeprefix(base) for line in lines] == [
        "/raven/files/cadc:CFHT/2376828o.fits.fz",
        "/raven/files/cadc:CFHT/2376828p.fits.fz",
    ]


def test_about_counts_files_and_bytes(mount: Mount) -> None:
    place = mount.path / M31
    lines = (place / "about.txt").read_text().splitlines()
    told = {line[:24].strip(): line[24:].split() for line in lines}
    sizes = [path.stat().st_size for path in place.glob("*.fits.fz")]
    assert told["data"][:2] == [str(len(sizes)), str(sum(sizes))]
    assert told["planes"] == ["2"]
    assert told["proprietary"][0] == "0"


def test_columns_select_files_without_a_query_of_their_own(mount: Mount, server: Server) -> None:
    place = mount.path / M31
    os.listdir(place)
    (place / "metadata.vot").read_bytes()
    server.forget()
    assert "2376828p.fits.fz" in os.listdir(place / "where/productID.eq.2376828p")
    assert "2376828o.fits.fz" not in os.listdir(place / "where/productID.eq.2376828p")
    raw = place / "where/calibrationLevel.le.1/where/productID.like.=25o"
    assert set(os.listdir(raw)) >= {"2376828o.fits.fz", "metadata.csv", "where"}
    assert "2376828p" not in (raw / "metadata.csv").read_text()
    assert (raw / "urls.txt").read_text().endswith("2376828o.fits.fz\n")
    assert os.listdir(place / "where/time_exposure.gt.1e9") == []
    assert os.listdir(place / "where/time_exposure.null") == []
    assert server.queries() == []
    assert sorted(os.listdir(place / "where")) == ["README.txt", "productID.eq.2376828p"]


def test_a_condition_opens_by_a_cold_path(mount: Mount, server: Server) -> None:
    path = mount.path / M31 / "where/productID.eq.2376828p/2376828p.fits.fz"
    assert path.stat().st_size > 0
    assert len(server.queries()) == 2


def test_the_raw_spelling_of_a_condition_is_a_link(mount: Mount) -> None:
    assert os.readlink(mount.path / M31 / "where/productID.like.%o") == "productID.like.=25o"


def test_what_is_no_condition_is_invalid(mount: Mount, expect_log: ExpectLog) -> None:
    expect_log("EINVAL: ")
    place = mount.path / M31 / "where"
    for name in ("nonsense.eq.1", "time_exposure.about.3", "time_exposure.gt.long", "time_exposure",
                 "time_exposure.gt", "target_name.gt.5", "time_exposure.like.1",
                 "metaRelease.gt.yesterday"):  # fmt: skip
        assert refused(place / name) == errno.EINVAL, name
    assert refused(place / ".git") == errno.ENOENT


@pytest.mark.parametrize("name", ["urls.txt", "metadata.csv", "about.txt"])
def test_texts_of_a_region_leave_junk_out(mount: Mount, server: Server, name: str) -> None:
    with sqlite3.connect(server.archive.database) as database:
        junk, bounds, collection = database.execute(
            "SELECT p.productID, p.position_bounds, o.collection FROM Observation o JOIN Plane p"
            " ON o.obsID = p.obsID WHERE p.quality_flag = 'junk' AND p.position_bounds IS NOT NULL"
        ).fetchone()
    _, ra, dec, *_ = bounds.split()
    place = mount.path / "region" / f"{float(ra):.7g}_{float(dec):.7g}_0.5" / collection
    assert os.listdir(place / "junk")
    text = (place / name).read_text()
    assert junk not in text
    if name == "about.txt":
        assert "junk" in text


def test_the_index_tells_of_every_collection(mount: Mount, server: Server) -> None:
    rows = list(csv.DictReader(io.StringIO((mount.path / "collections/index.csv").read_text())))
    with sqlite3.connect(server.archive.database) as database:
        known = dict(
            database.execute(
                "SELECT collection, count(*) FROM Observation"
                " WHERE metaRelease < '2026-01-01' GROUP BY collection"
            )
        )
    assert {row["name"]: int(row["observations"]) for row in rows} == known
    cfht = next(row for row in rows if row["name"] == "CFHT")
    assert "MegaPrime" in cfht["instruments"].split("|")
    assert "Optical" in cfht["bands"].split("|")
    about = (mount.path / "collections/CFHT/about.txt").read_text()
    assert f"observations: {known['CFHT']}\n" in about
    assert "MegaPrime" in about
