"""What is unpacked is what funpack and gunzip give, byte for byte but for the date of checksums."""

from __future__ import annotations

import gzip
import re
import subprocess
import sys
import warnings
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits

from cadcfs.fits.tiles import pieces


def unpacked(packed: Path, new: Path) -> subprocess.CompletedProcess[str]:
    with packed.open("rb") as source:
        return subprocess.run(
            [sys.executable, "-m", "cadcfs.fits.unpack", str(new)],
            stdin=source, capture_output=True, text=True, timeout=120, check=False,
        )  # fmt: skip


def same_as_funpack(packed: Path, tmp_path: Path) -> bool:
    reference, new = tmp_path / "reference.fits", tmp_path / "new.fits"
    subprocess.run(["funpack", "-O", reference, packed], check=True, timeout=120)
    done = unpacked(packed, new)
    assert done.returncode == 0, done.stderr
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with fits.open(new, checksum=True) as hdus:
            assert all("CHECKSUM" in hdu.header for hdu in hdus)
    return undated(reference.read_bytes()) == undated(new.read_bytes())


def undated(content: bytes) -> bytes:
    """*content* with neither the date of its checksums nor what follows from it."""
    content = re.sub(rb"CHECKSUM= '\w{16}'.{52}", b" " * 80, content)
    cards = (content[start : start + 80] for start in range(0, len(content), 80))
    return b"".join(card[:30] if card.startswith(b"DATASUM =") else card for card in cards)


