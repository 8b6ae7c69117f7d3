"""Listings are whole, whatever the archive does, and cost what they must."""

from __future__ import annotations

import errno
import os
import sqlite3
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import ExpectLog
from tests.rig import Mount, Run, Server

CAP = 3000
"""Rows at which the archive cuts its answers here."""


@pytest.fixture(autouse=True)
def without_faults(server: Server) -> Iterator[None]:
    yield
    server.mend()


def data_in(place: Path) -> set[str]:
    return {name for name in os.listdir(place) if ".fits" in name}


def test_an_archive_that_cuts_every_answer_is_asked_until_all_is_there(
    mount: Mount, server: Server
) -> None:
    server.fault("row-cap", rows=CAP)
    with sqlite3.connect(server.archive.database) as database:
        targets = {
            row[0]
            for row in database.execute(
                "SELECT DISTINCT target_name FROM Observation WHERE collection = 'SIMSURVEY'"
            )
        }
    assert set(os.listdir(mount.path / "collections/SIMSURVEY/by-target")) == targets
    assert len(targets) > 6 * CAP
    assert len(server.queries()) < 40


def test_a_result_of_104000_files_is_whole_also_through_a_cut(mount: Mount, server: Server) -> None:
    with sqlite3.connect(server.archive.database) as database:
        known = {
            row[0].rpartition("/")[2]
            for row in database.execute(
                "SELECT a.uri FROM Observation o JOIN Plane p USING (obsID)"
                " JOIN Artifact a USING (planeID) WHERE o.collection = 'SIMMONITOR'"
            )
        }
    assert len(known) == 104_000
    place = mount.path / "collections/SIMMONITOR/by-target/Monitor field"
    assert data_in(place) == known
    assert len(server.queries()) == 1
    server.fault("row-cap", rows=20_000)
    (place / ".refresh").read_text()
    assert data_in(place) == known
    assert 6 < len(server.queries()) < 30


def test_a_region_costs_one_query_and_few_for_each_collection(
    mount: Mount, server: Server, run: Run
) -> None:
    root = mount.path / "region" / "150_2_0.5"
    done = run("ls", "-R", root)
    assert done.returncode == 0, done.stderr
    collections = [path for path in root.iterdir() if path.is_dir()]
    assert len(collections) > 1
    assert len(server.queries()) <= 1 + 3 * len(collections)
    assert not [r for r in server.requests() if "datalink" in str(r["path"])]
    asked = len(server.queries())
    for path in collections:
        for name in os.listdir(path):
            path.joinpath(name).lstat() if "metadata" not in name else None
    run("ls", "-R", "--color=always", root)
    assert len(server.queries()) == asked


def test_listings_are_asked_by_what_the_archive_has_an_index_of(
    mount: Mount, server: Server
) -> None:
    """With CADC's own habits no listing is slow, but for all targets of a collection."""
    server.fault("like-cadc", seconds=8)
    cfht = mount.path / "collections" / "CFHT"
    for place in (
        mount.path / "collections",
        cfht / "by-target" / "M31",
        cfht / "by-observation" / "2376828",
        cfht / "by-proposal" / "19AC00",
        cfht / "by-instrument",
        cfht / "by-proposal",
        cfht / "by-observation",
        cfht / "by-date" / "2019",
        cfht / "by-date" / "undated",
        cfht / "by-intent" / "science" / "by-target" / "M31",
        cfht / "region" / "10.6847_41.2688_0.1",
        mount.path / "region" / "150_2_0.5",
        mount.path / "region" / "150_2_0.5" / "GEMINI",
    ):
        os.listdir(place)
        assert [r for r in server.requests() if r["faults"] and r["adql"]] == [], place
    assert "M31" in os.listdir(cfht / "by-target")


def test_a_listing_that_needs_longer_goes_on_behind(
    mount: Mount, server: Server, expect_log: ExpectLog
) -> None:
    expect_log("EAGAIN")
    mount.stop()
    mount.start("-o", "listing_time=1")
    slow = server.fault("latency", seconds=60, path="^/argus/")
    place = mount.path / "collections" / "CFHT" / "by-target" / "M31"
    with pytest.raises(BlockingIOError) as failed:
        os.listdir(place)
    assert failed.value.errno == errno.EAGAIN
    error = (place.parent / ".error").read_text()
    assert "EAGAIN" in error
    assert "being fetched" in error
    server.mend(slow)
    assert stat.S_ISDIR(os.stat(mount.path).st_mode)


def test_what_was_listed_is_not_asked_of_the_daemon_again(mount: Mount, run: Run) -> None:
    """A directory that is known is kept by the kernel, however it was come to."""
    for place in (
        "collections/SIMSURVEY/by-date/1980-01-01..2040-01-01",
        "collections/CFHT/by-target/M31",
        "collections/CFHT/region/10.6847_41.2688_0.1",
        "region/10.6847_41.2688_0.1/CFHT",
        "name/m31/CFHT",
        "collections/CFHT/by-target/M31/where/productID.eq.2376828p",
    ):
        path = mount.path / place
        names = [name for name in os.listdir(path) if ".fits" in name]
        run("ls", "-l", path)
        before = calls(mount)
        for name in names[:500]:
            os.lstat(path / name)
        assert calls(mount) - before < 20, place


def calls(mount: Mount) -> int:
    """How many requests the daemon has had, told by how often it read from its device."""
    text = Path(f"/proc/{mount.pid()}/io").read_text()
    return int(next(line.split()[1] for line in text.splitlines() if line.startswith("syscr")))
