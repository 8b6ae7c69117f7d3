"""Cutouts of every kind of pixel and matrix, from files made for it."""

import subprocess
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits
from astropy.wcs import WCS

from cadcfs.demo.data.cutout import NoOverlapError, pieces_of, write_cutout
from cadcfs.demo.data.extensions import read_headers
from cadcfs.demo.data.slices import parse_slice

RNG = np.random.default_rng(1)
FLAT = RNG.normal(100, 5, (80, 100)).astype("f4")
HOLED = np.where(FLAT > 104, np.nan, FLAT)
INTEGERS = RNG.integers(0, 60_000, (80, 100))
TURNED = {"PC1_1": 0.8, "PC1_2": -0.6, "PC2_1": 0.6, "PC2_2": 0.8}
MATRIX = {"CD1_1": -8e-5, "CD1_2": 6e-5, "CD2_1": 6e-5, "CD2_2": 8e-5}
SIP = {"A_ORDER": 2, "B_ORDER": 2, "A_2_0": 2e-5, "A_1_1": 5e-6, "B_0_2": 3e-5, "B_1_1": -4e-6}


def header(**more: object) -> fits.Header:
    cards = {
        "CTYPE1": "RA---TAN", "CTYPE2": "DEC--TAN", "CRVAL1": 10.0, "CRVAL2": 20.0,
        "CRPIX1": 50.0, "CRPIX2": 40.0, **more,
    }  # fmt: skip
    if "CD1_1" not in more:
        cards |= {"CDELT1": -1e-4, "CDELT2": 1e-4}
    found = fits.Header()
    found.update(cards)
    return found


def scaled() -> fits.PrimaryHDU:
    hdu = fits.PrimaryHDU(FLAT.copy(), header())
    hdu.scale("int16", bscale=0.5, bzero=100)
    return hdu


def packed(data: np.ndarray, **more: object) -> fits.CompImageHDU:
    return fits.CompImageHDU(data, header(), **more)


HDUS = {
    "u1": lambda: fits.PrimaryHDU((INTEGERS % 256).astype("u1"), header()),
    "u2": lambda: fits.PrimaryHDU(INTEGERS.astype("u2"), header()),
    "i8": lambda: fits.PrimaryHDU(INTEGERS.astype("i8"), header()),
    "f8": lambda: fits.PrimaryHDU(FLAT.astype("f8"), header()),
    "scaled": scaled,
    "holes": lambda: fits.PrimaryHDU(HOLED, header()),
    "packed u2": lambda: packed(INTEGERS.astype("u2")),
    "packed i4": lambda: packed(INTEGERS.astype("i4"), compression_type="GZIP_2"),
    "packed f4": lambda: packed(FLAT),
    "packed holes": lambda: packed(HOLED),
    "turned": lambda: fits.PrimaryHDU(FLAT, header(**TURNED)),
    "matrix": lambda: fits.PrimaryHDU(FLAT, header(**MATRIX)),
    "distorted": lambda: fits.PrimaryHDU(
        FLAT, header(**SIP, CTYPE1="RA---TAN-SIP", CTYPE2="DEC--TAN-SIP")
    ),
}


def cut(path: Path, *slices: str) -> bytes:
    pieces = pieces_of(read_headers(path), [parse_slice(text) for text in slices])
    return b"".join(write_cutout(path, pieces))


@pytest.mark.parametrize("kind", HDUS)
@pytest.mark.parametrize(
    ("pixels", "rows", "columns"),
    [
        ("5:20,10:30", slice(9, 30), slice(4, 20)),
        ("*,70:9:3", slice(69, 7, -3), slice(None)),
        ("-*:7,80:80", slice(79, 80), slice(None, None, -7)),
    ],
)
def test_pixels_and_places_are_the_parents(kind, pixels, rows, columns, tmp_path):
    hdu = HDUS[kind]()
    path, out = tmp_path / "parent.fits", tmp_path / "piece.fits"
    hdus = [hdu] if isinstance(hdu, fits.PrimaryHDU) else [fits.PrimaryHDU(), hdu]
    fits.HDUList(hdus).writeto(path, checksum=True)
    number = len(hdus) - 1
    out.write_bytes(cut(path, f"[{number}][{pixels}]"))
    done = subprocess.run(["fitsverify", out], capture_output=True, text=True, check=False)
    assert "0 warning(s) and 0 error(s)" in done.stdout, done.stdout
    with fits.open(out) as pieces, fits.open(path) as parents:
        data, whole = pieces[0].data, parents[number].data
        assert data.dtype == whole.dtype.newbyteorder(data.dtype.byteorder)
        assert np.array_equal(data, whole[rows, columns], equal_nan=data.dtype.kind == "f")
        own, parent = WCS(pieces[0].header), WCS(parents[number].header)
        y, x = np.mgrid[0:80, 0:100][:, rows, columns].reshape(2, -1)
        v, u = np.mgrid[0 : data.shape[0], 0 : data.shape[1]].reshape(2, -1)
        there, here = parent.all_pix2world(x, y, 0), own.all_pix2world(u, v, 0)
        assert np.abs(np.subtract(there, here)).max() < 1e-9


def test_a_table_is_copied_as_it_is_also_out_of_a_packed_file(tmp_path):
    import gzip

    table = fits.BinTableHDU.from_columns([fits.Column("A", "J", array=np.arange(5000))])
    path = tmp_path / "table.fits"
    fits.HDUList([fits.PrimaryHDU(FLAT, header()), table]).writeto(path)
    whole = tmp_path / "table.fits.gz"
    whole.write_bytes(gzip.compress(path.read_bytes()))
    for parent in (path, whole):
        (tmp_path / "out.fits").write_bytes(cut(parent, "[1]"))
        with fits.open(tmp_path / "out.fits") as hdus:
            assert hdus[0].data is None
            assert np.array_equal(hdus[1].data["A"], np.arange(5000))


def test_a_reference_pixel_that_is_not_written_is_nought(tmp_path):
    bare = header()
    del bare["CRPIX1"], bare["CRPIX2"]
    path = tmp_path / "bare.fits"
    fits.PrimaryHDU(FLAT, bare).writeto(path)
    (tmp_path / "out.fits").write_bytes(cut(path, "[0][11:20,21:30]"))
    piece = fits.getheader(tmp_path / "out.fits")
    assert (piece["CRPIX1"], piece["CRPIX2"]) == (-10, -20)
    with pytest.raises(NoOverlapError):
        cut(path, "[0][101:110,1:2]")
