"""Files that are made when they are wanted: header texts and unpacked images."""

from __future__ import annotations

import gzip
import os
import subprocess
import sys
import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from astropy.io import fits

from tests.mount.test_reading import md5_of
from tests.rig import Mount, Run, Server

M31 = "collections/CFHT/by-target/M31"


@pytest.fixture
def m31(mount: Mount) -> Path:
    return mount.path / M31


@pytest.fixture(scope="module")
def both(server: Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, Path]]:
    """The mosaic as the mount unpacks it, and as funpack does; by short names, as IRAF needs."""
    root = tmp_path_factory.mktemp("both")
    (root / "sky").mkdir()
    mounted = Mount(root / "sky", root / "cache", server.registry_url)
    mounted.start()
    packed = mounted.path / M31 / "2376828p.fits.fz"
    subprocess.run(["funpack", "-O", root / "b.fits", packed], check=True, timeout=120)
    (root / "a.fits").symlink_to(packed.parent / "unpacked" / "2376828p.fits")
    yield root / "a.fits", root / "b.fits"
    mounted.stop()


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


def test_unpacked_is_what_funpack_gives(both: tuple[Path, Path], run: Run) -> None:
    mounted, reference = both
    assert mounted.stat().st_size == reference.stat().st_size
    assert run("fitsverify", "-q", mounted).returncode == 0
    # funpack dates the checksums that it adds.
    fitsdiff = Path(sys.executable).with_name("fitsdiff")
    done = run(fitsdiff, "-k", "CHECKSUM,DATASUM", mounted, reference)
    assert done.returncode == 0, done.stdout


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


DEEP = "collections/SIMDEEP/by-target/Deep field"


def heads(server: Server) -> int:
    return sum(r["method"] == "HEAD" for r in server.requests())


def test_a_file_without_a_size_is_measured_when_that_matters(
    mount: Mount, server: Server, run: Run, tmp_path: Path
) -> None:
    path = mount.path / DEEP / "deep0003.fits"
    assert " 0 " in run("ls", "-l", path).stdout
    assert heads(server) == 0
    stored = min(server.archive.files.rglob(path.name))
    assert path.stat().st_size == stored.stat().st_size
    assert heads(server) == 1
    assert run("cp", path, tmp_path / "copy").returncode == 0
    assert md5_of(tmp_path / "copy") == md5_of(stored)
    assert f" {stored.stat().st_size} " in run("ls", "-l", path).stdout
    assert heads(server) == 1


def test_what_gzip_packed_has_headers_and_is_unpacked(
    mount: Mount, server: Server, run: Run, tmp_path: Path
) -> None:
    place = mount.path / DEEP
    text = (place / "headers" / "deep0002.fits.gz.txt").read_text()
    assert "EXPTIME =                600.0" in text
    assert text.splitlines()[0].startswith("SIMPLE  =")
    content = (place / "unpacked" / "deep0002.fits").read_bytes()
    assert content == gzip.decompress((place / "deep0002.fits.gz").read_bytes())


def test_views_without_content_are_absent(mount: Mount) -> None:
    names = os.listdir(mount.path / "collections/BRITE-Constellation/by-target/HD 36486")
    assert not {"headers", "unpacked", "cutouts"} & set(names)
    names = os.listdir(mount.path / "collections/OMM/by-target/NGC 4258")
    assert "headers" in names
    assert not {"unpacked", "cutouts"} & set(names)
    for name in ("headers/none.txt", "unpacked/none.fits", "unpacked", "cutouts"):
        with pytest.raises(FileNotFoundError):
            os.stat(mount.path / "collections/BRITE-Constellation/by-target/HD 36486" / name)


def test_iraf(both: tuple[Path, Path]) -> None:
    place = both[0].parent
    (place / "uparm").mkdir()
    (place / "login.cl").write_text(
        'set imtype = "fits"\nset uparm = "./uparm/"\nstty xterm\nimages\nkeep\n'
    )
    numbers = [statistics_of(path.name, place) for path in both]
    assert numbers[0] == numbers[1]
    assert len(numbers[0]) == 40
    assert all(float(line[0]) > 1000 for line in numbers[0])


def statistics_of(name: str, place: Path) -> list[list[str]]:
    """What imstatistics prints of each of the forty detectors."""
    wanted = ",".join(f"{name}[{number}]" for number in range(1, 41))
    (place / "list").write_text("\n".join(wanted.split(",")) + "\n")
    task = 'imstatistics ("@list", fields="npix,mean,midpt,stddev,min,max", format=no)\nlogout\n'
    done = subprocess.run(
        ["irafcl"], input=task, capture_output=True, text=True, timeout=120, check=False,
        cwd=place, env=os.environ | {"USER": "tester", "HOME": str(place)},
    )  # fmt: skip
    found = [line.split() for line in done.stdout.splitlines()]
    return [words for words in found if len(words) == 6 and words[0].isdigit()]


def test_source_extractor(both: tuple[Path, Path], run: Run, tmp_path: Path) -> None:
    (tmp_path / "p.param").write_text("NUMBER\nX_IMAGE\nY_IMAGE\nFLUX_AUTO\n")
    found = []
    for path in both:
        done = run(
            "source-extractor", path, "-c", "/usr/share/source-extractor/default.sex",
            "-PARAMETERS_NAME", tmp_path / "p.param",
            "-FILTER_NAME", "/usr/share/source-extractor/default.conv",
            "-STARNNW_NAME", "/usr/share/source-extractor/default.nnw",
            "-DETECT_THRESH", "1", "-ANALYSIS_THRESH", "1",
            "-CATALOG_NAME", tmp_path / f"{path.stem}.cat",
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        found.append((tmp_path / f"{path.stem}.cat").read_text())
    assert found[0] == found[1]
    assert len(found[0].splitlines()) > 40


def test_headers_come_from_the_file_where_the_service_has_none(m31: Path, server: Server) -> None:
    stored = min(server.archive.files.rglob("2376828p.fits.fz"))
    assert os.listdir(m31 / "headers")
    server.fault("busy", status=400, path="^/raven/files/.*2376828p", count=1)
    text = (m31 / "headers" / f"{stored.name}.txt").read_text()
    assert len([line for line in text.splitlines() if line.startswith("XTENSION=")]) == 40
    assert bytes_of_files(server) < stored.stat().st_size / 2
