"""Cutouts and headers, over sockets; judged by astropy and fitsverify."""

from __future__ import annotations

import io
import subprocess
from pathlib import Path

import httpx
import numpy as np
import pytest
from astropy.coordinates import SkyCoord
from astropy.io import fits
from astropy.wcs import WCS

from cadcfs.demo.archive import Archive

PLAIN = "cadc:CFHTSG/MegaPipe.016.263.G.MP9401.fits"
MOSAIC = "cadc:CFHT/2376828p.fits.fz"
CUBE = "cadc:JCMT/acsis_00021_20190107T062424_cube.fits"
GALACTIC = "cadc:CGPS/CGPS_MA1_1420_MHz_I_image.fits"
DISTORTED = "cadc:OMM/C170324_0055_SCIRED.fits"


async def cut(client: httpx.AsyncClient, uri: str, **more: str) -> httpx.Response:
    return await client.get("/caom2ops/sync", params={"ID": uri, **more})


def verified(reply: httpx.Response, place: Path) -> fits.HDUList:
    """The file that came, found without fault by fitsverify."""
    assert reply.status_code == 200, reply.text
    assert reply.headers["content-type"] == "application/fits"
    assert "content-length" not in reply.headers
    place.write_bytes(reply.content)
    done = subprocess.run(["fitsverify", place], capture_output=True, text=True, check=False)
    assert "0 warning(s) and 0 error(s)" in done.stdout, done.stdout
    return fits.open(io.BytesIO(reply.content))


def holds(piece: fits.ImageHDU, position: SkyCoord) -> bool:
    x, y = WCS(piece.header).celestial.world_to_pixel(position)
    height, width = piece.data.shape[-2:]
    return bool(0 <= x <= width - 1 and 0 <= y <= height - 1)


def parent_of(archive: Archive, uri: str, piece: fits.ImageHDU) -> fits.ImageHDU:
    """The image that a piece was cut from."""
    with fits.open(archive.path_of(uri), memmap=False) as hdus:
        return next(
            hdu for hdu in hdus if hdu.is_image and hdu.data is not None
            and hdu.header.get("EXTNAME") == piece.header.get("EXTNAME")
        )  # fmt: skip


def check_piece(piece: fits.ImageHDU, parent: fits.ImageHDU, position: SkyCoord | None) -> None:
    """The same pixels, and the same coordinates, over the corners of the piece."""
    own, whole = WCS(piece.header), WCS(parent.header)
    shape = piece.data.shape
    corners = np.array(np.meshgrid(*[[0, length - 1] for length in reversed(shape)]))
    corners = corners.reshape(len(shape), -1)
    there = own.all_pix2world(*corners, 0)
    pixels = np.array(whole.all_world2pix(*there, 0))
    back = whole.all_pix2world(*np.round(pixels), 0)
    for axis, (here, parents) in enumerate(zip(there, back, strict=True)):
        tolerance = 1e-6 if axis in (own.wcs.lng, own.wcs.lat) else np.abs(here).max() * 1e-9
        assert np.abs(here - parents).max() <= tolerance
    first, last = np.round(pixels.min(axis=1)).astype(int), np.round(pixels.max(axis=1)).astype(int)
    place = tuple(slice(a, b + 1) for a, b in zip(reversed(first), reversed(last), strict=True))
    assert np.array_equal(piece.data, parent.data[place], equal_nan=True)
    if position is not None:
        here = own.celestial.world_to_array_index(position)
        parents = whole.celestial.world_to_array_index(position)
        # All channels of the pixel, if there are several.
        assert np.array_equal(piece.data[..., *here], parent.data[*place[:-2], *parents])


@pytest.mark.parametrize(
    ("uri", "ra", "dec", "radius", "count"),
    [
        (PLAIN, 215.0, 52.5, 0.004, 1),
        (GALACTIC, 51.0408, 58.1015, 0.1, 1),
        (DISTORTED, 184.75, 47.31, 0.005, 1),
        (CUBE, 83.8104, -5.3751, 0.02, 1),
        (MOSAIC, 10.698, 41.2787, 0.05, 4),
    ],
)
async def test_a_cutout_is_the_parents_pixels_where_they_were(
    client: httpx.AsyncClient, archive: Archive, tmp_path: Path,
    uri: str, ra: float, dec: float, radius: float, count: int,
) -> None:  # fmt: skip
    position = SkyCoord(ra, dec, unit="deg")
    reply = await cut(client, uri, POS=f"CIRCLE {ra} {dec} {radius}")
    with verified(reply, tmp_path / "cutout.fits") as hdus:
        pieces = [hdu for hdu in hdus if hdu.data is not None]
        assert len(pieces) == count
        holding = [p for p in pieces if holds(p, position)]
        assert len(holding) == 1
        for piece in pieces:
            parent = parent_of(archive, uri, piece)
            check_piece(piece, parent, position if piece is holding[0] else None)
            assert piece.data.size < parent.data.size


