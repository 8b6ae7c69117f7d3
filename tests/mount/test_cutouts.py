"""Cutouts: one file for each image of a region that can be cut, made by the archive's SODA."""

from __future__ import annotations

import os
import stat
import tarfile
import urllib.parse
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
from astropy.io import fits
from astropy.wcs import WCS

from tests.conftest import ExpectLog
from tests.rig import Mount, Run, Server, until

CIRCLE = ("10.7579", "41.2387", "0.02")
HERE = "_".join(CIRCLE)


@pytest.fixture
def cutouts(mount: Mount) -> Path:
    return mount.path / "collections" / "CFHT" / "region" / HERE / "cutouts"


def cuts(server: Server) -> int:
    """How many cutouts the archive was asked for."""
    return sum("/caom2ops/sync" in str(r["path"]) for r in server.requests())


def direct(server: Server, uri: str, circle: tuple[str, str, str] = CIRCLE) -> bytes:
    base = server.registry_url.replace("/reg/resource-caps", "/caom2ops/sync")
    query = urllib.parse.urlencode({"ID": uri, "POS": f"CIRCLE {' '.join(circle)}"})
    with urllib.request.urlopen(f"{base}?{query}", timeout=120) as reply:
        found: bytes = reply.read()
    return found


def test_a_cutout_is_what_soda_gives_and_holds_the_position(cutouts: Path, server: Server) -> None:
    assert set(os.listdir(cutouts)) >= {"2376828o.fits", "2376828p.fits"}
    assert len(server.queries()) == 1
    content = (cutouts / "2376828p.fits").read_bytes()
    assert content == direct(server, "cadc:CFHT/2376828p.fits.fz")
    with fits.open(cutouts / "2376828p.fits") as hdus:
        inside = [
            hdu.name for hdu in hdus if hdu.data is not None
            and WCS(hdu.header).footprint_contains(_position())
        ]  # fmt: skip
    assert inside


def _position() -> object:
    from astropy.coordinates import SkyCoord

    return SkyCoord(float(CIRCLE[0]), float(CIRCLE[1]), unit="deg")


def test_lookers_make_none(cutouts: Path, server: Server, run: Run) -> None:
    for command in (["ls", "-l", "--color=always"], ["find"], ["du", "-a"], ["tree", "-s"]):
        done = run(*command, cutouts)
        assert done.returncode == 0, done.stderr
        assert "2376828p.fits" in done.stdout
    assert run("bash", "-c", f"echo {cutouts}/*; compgen -f {cutouts}/").returncode == 0
    assert cuts(server) == 0
    assert len(server.queries()) == 1


DEEP = "34.501_-5.2_0.003"


@pytest.fixture
def deep(mount: Mount) -> Path:
    """A region with more than 200 images."""
    return mount.path / "collections" / "SIMDEEP" / "region" / DEEP / "cutouts"


def test_names_are_plain_and_closed_like_their_parents(deep: Path, expect_log: ExpectLog) -> None:
    expect_log("EACCES: cadc:SIMDEEP/deep0001.fits is proprietary")
    names = os.listdir(deep)
    assert len(names) == 210
    assert {"deep0000.fits", "deep0001.fits", "deep0209.fits"} <= set(names)
    assert stat.S_IMODE((deep / "deep0001.fits").stat().st_mode) == 0
    with pytest.raises(PermissionError):
        (deep / "deep0001.fits").read_bytes()


def test_tar_copy_and_sync_give_whole_files(
    deep: Path, server: Server, run: Run, tmp_path: Path, expect_log: ExpectLog
) -> None:
    expect_log("EACCES: cadc:SIMDEEP/deep0001.fits is proprietary")
    packed = tmp_path / "cutouts.tar"
    done = run("tar", "cf", packed, "-C", deep, "--exclude=deep0001.fits", ".")
    assert done.returncode == 0, done.stderr
    with tarfile.open(packed) as tar:
        members = {Path(m.name).name: m.size for m in tar if m.isfile()}
    assert len(members) == 209
    assert min(members.values()) >= 2 * 2880
    assert cuts(server) <= 210
    server.forget()
    for number, command in enumerate((["cp", "-r"], ["rsync", "-a", "--exclude=deep0001.fits"])):
        copy = tmp_path / f"copy{number}"
        copy.mkdir()
        run(*command, f"{deep}/.", copy)
        sizes = {p.name: p.stat().st_size for p in copy.iterdir()}
        assert {name: sizes.get(name) for name in members} == members
    assert cuts(server) == 0
    content = (tmp_path / "copy0" / "deep0100.fits").read_bytes()
    assert content == direct(server, "cadc:SIMDEEP/deep0100.fits", tuple(DEEP.split("_")))
    with fits.open(tmp_path / "copy1" / "deep0100.fits") as hdus:
        hdus.verify("exception")


