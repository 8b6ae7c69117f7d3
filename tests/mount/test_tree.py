"""What users see: names, listings, and how little they cost."""

from __future__ import annotations

import os
import shutil
import sqlite3
import stat
from pathlib import Path

import pytest

from cadcfs.archive.constraints import FACETS
from cadcfs.tree.names import directory_name
from tests.conftest import ExpectLog
from tests.rig import Mount, Server

MANY = "SIMSURVEY"


def targets(server: Server, collection: str) -> set[str]:
    """The answer in SQL, straight from the archive's database."""
    with sqlite3.connect(server.archive.database) as database:
        rows = database.execute(
            "SELECT DISTINCT target_name FROM Observation WHERE collection = ? "
            "AND metaRelease < strftime('%Y-%m-%dT%H:%M:%f', 'now')",
            (collection,),
        )
        return {directory_name(row[0]) for row in rows}


def test_the_root(mount: Mount) -> None:
    assert sorted(os.listdir(mount.path)) == [
        "README.txt", "collections", "jobs", "name", "region", "tables",
    ]  # fmt: skip
    assert "by-target" in (mount.path / "README.txt").read_text()
    assert not (mount.path / "collections").is_symlink()


def test_collections_are_those_of_the_archive(mount: Mount, server: Server) -> None:
    with sqlite3.connect(server.archive.database) as database:
        known = {row[0] for row in database.execute("SELECT DISTINCT collection FROM EnumField")}
    mount.stop()
    shutil.rmtree(mount.cache)
    server.forget()
    mount.start()
    assert set(os.listdir(mount.path / "collections")) == {*known, "index.csv"}
    assert len(server.queries()) == 1
    assert set(os.listdir(mount.path / "collections" / "CFHT")) == {*FACETS, "about.txt"}
    assert len(server.queries()) == 1


def test_a_long_listing_is_whole_and_asked_once(mount: Mount, server: Server) -> None:
    place = mount.path / "collections" / MANY / "by-target"
    known = targets(server, MANY)
    assert len(known) == 20_000
    assert set(os.listdir(place)) == known
    assert len(server.queries()) == 1
    assert set(os.listdir(place)) == known
    with os.scandir(place) as entries:
        assert all(entry.is_dir() for entry in entries)
    assert len(server.queries()) == 1
    mount.restart()
    assert set(os.listdir(place)) == known
    assert len(server.queries()) == 1


def test_a_result_costs_one_question_also_when_nothing_was_listed(
    mount: Mount, server: Server
) -> None:
    place = mount.path / "collections" / "CFHT" / "by-target" / "M31"
    names = os.listdir(place)
    assert {"previews"} < set(names)
    for name in set(names) - {"metadata.csv", "metadata.vot"}:
        os.stat(place / name)
    os.listdir(place / "previews")
    assert len(server.queries()) == 1
    assert "lower(o.target_name) = 'm31'" in server.queries()[0]
    assert all("/files/" not in str(r["path"]) for r in server.requests())


