"""Files that are made when they are wanted: header texts and unpacked images."""

from __future__ import annotations

import os
import tarfile
from pathlib import Path

import pytest
from astropy.io import fits

from tests.mount.test_reading import md5_of
from tests.rig import Mount, Run, Server

M31 = "collections/CFHT/by-target/M31"


@pytest.fixture
def m31(mount: Mount) -> Path:
    return mount.path / M31


def bytes_of_files(server: Server) -> int:
    return server.bytes_sent("/minoc/")


def test_headers_are_those_of_the_file_without_its_pixels(
    m31: Path, server: Server, run: Run
) -> None:
    names = os.listdir(m31 / "headers")
    assert set(names) == {"2376828o.fits.fz.txt", "2376828p.fits.fz.txt"}
    assert bytes_of_files(server) == 0
    text = (m31 / "headers" / "2376828p.fits.fz.txt").read_bytes()
    local = min(server.archive.files.rglob("2376828p.fits.fz"))
    with fits.open(local, disable_image_compression=True) as hdus:
        cards = [card.image for hdu in hdus for card in hdu.header.cards]
    found = [line for line in text.decode().splitlines() if line.strip() not in ("", "END")]
    assert found == [card for card in cards if card.strip()]
    assert bytes_of_files(server) < local.stat().st_size / 2
    done = run("grep", "-r", "EXPTIME", m31 / "headers")
    assert done.stdout.count("EXPTIME") == 2


def test_unpacked_is_what_funpack_gives(m31: Path, run: Run, tmp_path: Path) -> None:
    assert set(os.listdir(m31 / "unpacked")) == {"2376828o.fits", "2376828p.fits"}
    reference = tmp_path / "reference.fits"
    funpack = run("funpack", "-C", "-O", reference, m31 / "2376828p.fits.fz")
    assert funpack.returncode == 0, funpack.stderr
    copy = tmp_path / "copy.fits"
    assert run("cp", m31 / "unpacked" / "2376828p.fits", copy).returncode == 0
    assert md5_of(copy) == md5_of(reference)
    assert (m31 / "unpacked" / "2376828p.fits").stat().st_size == reference.stat().st_size


def test_lookers_make_nothing(m31: Path, server: Server, run: Run) -> None:
    os.listdir(m31)
    server.forget()
    for place in ("headers", "unpacked"):
        for command in (["ls", "-l", "--color=always"], ["find"], ["du", "-a"], ["tree", "-s"]):
            done = run(*command, m31 / place)
            assert done.returncode == 0, done.stderr
            assert "2376828o" in done.stdout
        shell = f"cd {m31 / place}; echo *; for f in *; do [ -e $f ] || exit 1; done"
        assert run("bash", "-c", shell).returncode == 0
    assert bytes_of_files(server) == 0


def test_a_stat_tells_the_true_size(m31: Path) -> None:
    path = m31 / "headers" / "2376828p.fits.fz.txt"
    size = path.stat().st_size
    assert size == len(path.read_bytes()) > 10_000


def test_tar_stores_no_empty_file(m31: Path, run: Run, tmp_path: Path) -> None:
    archive = tmp_path / "made.tar"
    done = run("tar", "cf", archive, "-C", m31, "headers", "unpacked")
    assert done.returncode == 0, done.stderr
    with tarfile.open(archive) as tar:
        members = [member for member in tar if member.isfile()]
    assert len(members) == 4
    assert all(member.size > 10_000 for member in members)


def test_what_was_made_is_kept(m31: Path, mount: Mount, server: Server, run: Run) -> None:
    path = m31 / "headers" / "2376828p.fits.fz.txt"
    text = path.read_bytes()
    mount.restart()
    server.forget()
    listed = run("ls", "-l", path.parent)
    assert str(len(text)) in listed.stdout
    assert path.read_bytes() == text
    assert bytes_of_files(server) == 0