async def test_band_cuts_the_spectral_axis(
    client: httpx.AsyncClient, archive: Archive, tmp_path: Path
) -> None:
    reply = await cut(client, CUBE, BAND="8.668e-4 8.67e-4", CIRCLE="83.8104 -5.3751 0.01")
    with verified(reply, tmp_path / "cutout.fits") as hdus:
        (piece,) = hdus
        check_piece(piece, parent_of(archive, CUBE, piece), None)
        channels = np.arange(piece.data.shape[0])
        wavelengths = WCS(piece.header).spectral.pixel_to_world(channels).to_value("m")
        half = abs(wavelengths[1] - wavelengths[0]) / 2
        assert wavelengths.min() >= 8.668e-4 - 2 * half
        assert wavelengths.max() <= 8.67e-4 + 2 * half


STOKES = (
    "nrao:VLASS/VLASS2.1.cc.T10t29.J184200-033000.06.2048.v1.spw12.IQU.iter3"
    ".image.pbcor.tt0.subim.com.fits"
)
FRAMES = "cadc:TAOSII/taos2_20220201T201317Z_star04239531.fits"
ZERO = "cadc:APASS/zero.fits"
POLE = "cadc:IRIS/I429B4H0.fits"
PACKED = "cadc:SIMDEEP/deep0002.fits.gz"


@pytest.mark.parametrize(
    ("uri", "more", "shape", "first"),
    [
        (STOKES, {"POL": "Q"}, (1, 1, 64, 64), (1, 0, 0, 0)),
        (STOKES, {"POL": "U", "CIRCLE": "280.5 -3.5 0.005"}, (1, 1, 20, 20), (2, 0, 22, 22)),
        (FRAMES, {"TIME": "59611.8421 59611.8429"}, (2, 48, 48), (3, 0, 0)),
        (FRAMES, {"TIME": "59611.84"}, (1, 48, 48), (0, 0, 0)),
        (FRAMES, {}, (10, 48, 48), (0, 0, 0)),
        (ZERO, {"CIRCLE": "359.99 10 0.05"}, (50, 50), (39, 44)),
        (ZERO, {"POLYGON": "0.02 9.98 359.98 9.98 359.98 10.02 0.02 10.02"}, (20, 20), (54, 54)),
        (POLE, {"POS": "RANGE 0 360 88 90"}, (161, 161), (170, 170)),
    ],
)  # fmt: skip
async def test_other_axes_and_places_are_cut(
    client: httpx.AsyncClient, archive: Archive, tmp_path: Path,
    uri: str, more: dict[str, str], shape: tuple[int, ...], first: tuple[int, ...],
) -> None:  # fmt: skip
    reply = await cut(client, uri, **more)
    with verified(reply, tmp_path / "cutout.fits") as hdus:
        (piece,) = hdus
        whole = parent_of(archive, uri, piece).data
        # A pixel more or less where a border of the region runs along one of the image.
        assert np.abs(np.subtract(piece.data.shape, shape)).max() <= 2
        places = [np.argwhere(whole.ravel() == piece.data.ravel()[0])[0][0]]
        start = np.unravel_index(places[0], whole.shape)
        assert np.abs(np.subtract(start, first)).max() <= 1
        slices = tuple(slice(a, a + n) for a, n in zip(start, piece.data.shape, strict=True))
        assert np.array_equal(piece.data, whole[slices])
        own, parent = WCS(piece.header), WCS(archive_header(archive, uri))
        here = own.all_pix2world(*[[0]] * whole.ndim, 0)
        there = parent.all_pix2world(*[[value] for value in reversed(start)], 0)
        assert np.allclose(np.array(here) % 360, np.array(there) % 360, rtol=0, atol=1e-6)


def archive_header(archive: Archive, uri: str) -> fits.Header:
    with fits.open(archive.path_of(uri)) as hdus:
        header: fits.Header = hdus[0].header.copy()
        return header


