"""Names that nobody should type: each ends in an errno that says so, and nothing else happens."""

from __future__ import annotations

import errno
import os
import subprocess

from tests.conftest import ExpectLog
from tests.rig import Mount, Run, Server

PLACES = (
    "", "collections", "collections/CFHT", "collections/CFHT/by-target",
    "collections/CFHT/by-observation", "collections/CFHT/by-proposal", "collections/CFHT/by-date",
    "collections/CFHT/by-date/2019", "collections/CFHT/by-level", "collections/CFHT/by-instrument",
    "collections/CFHT/by-filter", "collections/CFHT/by-type", "collections/CFHT/by-product",
    "collections/CFHT/region", "collections/CFHT/name", "region", "name", "name/m31",
    "region/10.6847_41.2688_0.1", "collections/CFHT/by-target/M31",
    "collections/CFHT/by-target/M31/where", "collections/CFHT/by-target/M31/headers",
)  # fmt: skip
NAMES = (
    b"'q", b"''; DROP TABLE x --", b"' OR '1'='1", b"a\nb", b"a;b", b"100%q", b"%_%q",
    b"=q", b"=ZZ",
    b"=00", b"\xff\xfe", b"a\xc3", b"=~deadbeef", b"x" * 255, b"\\", b'"q', b"$(id)", b"*q",
    "naïve ünïcødé".encode(), b"..x", b"NULL", b"=-=-",
)  # fmt: skip
ALLOWED = {errno.ENOENT, errno.EINVAL}


def tried(path: bytes) -> int:
    """The errno of listing and of reading *path*; 0 where something is there."""
    try:
        os.listdir(path)
    except NotADirectoryError:
        return 0
    except OSError as exc:
        return exc.errno or -1
    return 0


def test_bad_names_are_not_there_or_invalid(
    mount: Mount, server: Server, expect_log: ExpectLog
) -> None:
    expect_log("EINVAL")
    for place in PLACES:
        directory = os.fsencode(mount.path / place)
        for name in NAMES:
            assert tried(directory + b"/" + name) in ALLOWED, (place, name)
        assert tried(directory + b"/" + b"y" * 300) == errno.ENAMETOOLONG, place
    refused = [r["adql"] for r in server.requests() if r["adql"] and r["status"] not in (200, 303)]
    assert refused == [], refused
    assert mount.answers()


def test_bad_names_stay_so_once_everything_is_listed(mount: Mount, expect_log: ExpectLog) -> None:
    expect_log("EINVAL")
    for place in PLACES:
        os.listdir(mount.path / place)
    for place in PLACES:
        for name in NAMES:
            path = os.fsencode(mount.path / place) + b"/" + name
            # The raw spelling of a listed name is a link to it.
            assert tried(path) in ALLOWED or os.path.islink(path), path


def test_programs_that_walk(mount: Mount, run: Run) -> None:
    place = mount.path / "collections/CFHT/by-target/M31"
    found = run("find", place, "-name", "*.fits*")
    assert found.returncode == 0, found.stderr
    assert "2376828p.fits.fz\n" in found.stdout
    text = run("grep", "-rh", "EXPTIME", place / "headers")
    assert text.returncode == 0
    assert text.stdout.count("EXPTIME") >= 2
    assert run("du", "-s", place).returncode == 0
    rsync = run("rsync", "-na", "--stats", f"{place}/", mount.cache / "copy")
    assert rsync.returncode == 0, rsync.stderr
    piped = subprocess.run(
        ["stilts", "tpipe", f"in={place}/metadata.vot", "cmd=keepcols publisherID", "ofmt=csv"],
        capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert piped.returncode == 0, piped.stderr
    assert "ivo://cadc.nrc.ca/CFHT?2376828/2376828p" in piped.stdout