def test_seven_zip_stores_no_empty_file(deep: Path, run: Run, tmp_path: Path) -> None:
    packed = tmp_path / "cutouts.7z"
    names = [deep / f"deep{number:04d}.fits" for number in range(2, 62)]
    done = run("7z", "a", "-mx0", packed, *names)
    assert done.returncode == 0, done.stdout
    listed = run("7z", "l", "-slt", packed).stdout
    sizes = [int(line[7:]) for line in listed.splitlines() if line.startswith("Size = ")]
    assert len(sizes) == 60
    assert min(sizes) >= 2 * 2880


def test_few_are_made_ahead(deep: Path, server: Server) -> None:
    (deep / "deep0100.fits").read_bytes()
    until(lambda: cuts(server) == 17)
    os.listdir(deep)
    assert cuts(server) == 17


def test_what_the_circle_misses_is_not_there(mount: Mount, server: Server, run: Run) -> None:
    place = mount.path / "collections/CFHT/region/10.6847_41.2687_0.001/cutouts"
    name = place / "2376828p.fits"
    assert name.name in os.listdir(place)
    for _ in range(2):
        with pytest.raises(FileNotFoundError):
            name.read_bytes()
        with pytest.raises(FileNotFoundError):
            name.stat()
    asked = cuts(server)
    assert name.name not in os.listdir(place)
    mount.restart()
    assert name.name not in os.listdir(place)
    with pytest.raises(FileNotFoundError):
        name.stat()
    assert cuts(server) == asked


def test_what_vanishes_does_not_break_a_copy(mount: Mount, run: Run, tmp_path: Path) -> None:
    place = mount.path / "collections/CFHT/region/10.6847_41.2687_0.001"
    os.listdir(place / "cutouts")
    done = run("cp", "-r", place / "cutouts", tmp_path / "copy")
    assert all("No such file" in line for line in done.stderr.splitlines())
    assert os.listdir(tmp_path / "copy") == []


def test_the_list_of_addresses_is_astroquerys(mount: Mount, server: Server) -> None:
    urls = (mount.path / "region" / HERE / "CFHT" / "cutout-urls.txt").read_text().splitlines()
    base = server.registry_url.replace("/reg/resource-caps", "/caom2ops/sync")
    position = urllib.parse.urlencode({"POS": f"CIRCLE {' '.join(CIRCLE)}"})
    names = ("cadc:CFHT/2376828o.fits.fz", "cadc:CFHT/2376828p.fits.fz")
    expected = {f"{base}?{urllib.parse.urlencode({'ID': uri})}&{position}" for uri in names}
    assert set(urls) == expected


def test_a_program_that_stats_without_opening_waits_for_its_turn(
    mount: Mount, server: Server, run: Run, expect_log: ExpectLog
) -> None:
    expect_log("EBUSY.*had 3 files")
    mount.stop()
    mount.start(environ={"CADCFS_STAT_ALLOWANCE": "3", "CADCFS_LISTING_TIME": "2"})
    deep = mount.path / "collections/SIMDEEP/region" / DEEP / "cutouts"
    names = [deep / f"deep{number:04d}.fits" for number in range(100, 200, 20)]
    done = run("stat", "-c", "%n %s", *names)
    assert len(done.stdout.splitlines()) == 3
    assert done.stderr.count("Device or resource busy") == 2
    # What is opened is given back, so copying never waits.
    assert run("md5sum", *names).returncode == 0
    assert run("stat", "-c", "%s", *names).returncode == 0


@pytest.fixture
def mended(server: Server) -> Iterator[None]:
    yield
    server.mend()


@pytest.mark.usefixtures("mended")
def test_a_cutout_that_breaks_off_is_asked_again(cutouts: Path, server: Server) -> None:
    uri = "cadc:CFHT/2376828p.fits.fz"
    whole = direct(server, uri)
    os.listdir(cutouts)
    server.fault("short", path="^/minoc/", after=9000, count=1)
    server.fault("reset", path="^/minoc/", after=20_000, count=1)
    assert (cutouts / "2376828p.fits").read_bytes() == whole


@pytest.mark.usefixtures("mended")
def test_a_service_that_is_down_is_an_error_and_not_an_empty_file(
    cutouts: Path, server: Server, expect_log: ExpectLog
) -> None:
    expect_log("EIO: .*/caom2ops/sync.*HTTP 503")
    server.fault("busy", path="^/caom2ops/datalink")
    down = server.fault("busy", path="^/caom2ops/sync")
    name = cutouts / "2376828p.fits"
    for attempt in (name.read_bytes, name.stat):
        with pytest.raises(OSError, match="Input/output error"):
            attempt()
    assert name.name in os.listdir(cutouts)
    server.mend(down)
    # Without links the registry tells where cutouts are made.
    assert name.stat().st_size == len(name.read_bytes()) > 2880
