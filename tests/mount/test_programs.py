"""Programs that astronomers use, on mounted paths."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits

from tests.mount.test_reading import file_of, mosaic
from tests.rig import Mount, Run, Server


@pytest.fixture
def compressed(mount: Mount, server: Server) -> Path:
    return mosaic(mount, server)[0]


@pytest.fixture
def image(mount: Mount, server: Server) -> Path:
    return file_of(mount, server, "a.uri LIKE 'cadc:CFHTSG/%.fits'")[0]


def test_fitsverify(compressed: Path, image: Path, run: Run) -> None:
    for path in (compressed, image):
        done = run("fitsverify", "-q", path)
        assert done.returncode == 0, done.stdout
        assert "OK" in done.stdout


def test_funpack(compressed: Path, run: Run, tmp_path: Path) -> None:
    listed = run("funpack", "-L", compressed)
    assert listed.returncode == 0
    assert "40" in listed.stdout
    out = tmp_path / "out.fits"
    unpacked = run("funpack", "-C", "-O", out, compressed)
    assert unpacked.returncode == 0, unpacked.stderr
    with fits.open(out) as plain, fits.open(compressed) as packed:
        assert len(plain) == len(packed) == 41
        assert np.array_equal(plain[7].data, packed[7].data)


def test_cfitsio_opens_extensions_and_sections(compressed: Path, run: Run, tmp_path: Path) -> None:
    whole, part = tmp_path / "one.fits", tmp_path / "part.fits"
    assert run("fitscopy", f"{compressed}[1]", whole).returncode == 0
    assert run("imcopy", f"{compressed}[1][1:100,1:100]", part).returncode == 0
    with fits.open(part) as cut, fits.open(compressed) as parent:
        hdu = next(hdu for hdu in cut if hdu.data is not None)
        assert np.array_equal(hdu.data, parent[1].data[:100, :100])


def test_source_extractor(image: Path, run: Run, tmp_path: Path) -> None:
    (tmp_path / "p.param").write_text("NUMBER\nX_IMAGE\nY_IMAGE\nFLUX_AUTO\n")
    done = run(
        "source-extractor", image,
        "-c", "/usr/share/source-extractor/default.sex",
        "-PARAMETERS_NAME", tmp_path / "p.param",
        "-FILTER_NAME", "/usr/share/source-extractor/default.conv",
        "-STARNNW_NAME", "/usr/share/source-extractor/default.nnw",
        "-CATALOG_NAME", tmp_path / "found.cat",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "*Error*" not in done.stderr + done.stdout
    stars = [line for line in (tmp_path / "found.cat").read_text().splitlines() if line[:1] != "#"]
    assert len(stars) > 10


def test_astropy_with_memmap(image: Path, server: Server) -> None:
    local = min(server.archive.files.rglob(image.name))
    with fits.open(image, memmap=True) as mounted, fits.open(local) as reference:
        assert np.array_equal(mounted[0].data, reference[0].data)