def test_attributes_come_from_the_metadata(mount: Mount, server: Server) -> None:
    place = mount.path / "collections" / "CFHT" / "by-target" / "M31"
    with sqlite3.connect(server.archive.database) as database:
        known = dict(
            database.execute(
                "SELECT substr(uri, length('cadc:CFHT/') + 1), contentLength FROM Artifact "
                "WHERE uri LIKE 'cadc:CFHT/%'"
            )
        )
    files = [path for path in place.iterdir() if path.name in known]
    assert files
    for path in files:
        found = path.stat()
        assert found.st_size == known[path.name]
        assert stat.S_IMODE(found.st_mode) == 0o444
        assert found.st_blocks == -(-found.st_size // 512)
        assert found.st_mtime > 0
        assert found.st_uid == os.getuid()
    assert stat.S_IMODE(place.stat().st_mode) == 0o555
    assert place.stat().st_nlink == 1


def test_inode_numbers_are_the_same_after_a_remount(mount: Mount) -> None:
    place = mount.path / "collections" / "CFHT" / "by-target" / "M31"
    before = {path.name: path.stat().st_ino for path in place.iterdir()}
    mount.restart()
    assert {path.name: path.stat().st_ino for path in place.iterdir()} == before
    assert len(set(before.values())) == len(before)


def test_what_is_not_there_costs_at_most_one_question(mount: Mount, server: Server) -> None:
    by_target = mount.path / "collections" / "CFHT" / "by-target"
    for _ in range(3):
        with pytest.raises(FileNotFoundError):
            os.stat(by_target / "No such galaxy")
    assert len(server.queries()) == 1
    with pytest.raises(FileNotFoundError):
        os.listdir(mount.path / "collections" / "NOSUCH")
    assert len(server.queries()) == 1


@pytest.mark.parametrize(
    "name", [".git", ".Trash", ".Trash-0", "autorun.inf", ".hidden", "Thumbs.db", "HEAD"]
)
def test_junk_names_cost_nothing(mount: Mount, server: Server, name: str) -> None:
    for place in ("", "collections", "collections/CFHT", "collections/CFHT/by-target"):
        with pytest.raises(FileNotFoundError):
            os.stat(mount.path / place / name)
    result = mount.path / "collections" / "CFHT" / "by-target" / "M31"
    os.listdir(result)
    server.forget()
    with pytest.raises(FileNotFoundError):
        os.stat(result / name)
    assert server.requests() == []


def test_other_spellings_are_links_once_the_parent_is_listed(mount: Mount) -> None:
    by_target = mount.path / "collections" / "CFHT" / "by-target"
    names = os.listdir(by_target)
    assert "M31" in names
    assert os.readlink(by_target / "m31") == "M31"
    assert sorted(os.listdir(by_target / "m31")) == sorted(os.listdir(by_target / "M31"))


def test_every_name_of_every_collection_opens(mount: Mount, server: Server) -> None:
    for collection in (mount.path / "collections").iterdir():
        if collection.name in (MANY, "index.csv"):
            continue
        names = os.listdir(collection / "by-target")
        assert set(names) == targets(server, collection.name)
        for name in names:
            os.listdir(collection / "by-target" / name)


def test_writing_is_refused(mount: Mount) -> None:
    import errno

    place = mount.path / "collections"
    # Before it is listed, any name in it is provisionally a directory.
    os.listdir(place)
    for attempt in (
        lambda: (place / "new").mkdir(),
        lambda: (place / "new").write_text("x"),
        lambda: (mount.path / "README.txt").unlink(),
        lambda: (mount.path / "README.txt").chmod(0o600),
        lambda: (mount.path / "README.txt").open("r+"),
        lambda: os.rename(mount.path / "README.txt", mount.path / "other"),
        lambda: os.symlink("x", place / "new"),
    ):
        with pytest.raises(OSError, match=r"Read-only|ermi") as caught:
            attempt()
        assert caught.value.errno in (errno.EROFS, errno.EACCES, errno.EPERM)


def test_the_root_and_the_status_never_ask(mount: Mount, server: Server) -> None:
    os.listdir(mount.path)
    os.statvfs(mount.path)
    assert "registry:" in (mount.path / ".cadcfs" / "status").read_text()
    assert ".cadcfs" not in os.listdir(mount.path)
    assert server.requests() == []


def test_private_files_are_closed(mount: Mount, server: Server, expected_log: list[str]) -> None:
    expected_log.append("EACCES: .* is proprietary")
    with sqlite3.connect(server.archive.database) as database:
        row = database.execute(
            "SELECT o.collection, o.observationID, a.uri FROM Observation o "
            "JOIN Plane p ON o.obsID = p.obsID JOIN Artifact a ON p.planeID = a.planeID "
            "WHERE p.dataRelease > strftime('%Y-%m-%dT%H:%M:%S', 'now') "
            "AND o.metaRelease < strftime('%Y-%m-%dT%H:%M:%S', 'now') "
            "AND p.metaRelease < strftime('%Y-%m-%dT%H:%M:%S', 'now') "
            "AND a.releaseType = 'data' AND a.productType = 'science'"
        ).fetchone()
    assert row
    collection, observation, uri = row
    file: Path = mount.path / "collections" / collection / "by-observation" / observation
    file /= uri.rpartition("/")[2]
    assert stat.S_IMODE(file.stat().st_mode) == 0
    with pytest.raises(PermissionError):
        file.read_bytes()


def test_a_file_that_another_archive_holds_is_asked_there(
    mount: Mount, server: Server, expect_log: ExpectLog
) -> None:
    expect_log("EIO: http://archive1")
    file = mount.path / "collections/NOAO/by-observation/tu636792/tu636792.fits.fz"
    assert file.name in os.listdir(file.parent)
    with pytest.raises(OSError, match="Input/output error"):
        file.stat()
    assert [r["path"] for r in server.requests() if "raven" in str(r["path"])] == []
