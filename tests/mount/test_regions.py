"""Circles on the sky and parts of names: what they list, what they are called, what they cost."""

from __future__ import annotations

import errno
import os
import sqlite3
from pathlib import Path

from tests.conftest import ExpectLog
from tests.rig import Mount, Server

HERE = "10.6847_41.2688_0.1"
JUNCTION = "150_2_0.1"
"""A circle with targets of several collections."""


def rows(server: Server, sql: str, *values: object) -> set[str]:
    with sqlite3.connect(server.archive.database) as database:
        return {row[0] for row in database.execute(sql, values)}


def refused(path: Path) -> int:
    """The errno of listing *path*; 0 where it is listed."""
    try:
        os.listdir(path)
    except OSError as exc:
        return exc.errno or -1
    return 0


def test_a_region_lists_its_collections_for_one_query(mount: Mount, server: Server) -> None:
    found = os.listdir(mount.path / "region" / JUNCTION)
    assert {"CFHT", "GEMINI"} <= set(found)
    assert len(server.queries()) == 1
    assert "GROUP BY o.collection" in server.queries()[0]
    for name in set(found) - {"footprints.png", "footprints.reg", "coverage.fits"}:
        assert os.path.isdir(mount.path / "region" / JUNCTION / name)
    assert len(server.queries()) == 1


def test_a_result_of_a_region_is_one_query_with_the_numbers_as_typed(
    mount: Mount, server: Server
) -> None:
    files = os.listdir(mount.path / "region" / HERE / "CFHT")
    assert {"2376828o.fits.fz", "2376828p.fits.fz"} <= set(files)
    assert len(server.queries()) == 1
    assert "CIRCLE('ICRS', 10.6847, 41.2688, 0.1)" in server.queries()[0]
    assert set(os.listdir(mount.path / "collections" / "CFHT" / "region" / HERE)) == set(files)
    assert len(server.queries()) == 1


def test_other_spellings_are_links(mount: Mount, server: Server) -> None:
    for spelling, canonical in {
        "10.6847_41.2688_6arcmin": HERE,
        "10.68470_+41.2688_0.10": HERE,
        "10.6847_41.2688_6m": HERE,
        "10.6847_41.2688": "10.6847_41.2688_0.0166667",
        "00h42m44.328s_+41d16m07.68s_6m": HERE,
    }.items():
        for place in (mount.path / "region", mount.path / "collections" / "CFHT" / "region"):
            assert os.readlink(place / spelling) == canonical
    assert server.queries() == []


def test_an_arcminute_is_asked_as_a_sixtieth_of_a_degree(mount: Mount, server: Server) -> None:
    os.listdir(mount.path / "region" / "10.6847_41.2688")
    assert "0.016666666666667)" in server.queries()[0]


def test_a_malformed_region_is_invalid_at_once(
    mount: Mount, server: Server, expect_log: ExpectLog
) -> None:
    expect_log("EINVAL: ")
    for name in ("10_91_1", "400_1_1", "-1_1_1", "1_1_0", "1_1_-1", "1_1_91", "nan_1_1",
                 "1_1_nan", "1_1_5parsec"):  # fmt: skip
        assert refused(mount.path / "region" / name) == errno.EINVAL, name
        assert refused(mount.path / "collections" / "CFHT" / "region" / name) == errno.EINVAL, name
    assert server.requests() == []


def test_what_is_no_region_is_not_there_at_once(mount: Mount, server: Server) -> None:
    for name in ("M31", ".git", "Thumbs.db", "a_b_c", "M31_5parsec"):
        assert refused(mount.path / "region" / name) == errno.ENOENT, name
    assert server.requests() == []


def test_an_empty_region_is_an_empty_directory(mount: Mount) -> None:
    assert os.listdir(mount.path / "region" / "200_-85_0.01") == []
    assert os.listdir(mount.path / "collections" / "CFHT" / "region" / "200_-85_0.01") == []
    assert refused(mount.path / "region" / "200_-85_0.01" / "CFHT") == errno.ENOENT


def test_the_pole_and_the_beginning_of_right_ascension(mount: Mount, server: Server) -> None:
    assert "IRIS" in os.listdir(mount.path / "region" / "123_89.9_1")
    over_zero = os.listdir(mount.path / "region" / "359.9_-1_0.2")
    assert "SIMSURVEY" in over_zero


def test_what_was_asked_is_listed_also_after_a_remount(mount: Mount) -> None:
    place = mount.path / "region"
    assert os.listdir(place) == ["README.txt"]
    os.listdir(place / HERE)
    os.listdir(place / "10.6847_41.2688_6m")
    os.stat(place / "11_41_1")
    assert sorted(os.listdir(place)) == [HERE, "README.txt"]
    mount.restart()
    assert sorted(os.listdir(place)) == [HERE, "README.txt"]
    assert "README.txt" in os.listdir(mount.path / "name")


def test_a_part_of_a_name_finds_its_targets(mount: Mount, server: Server) -> None:
    for text in ("m31", "M31", "HD  15", "@ 104", "star0"):
        known = rows(
            server,
            "SELECT collection FROM Observation WHERE instr(lower(target_name), lower(?)) "
            "AND metaRelease < '2026-01-01'",
            text,
        )
        assert known
        name = text.replace("@", "=40")
        server.forget()
        assert set(os.listdir(mount.path / "name" / name)) == known
        assert len(server.queries()) == (0 if text == "M31" else 1)
        for collection in known:
            files = os.listdir(mount.path / "name" / name / collection)
            assert files
            place = mount.path / "collections" / collection / "name" / name
            assert os.listdir(place) == files


def test_the_raw_name_is_a_link_to_the_encoded_one(mount: Mount) -> None:
    assert os.readlink(mount.path / "name" / "Ar,Xe") == "Ar=2CXe"
    assert os.readlink(mount.path / "name" / "a=b") == "a=3Db"


def test_what_no_target_contains_is_not_there(mount: Mount) -> None:
    for text in ("nothing like it", "M_1", "M=25q", "' OR 1=1 --", "\udcff"):
        assert refused(mount.path / "name" / text) == errno.ENOENT, text
        assert refused(mount.path / "collections" / "CFHT" / "name" / text) == errno.ENOENT, text


def test_wildcards_of_the_archive_are_plain_text(mount: Mount, server: Server) -> None:
    for text, name in (("%", "=25"), ("_", "_")):
        known = rows(
            server,
            "SELECT collection FROM Observation WHERE instr(target_name, ?)"
            " AND metaRelease < '2026-01-01'",
            text,
        )
        assert known or text == "_"
        place = mount.path / "name" / name
        assert (set(os.listdir(place)) == known) if known else (refused(place) == errno.ENOENT)