def images() -> dict[str, np.ndarray]:
    rng = np.random.default_rng(7)
    noise = rng.normal(100, 5, (60, 70))
    holes = noise.astype(np.float32)
    holes[3:9, 5:8] = np.nan
    return {
        "byte": rng.integers(0, 255, (40, 50)).astype(np.uint8),
        "short": noise.astype(np.int16),
        "unsigned": rng.integers(0, 65535, (40, 50)).astype(np.uint16),
        "long": rng.integers(-(2**30), 2**30, (40, 50)).astype(np.int32),
        "float": noise.astype(np.float32),
        "holes": holes,
        "double": noise,
        "cube": rng.normal(0, 1, (5, 20, 30)).astype(np.float32),
        "line": rng.normal(0, 1, 3000).astype(np.float32),
        "mask": (noise > 105).astype(np.int32),
    }


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One file for each kind of image, and one with all of them and a table."""
    place = tmp_path_factory.mktemp("plain")
    hdus = [fits.PrimaryHDU()]
    for name, data in images().items():
        primary = fits.PrimaryHDU(data)
        primary.header["OBJECT"] = "M 31"
        primary.header["HISTORY"] = "SIMULATED"
        primary.writeto(place / f"{name}.fits", checksum=name == "short")
        hdus.append(fits.ImageHDU(data, name=name))
    scaled = fits.PrimaryHDU(images()["short"])
    scaled.scale("int16", bscale=0.5, bzero=100)
    scaled.header["BLANK"] = -32768
    scaled.writeto(place / "scaled.fits")
    table = fits.BinTableHDU.from_columns([fits.Column("A", "J", array=np.arange(9))], name="T")
    fits.HDUList([*hdus, table]).writeto(place / "all.fits", checksum=True)
    return place


WAYS = [
    ("all", "-r"), ("all", "-g2"), ("short", "-h"), ("mask", "-p"), ("scaled", "-r"),
    ("float", "-qz 4"), ("holes", "-qz 4"), ("float", "-t 20,20"), ("cube", "-h -q 4"),
]  # fmt: skip
MORE_WAYS = [
    ("all", "-g"), ("short", "-h -s 2"), ("byte", "-p"), ("short", "-d"), ("unsigned", "-t 16,16"),
    ("float", "-q 4"), ("float", "-q0 4"), ("float", "-g -q 0"), ("double", "-g2 -q 0"),
    ("double", "-q 8"), ("cube", "-w"), ("line", "-r"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("name", "way"), [*WAYS, *(pytest.param(*way, marks=pytest.mark.soak) for way in MORE_WAYS)]
)
def test_images(name: str, way: str, plain: Path, tmp_path: Path) -> None:
    packed = tmp_path / "packed.fits.fz"
    subprocess.run(
        ["fpack", *way.split(), "-O", packed, plain / f"{name}.fits"],
        check=True, capture_output=True, timeout=120,
    )  # fmt: skip
    assert same_as_funpack(packed, tmp_path)


@pytest.mark.parametrize("kind", ["RICE_1", "GZIP_2"])
def test_images_that_astropy_packed(kind: str, tmp_path: Path) -> None:
    packed = tmp_path / "packed.fits.fz"
    packing = [
        fits.CompImageHDU(images()[name], name=name, compression_type=kind)
        for name in ("short", "float")
    ]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        fits.HDUList([fits.PrimaryHDU(), *packing]).writeto(packed, checksum=True)
    assert same_as_funpack(packed, tmp_path)


def columns(rows: int) -> list[fits.Column]:
    rng = np.random.default_rng(3)
    numbers = np.arange(rows)
    return [
        fits.Column("J", "J", array=numbers),
        fits.Column("I", "I", array=(numbers % 77).astype(np.int16)),
        fits.Column("U", "J", bzero=2**31, array=numbers.astype(np.uint32)),
        fits.Column("A", "5A", array=[f"ab{number % 9}" for number in numbers]),
        fits.Column("E", "E", array=rng.normal(size=rows)),
        fits.Column("D", "3D", array=rng.normal(size=(rows, 3))),
        fits.Column("B", "2B", array=rng.integers(0, 9, (rows, 2)).astype(np.uint8)),
        fits.Column("X", "11X", array=rng.random((rows, 11)) > 0.5),
        fits.Column("L", "L", array=rng.random(rows) > 0.5),
        fits.Column("K", "K", array=numbers * 7),
        fits.Column("PJ", "PJ()", array=[np.arange(n % 50) for n in numbers]),
        fits.Column("PB", "PB()", array=[np.arange(n % 90).astype(np.uint8) for n in numbers]),
        fits.Column("QI", "QI()", array=[np.arange(n % 9).astype(np.int16) for n in numbers]),
        fits.Column("PD", "PD()", array=[rng.normal(size=n % 20) for n in numbers]),
    ]


@pytest.mark.parametrize("tile", [5000, 700])
def test_tables(tile: int, tmp_path: Path) -> None:
    original, packed = tmp_path / "table.fits", tmp_path / "table.fits.fz"
    table = fits.BinTableHDU.from_columns(columns(1500), name="T")
    table.header["FZTILELN"] = tile
    fits.HDUList([fits.PrimaryHDU(), table]).writeto(original, checksum=True)
    subprocess.run(["fpack", "-table", "-O", packed, original], check=True, timeout=120)
    assert same_as_funpack(packed, tmp_path)
    assert (tmp_path / "new.fits").read_bytes() == original.read_bytes()


def test_gzip(plain: Path, tmp_path: Path) -> None:
    content = (plain / "all.fits").read_bytes()
    packed, new = tmp_path / "packed.fits.gz", tmp_path / "new.fits"
    half = len(content) // 2
    packed.write_bytes(gzip.compress(content[:half]) + gzip.compress(content[half:]))
    assert unpacked(packed, new).returncode == 0
    assert new.read_bytes() == content


@pytest.mark.parametrize("ending", ["fz", "gz"])
def test_what_is_cut_or_damaged_is_an_error(ending: str, plain: Path, tmp_path: Path) -> None:
    whole = tmp_path / f"whole.fits.{ending}"
    if ending == "gz":
        whole.write_bytes(gzip.compress((plain / "all.fits").read_bytes()))
    else:
        subprocess.run(["fpack", "-O", whole, plain / "all.fits"], check=True, timeout=120)
    cut = tmp_path / f"cut.fits.{ending}"
    content = whole.read_bytes()
    for part in (content[: len(content) // 2], b"no FITS file", b""):
        cut.write_bytes(part)
        done = unpacked(cut, tmp_path / "new.fits")
        assert done.returncode == 1
        assert len(done.stderr.splitlines()) == 1


def test_a_full_disk_is_told_by_its_number(plain: Path, tmp_path: Path) -> None:
    done = unpacked(plain / "all.fits", Path("/dev/full"))
    assert (done.returncode, done.stderr) == (2, "28\n")


@pytest.mark.parametrize(
    ("shape", "tiles"),
    [((100, 30), (1, 30)), ((100, 30), (16, 30)), ((7, 40, 30), (1, 40, 30)), ((5000,), (100,))],
)
def test_pieces_cover_all_pixels_in_order(shape: tuple[int, ...], tiles: tuple[int, ...]) -> None:
    array = np.arange(np.prod(shape)).reshape(shape)
    found = [array[place] for place in pieces(shape, tiles, 900)]
    assert np.array_equal(np.concatenate([piece.ravel() for piece in found]), array.ravel())
    assert len(found) > 1
