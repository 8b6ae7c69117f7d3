"""The build of the embedded archive: the same every time, sound, and as its inventory says."""

import hashlib
import signal
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from cadcfs.demo.archive import Archive, open_or_build
from cadcfs.demo.build.targets import AWKWARD
from cadcfs.demo.schema import columns_of


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Archive:
    return open_or_build(tmp_path_factory.mktemp("one"), small=True)


def query(path: Path, text: str) -> list[tuple]:
    with closing(sqlite3.connect(path)) as database:
        return database.execute(text).fetchall()


def dump(path: Path) -> str:
    with closing(sqlite3.connect(path)) as database:
        return "\n".join(database.iterdump())


def digests(archive: Archive) -> dict[str, str]:
    return {
        str(path.relative_to(archive.files)): hashlib.md5(path.read_bytes()).hexdigest()
        for path in archive.files.rglob("*")
        if path.is_file()
    }


def test_same_every_time(archive, tmp_path):
    again = open_or_build(tmp_path, small=True)
    assert digests(again) == digests(archive)
    assert dump(again.database) == dump(archive.database)
    assert dump(again.inventory) == dump(archive.inventory)


def test_reused(archive):
    reports: list[str] = []
    again = open_or_build(archive.root.parent, small=True, report=reports.append)
    assert again == archive
    assert reports == []


def test_failed_build_leaves_nothing(tmp_path):
    def fail(_):
        raise RuntimeError

    with pytest.raises(RuntimeError):
        open_or_build(tmp_path, small=True, report=fail)
    assert not [path for path in tmp_path.iterdir() if path.is_dir()]


def test_fits_is_standard(archive):
    paths = [p for p in archive.files.rglob("*") if p.name.endswith((".fits", ".fits.fz"))]
    assert len(paths) > 20
    for path in paths:
        if path.name.endswith("_REJECT.fits"):
            continue  # Its faults are what it is there for.
        done = subprocess.run(["fitsverify", "-q", path], capture_output=True, text=True)
        assert "OK" in done.stdout, done.stdout


def test_inventory_is_true(archive):
    rows = query(archive.inventory, "SELECT uri, contentLength, contentChecksum FROM Artifact")
    for uri, length, checksum in rows:
        content = archive.path_of(uri).read_bytes()
        assert len(content) == length, uri
        assert f"md5:{hashlib.md5(content).hexdigest()}" == checksum, uri
    assert len(rows) == len(digests(archive))


def test_artifacts_agree_with_inventory(archive):
    stored = {
        uri: rest
        for uri, *rest in query(
            archive.inventory,
            "SELECT uri, contentLength, contentType, contentChecksum FROM Artifact",
        )
    }
    told = query(
        archive.database, "SELECT uri, contentLength, contentType, contentChecksum FROM Artifact"
    )
    for uri, *rest in told:
        if uri in stored:
            # What the metadata do not tell, the storage does.
            assert [mine for mine in rest if mine is not None] == [
                theirs for mine, theirs in zip(rest, stored[uri], strict=True) if mine is not None
            ]
        else:
            assert uri.startswith(
                ("cadc:SIMSURVEY/", "cadc:SIMMONITOR/", "noao:", "mast:", "tape:")
            )
    assert set(stored) <= {uri for uri, *_ in told}


@pytest.mark.parametrize("table", ["Observation", "Plane", "Artifact", "EnumField"])
def test_columns(archive, table):
    names = [row[1] for row in query(archive.database, f"PRAGMA table_info({table})")]
    assert names == [column.name for column in columns_of(f"caom2.{table}")]


def test_targets(archive):
    count = query(
        archive.database,
        "SELECT count(DISTINCT target_name), count(*) FROM Observation"
        " WHERE collection = 'SIMSURVEY'",
    )
    assert count == [(20_000, 20_000)]
    names = {name for (name,) in query(archive.database, "SELECT target_name FROM Observation")}
    assert set(AWKWARD) <= names


def test_one_circle_holds_a_thousand_images_that_share_their_bytes(archive):
    rows = query(
        archive.database,
        "SELECT a.uri, c.naxis FROM Artifact a JOIN Part t ON t.artifactID = a.artifactID"
        " JOIN Chunk c ON c.partID = t.partID WHERE a.uri LIKE 'cadc:SIMEPOCHS/%'",
    )
    assert len(rows) == 1_000
    assert {naxis for _, naxis in rows} == {2}
    assert len({archive.path_of(uri).stat().st_ino for uri, _ in rows}) == 40


def test_a_monitored_field_has_forty_files_a_night(archive):
    [(nights, files)] = query(
        archive.database,
        "SELECT count(DISTINCT o.obsID), count(*) FROM Observation o JOIN Plane p"
        " ON p.obsID = o.obsID JOIN Artifact a ON a.planeID = p.planeID"
        " WHERE o.target_name = 'Monitor field'",
    )
    assert files == 40 * nights > 2_000


def test_a_build_that_was_killed_is_cleared_away_by_the_next(tmp_path):
    stale = tmp_path / "building-stale"
    (stale / "files").mkdir(parents=True)
    script = (
        "import os, signal; from pathlib import Path;"
        " from cadcfs.demo.archive import open_or_build;"
        f"open_or_build(Path({str(tmp_path)!r}), small=True,"
        " report=lambda _: os.kill(os.getpid(), signal.SIGKILL))"
    )
    done = subprocess.run([sys.executable, "-c", script], check=False)
    assert done.returncode == -signal.SIGKILL
    assert [path for path in tmp_path.glob("building-*") if path != stale]

    def stop(_):
        raise RuntimeError

    with pytest.raises(RuntimeError):
        open_or_build(tmp_path, small=True, report=stop)
    assert not list(tmp_path.glob("building-*"))


def test_identifiers_are_unique(archive):
    for table, column in (("Observation", "obsID"), ("Plane", "planeID"), ("Plane", "publisherID"),
                          ("Artifact", "artifactID")):  # fmt: skip
        [(all_, distinct)] = query(
            archive.database, f"SELECT count({column}), count(DISTINCT {column}) FROM {table}"
        )
        assert all_ == distinct, column


def test_enumerated_fields_count_every_plane(archive):
    [(planes,)] = query(archive.database, "SELECT count(*) FROM Plane")
    assert query(archive.database, "SELECT sum(num_tuples) FROM EnumField") == [(planes,)]


@pytest.mark.parametrize("uri", ["cadc:../x", "cadc:a/../../x", "..:x", "x", "cadc:", "a/b:c"])
def test_paths_stay_inside(uri):
    with pytest.raises(ValueError, match="artifact URI"):
        Archive(Path("/archive")).path_of(uri)
