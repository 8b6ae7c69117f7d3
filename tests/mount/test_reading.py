"""Bytes: the archive's own, once over the network, kept over restarts and crashes."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import signal
import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.rig import CADCFS, Mount, Run, Server, until, wait_for_end


def file_of(mount: Mount, server: Server, condition: str) -> tuple[Path, str, int]:
    """Path, MD5 and size (bytes) of one public science file."""
    with sqlite3.connect(server.archive.database) as database:
        database.execute("ATTACH ? AS inventory", (str(server.archive.inventory),))
        collection, observation, uri, md5, size = database.execute(
            "SELECT o.collection, o.observationID, a.uri, i.contentChecksum, i.contentLength "
            "FROM Observation o JOIN Plane p ON o.obsID = p.obsID "
            "JOIN main.Artifact a ON p.planeID = a.planeID "
            "JOIN inventory.Artifact i ON i.uri = a.uri "
            "WHERE p.dataRelease < '2026' AND o.metaRelease < '2026' "
            "AND (p.quality_flag IS NULL OR p.quality_flag != 'junk') "
            f"AND a.productType IN ('science', 'this') AND {condition} LIMIT 1"
        ).fetchone()
    name = uri.rpartition("/")[2]
    path = mount.path / "collections" / collection / "by-observation" / observation / name
    return path, md5.removeprefix("md5:"), size


def big(mount: Mount, server: Server) -> tuple[Path, str, int]:
    return file_of(mount, server, "i.contentLength >= 100000000")


def mosaic(mount: Mount, server: Server) -> tuple[Path, str, int]:
    return file_of(mount, server, "a.uri LIKE 'cadc:CFHT/%p.fits.fz'")


@contextlib.contextmanager
def held_open(path: Path) -> Iterator[int]:
    """An open file whose mount may go away under it: closing it then fails, as it should."""
    file = os.open(path, os.O_RDONLY)
    try:
        yield file
    finally:
        with contextlib.suppress(OSError):
            os.close(file)


def md5_of(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "md5").hexdigest()


def test_a_copy_has_the_archives_checksum(
    mount: Mount, server: Server, run: Run, tmp_path: Path
) -> None:
    path, md5, size = mosaic(mount, server)
    assert run("cp", path, tmp_path / "copy").returncode == 0
    assert (tmp_path / "copy").stat().st_size == size
    assert md5_of(tmp_path / "copy") == md5
    assert server.bytes_sent("/minoc/") == size


def test_a_header_moves_little(mount: Mount, server: Server) -> None:
    path, _, size = big(mount, server)
    assert size >= 100_000_000
    with path.open("rb") as file:
        assert len(file.read(28_800)) == 28_800
    assert server.bytes_sent("/minoc/") <= 1 << 20


def test_every_byte_crosses_the_network_once(mount: Mount, server: Server) -> None:
    path, md5, size = big(mount, server)
    assert md5_of(path) == md5
    assert server.bytes_sent("/minoc/") == size
    mount.restart()
    assert md5_of(path) == md5
    assert server.bytes_sent("/minoc/") == size


def test_random_reads_are_right(mount: Mount, server: Server) -> None:
    path, _, size = mosaic(mount, server)
    with sqlite3.connect(server.archive.database):
        local = min(server.archive.files.rglob(path.name))
    with path.open("rb") as file, local.open("rb") as reference:
        for step in range(200):
            offset = (step * 7_919_003) % size
            length = 1 + (step * 104_729) % 70_000
            reference.seek(offset)
            assert os.pread(file.fileno(), length, offset) == reference.read(length)
        assert os.pread(file.fileno(), 10, size) == b""
        assert len(os.pread(file.fileno(), 100, size - 7)) == 7


def test_a_killed_daemon_leaves_a_right_cache_and_no_dead_mount_point(
    mount: Mount, server: Server
) -> None:
    path, md5, size = big(mount, server)
    with held_open(path) as file:
        while size > 80_000_000:
            size -= len(os.read(file, 1 << 20))
        pid = mount.pid()
        os.kill(pid, signal.SIGKILL)
        wait_for_end(pid)
    # The watchdog takes the dead mount away; if it cannot, the next mount does.
    until(lambda: not mount.is_mounted())
    assert os.listdir(mount.path) == []
    mount.start()
    assert md5_of(path) == md5


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_it_unmounts_when_told_to_end_also_with_open_files(
    mount: Mount, server: Server, number: signal.Signals
) -> None:
    path, _, _ = mosaic(mount, server)
    with held_open(path) as file:
        assert os.read(file, 1000)
        pid = mount.pid()
        os.kill(pid, number)
        wait_for_end(pid, 5)
    assert not mount.is_mounted()
    assert os.listdir(mount.path) == []


def test_the_foreground_ends_on_a_signal(server: Server, tmp_path: Path) -> None:
    import subprocess

    where = tmp_path / "here"
    where.mkdir()
    process = subprocess.Popen(
        [*CADCFS, "mount", "--foreground", "--registry-url", server.registry_url,
         "--cache-dir", str(tmp_path / "cache"), str(where)],
        stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert process.stderr is not None
    for line in process.stderr:
        if "mounted on" in line:
            break
    assert "collections" in os.listdir(where)
    process.terminate()
    assert process.wait(10) == 0
    process.stderr.close()
    assert os.listdir(where) == []


def test_a_replaced_file_is_stale_where_it_was_open_and_new_where_it_is_opened(
    mount: Mount, server: Server, expect_log: Callable[[str], None]
) -> None:
    expect_log("ESTALE")
    path, md5, size = mosaic(mount, server)
    uri = f"cadc:CFHT/{path.name}"
    local = min(server.archive.files.rglob(path.name)).read_bytes()
    assert size > 400_000
    number = path.stat().st_ino
    with path.open("rb", buffering=0) as old:
        assert os.pread(old.fileno(), 1000, 0) == local[:1000]
        fault = server.fault("replaced", uri=uri)
        try:
            for offset in (size - 1000, 0):
                with pytest.raises(OSError, match=os.strerror(errno.ESTALE)):
                    os.pread(old.fileno(), 1000, offset)
            new = path.read_bytes()
            assert hashlib.md5(new).hexdigest() != md5
            assert path.stat().st_size == len(new)
            assert path.stat().st_ino != number
            assert {e.name: e.inode() for e in os.scandir(path.parent)}[
                path.name
            ] == path.stat().st_ino
        finally:
            server.mend(fault)


def test_after_a_refresh_a_name_means_the_new_version_at_once(mount: Mount, server: Server) -> None:
    path, _, _ = mosaic(mount, server)
    before = path.read_bytes()
    number = path.stat().st_ino
    fault = server.fault("replaced", uri=f"cadc:CFHT/{path.name}")
    try:
        assert path.read_bytes() == before
        assert "asked again" in (path.parent / ".refresh").read_text()
        assert path.stat().st_ino != number
        assert path.read_bytes() != before
        assert path.stat().st_size == len(path.read_bytes())
    finally:
        server.mend(fault)