async def test_a_file_packed_as_a_whole_can_be_cut(
    client: httpx.AsyncClient, archive: Archive, tmp_path: Path
) -> None:
    reply = await cut(client, PACKED, CIRCLE="34.5 -5.2 0.003")
    assert reply.headers["content-disposition"].endswith('.fits"')
    with verified(reply, tmp_path / "cutout.fits") as hdus:
        check_piece(hdus[0], parent_of(archive, PACKED, hdus[0]), SkyCoord(34.5, -5.2, unit="deg"))


async def test_a_cutout_reads_only_the_tiles_that_it_needs(
    archive: Archive, monkeypatch: pytest.MonkeyPatch
) -> None:
    from cadcfs.demo.data.cutout import pieces_of, write_cutout
    from cadcfs.demo.data.extensions import read_headers
    from cadcfs.demo.data.slices import parse_slice

    path = archive.path_of(MOSAIC)
    headers = read_headers(path)
    touched: set[int] = set()
    from astropy.io.fits.hdu.compressed import section as compressed

    original = compressed.CompImageSection.__getitem__

    def watched(section: object, index: object) -> np.ndarray:
        touched.add(id(section))
        return original(section, index)

    monkeypatch.setattr(compressed.CompImageSection, "__getitem__", watched)
    content = b"".join(write_cutout(path, pieces_of(headers, [parse_slice("[7][1:10,1:10]")])))
    assert len(content) == 2 * 2880
    assert len(touched) == 1


async def test_sub_takes_numbers_names_steps_and_directions(
    client: httpx.AsyncClient, archive: Archive, tmp_path: Path
) -> None:
    subs = [("SUB", "[ccd03][1:10:3,*]"), ("SUB", "[5][-*,20:11]"), ("sub", "[2]")]
    reply = await client.get(f"/raven/files/{MOSAIC}", params=subs)
    with verified(reply, tmp_path / "x.fits") as hdus, fits.open(archive.path_of(MOSAIC)) as whole:
        names = [hdu.header.get("EXTNAME") for hdu in hdus]
        assert names == [None, "CCD01", "CCD03", "CCD04"]
        assert np.array_equal(hdus[1].data, whole["CCD01"].data)
        assert np.array_equal(hdus[2].data, whole["CCD03"].data[:, 0:10:3])
        assert np.array_equal(hdus[3].data, whole["CCD04"].data[19:9:-1, ::-1])
        for piece, (x, y) in ((hdus[2], (7, 3)), (hdus[3], (5, 20))):
            here = WCS(piece.header).all_world2pix(
                *WCS(whole[piece.header["EXTNAME"]].header).all_pix2world(x, y, 1), 1
            )
            value = piece.data[round(float(here[1])) - 1, round(float(here[0])) - 1]
            assert value == whole[piece.header["EXTNAME"]].data[y - 1, x - 1]


async def test_meta_gives_the_headers_as_text(client: httpx.AsyncClient, archive: Archive) -> None:
    reply = await client.get(f"/raven/files/{MOSAIC}", params={"META": "true"})
    assert reply.headers["content-type"].startswith("text/plain")
    assert reply.headers["content-disposition"] == 'inline; filename="2376828p.fits.fz.txt"'
    headers = [text for text in reply.text.split("END" + " " * 77 + "\n") if text]
    with fits.open(archive.path_of(MOSAIC), disable_image_compression=True) as hdus:
        assert len(headers) == len(hdus)
        for text, hdu in zip(headers, hdus, strict=True):
            assert fits.Header.fromstring(text, sep="\n") == hdu.header
    ignored = await client.get(f"/minoc/files/{MOSAIC}", params={"META": "TRUE"})
    assert ignored.content == archive.path_of(MOSAIC).read_bytes()


@pytest.mark.parametrize(
    ("uri", "query", "name"),
    [
        (PLAIN, "SUB=[1:10,20:30]", "MegaPipe.016.263.G.MP9401.0__1_10_20_30.fits"),
        (MOSAIC, "SUB=[1]", "2376828p.1.fits"),
        (PLAIN, "CIRCLE=215 52.5 0.001", "MegaPipe.016.263.G.MP9401.circle_215_0_52_5_0_001.fits"),
    ],
)
async def test_cutouts_are_named_after_their_numbers(
    client: httpx.AsyncClient, uri: str, query: str, name: str
) -> None:
    reply = await client.get(f"/raven/files/{uri}?{query}")
    assert reply.headers["content-disposition"] == f'inline; filename="{name}"'
