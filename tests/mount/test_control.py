"""`.query`, `.error`, `.refresh`, `cadcfs info` and `cadcfs refresh`."""

from __future__ import annotations

import errno
import json
import os
import signal

import pytest

from tests.conftest import ExpectLog
from tests.rig import CADCFS, Mount, Run, Server, running_server

M31 = "collections/CFHT/by-target/M31"


def test_every_directory_tells_what_was_asked(mount: Mount, server: Server) -> None:
    place = mount.path / M31
    text = (place / ".query").read_text()
    assert "lower(o.target_name) = 'm31'" in text
    assert "rows" in text
    assert len(server.queries()) == 1
    days = mount.path / "collections" / "CFHT" / "by-date"
    assert "not asked yet" in (days / ".query").read_text()
    for name in ("", "collections", "collections/CFHT", "collections/CFHT/by-target", "region",
                 "name", M31 + "/previews", M31 + "/where"):  # fmt: skip
        (mount.path / name / ".query").read_text()
        assert (mount.path / name / ".error").read_text() == ""
        assert not {".query", ".error", ".refresh"} & set(os.listdir(mount.path / name))


def test_refresh_asks_again(mount: Mount, server: Server, run: Run) -> None:
    place = mount.path / M31
    os.listdir(place)
    os.listdir(place)
    assert len(server.queries()) == 1
    assert (place / ".refresh").read_text().startswith("asked again: ")
    assert len(server.queries()) == 2
    done = run(*CADCFS, "refresh", place / "2376828p.fits.fz", place)
    assert done.returncode == 0, done.stderr
    assert len(server.queries()) == 4
    os.listdir(place)
    assert len(server.queries()) == 4


def test_error_says_what_went_wrong(mount: Mount, expect_log: ExpectLog) -> None:
    expect_log("EACCES|EINVAL")
    cfht = mount.path / "collections" / "CFHT"
    private = next(
        path
        for target in (cfht / "by-target").iterdir()
        for path in target.iterdir()
        if path.is_file() and not path.lstat().st_mode & 0o777
    )
    with pytest.raises(PermissionError):
        private.read_bytes()
    assert "EACCES" in (private.parent / ".error").read_text()
    assert "needs a login" in (private.parent / ".error").read_text()
    with pytest.raises(OSError, match="Invalid") as failed:
        os.listdir(mount.path / "region" / "10_91_1")
    assert failed.value.errno == errno.EINVAL
    assert "declination 91" in (mount.path / "region" / ".error").read_text()


def test_info_tells_all_of_a_file(mount: Mount, run: Run) -> None:
    path = mount.path / M31 / "2376828p.fits.fz"
    done = run(*CADCFS, "info", "--json", path)
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert told["uri"] == "cadc:CFHT/2376828p.fits.fz"
    assert told["publisher_id"] == "ivo://cadc.nrc.ca/CFHT?2376828/2376828p"
    assert told["target_name"] == "M31"
    assert told["public"] == "yes"
    assert told["cached"] == "0"
    path.read_bytes()
    plain = run(*CADCFS, "info", path).stdout
    assert f"cached         {path.stat().st_size}\n" in plain
    assert run(*CADCFS, "info", path.parent / "nothing").returncode == 1
    assert "not below a mount" in run(*CADCFS, "info", "/etc/passwd").stderr


def test_extended_attributes_on_request(mount: Mount) -> None:
    path = mount.path / M31 / "2376828p.fits.fz"
    with pytest.raises(OSError, match="not supported"):
        os.listxattr(path)
    mount.stop()
    mount.start("-o", "xattr")
    names = os.listxattr(path)
    assert {"user.cadc.uri", "user.cadc.checksum", "user.mime_type"} <= set(names)
    assert os.getxattr(path, "user.cadc.uri") == b"cadc:CFHT/2376828p.fits.fz"
    assert os.getxattr(path, "user.cadc.target_name") == b"M31"
    assert os.getxattr(path, "user.mime_type") == b"application/fits"
    with pytest.raises(OSError, match="No data"):
        os.getxattr(path, "user.other")


def test_an_old_answer_is_marked_stale(
    data_dir, mount: Mount, expect_log: ExpectLog, tmp_path
) -> None:
    expect_log("showing the answer of|EHOSTUNREACH|cannot be reached|EIO")
    with running_server(data_dir) as server:
        other = tmp_path / "other"
        other.mkdir()
        mounted = Mount(other, tmp_path / "other-cache", server.registry_url)
        mounted.start("-o", "metadata_time=2,listing_time=3")
        place = other / M31
        known = os.listdir(place)
        server.process.send_signal(signal.SIGSTOP)
        try:
            assert "asked again" in (place / ".refresh").read_text()
            assert os.listdir(place) == known
            assert "stale" in (place / ".query").read_text()
        finally:
            server.process.send_signal(signal.SIGCONT)
            mounted.stop()
