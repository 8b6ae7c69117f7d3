"""The map of a FITS file: right for what astropy writes, harmless for everything else."""

from __future__ import annotations

import io
import random
import tempfile
from pathlib import Path

import numpy
import pytest
from astropy.io import fits
from hypothesis import given
from hypothesis import strategies as st

from cadcfs.cache.blocks import Version
from cadcfs.cache.fits import FitsMap
from tests.unit.cache.test_stream import Source, read, running


def reader(content: bytes, known: int | None = None) -> object:
    """All bytes, or the first *known* of them, as a cache file gives them."""
    limit = len(content) if known is None else known

    def read_now(offset: int, size: int) -> bytes | None:
        end = min(offset + size, len(content))
        return content[offset:end] if end <= limit else None

    return read_now


def written(hdus: list[object]) -> bytes:
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / "file.fits"
        fits.HDUList(hdus).writeto(path)
        return path.read_bytes()


@pytest.fixture(scope="module")
def mosaic() -> bytes:
    """41 units of 200 kB with headers of 20 kB, as of a wide-field camera."""
    rng = numpy.random.default_rng(1)
    hdus = [fits.PrimaryHDU()]
    for number in range(40):
        image = fits.ImageHDU(rng.integers(0, 1000, (200, 500), dtype="int16"))
        for card in range(250):
            image.header[f"KEY{card}"] = (number * card, "a comment")
        hdus.append(image)
    return written(hdus)


@pytest.fixture(scope="module")
def compressed() -> bytes:
    data = numpy.random.default_rng(2).normal(1000, 300, (512, 700)).astype("float32")
    return written(
        [
            fits.PrimaryHDU(),
            fits.CompImageHDU(data, compression_type="RICE_1", tile_shape=(16, 700)),
            fits.CompImageHDU(data, compression_type="GZIP_2", tile_shape=(100, 100)),
        ]
    )


def test_units_are_where_astropy_sees_them(mosaic: bytes, compressed: bytes) -> None:
    table = fits.BinTableHDU.from_columns(
        [fits.Column("a", "PJ()", array=[[1, 2], [3]]), fits.Column("b", "3X")]
    )
    groups = fits.GroupsHDU(
        fits.GroupData(numpy.ones((5, 2, 3), "float32"), bitpix=-32, parnames=["x"], pardata=[1.0])
    )
    for content in (
        mosaic, compressed, written([fits.PrimaryHDU(numpy.zeros((3, 0))), table]),
        written([groups]),
    ):  # fmt: skip
        found = FitsMap(len(content)).units(reader(content))
        with fits.open(io.BytesIO(content), disable_image_compression=True) as opened:
            wanted = [
                (hdu._header_offset, hdu._data_offset, hdu._data_offset + hdu._data_size)
                for hdu in opened
            ]
        assert [(u.header, u.data) for u in found] == [(h, d) for h, d, _ in wanted]
        assert all(
            u.end == d + -(-(e - d) // 2880) * 2880
            for u, (_, d, e) in zip(found, wanted, strict=True)
        )


def test_tiles_are_where_the_descriptors_say(compressed: bytes) -> None:
    known = FitsMap(len(compressed))
    units = known.units(reader(compressed))
    with fits.open(io.BytesIO(compressed), disable_image_compression=True) as opened:
        for index in (1, 2):
            unit, hdu = units[index], opened[index]
            assert unit.tiles is not None
            heap = unit.data + unit.tiles.heap
            for count, start in hdu.data.base["COMPRESSED_DATA"]:
                begin = heap + int(start)
                assert known.extent(begin, 1, reader(compressed)) == begin + int(count)


def test_what_has_not_arrived_is_not_known_yet(mosaic: bytes) -> None:
    known = FitsMap(len(mosaic))
    assert known.units(reader(mosaic, 100)) == ()
    assert len(known.units(reader(mosaic, 30_000))) == 2
    assert len(known.units(reader(mosaic))) == 41
    again = FitsMap(len(mosaic), known.packed())
    assert again.units(lambda offset, size: None) == known.units(reader(mosaic))


@given(st.data())
def test_damaged_headers_cost_nothing_but_the_hint(
    mosaic: bytes, compressed: bytes, data: st.DataObject
) -> None:
    raw = bytearray(data.draw(st.sampled_from([mosaic, compressed]))[:60_000])
    for _ in range(data.draw(st.integers(1, 20))):
        raw[data.draw(st.integers(0, len(raw) - 1))] = data.draw(st.integers(0, 255))
    known = FitsMap(len(raw))
    for _ in range(5):
        offset = data.draw(st.integers(0, len(raw)))
        assert known.extent(offset, 100, reader(bytes(raw))) >= offset
        found = known.walked(offset, 5000, reader(bytes(raw)))
        assert found is None or 0 < found < len(raw)
        assert known.end_of_run(offset, offset + 10) >= 0
    FitsMap(len(raw), known.packed())


@pytest.mark.parametrize(
    "packed", ["", "{", "[]", "null", "[1]", '[{"header": 5}]', '[{"header":0,"data":9,"end":3}]']
)
def test_a_damaged_map_is_no_map(packed: str) -> None:
    assert FitsMap(1000, packed).units(lambda offset, size: None) == ()


async def test_walking_to_the_last_header_moves_headers_only(mosaic: bytes, tmp_path: Path) -> None:
    source = Source(mosaic)
    version = Version("mosaic", len(mosaic), None)
    units = FitsMap(len(mosaic)).units(reader(mosaic))
    for _ in range(2):
        async with running(tmp_path) as streams:
            stream = await streams.open(version, source)
            for unit in units:
                # As a program does through the kernel: from the page, until END.
                for offset in range(unit.header // 4096 * 4096, unit.data, 32_768):
                    size = min(32_768, len(mosaic) - offset)
                    assert await read(stream, offset, size) == mosaic[offset : offset + size]
            await stream.aclose()
        assert len(source.asked) <= 42
        assert source.total() <= 6_000_000


async def test_a_tile_comes_with_one_request(compressed: bytes, tmp_path: Path) -> None:
    content = compressed + random.Random(3).randbytes(1 << 20)
    source = Source(content)
    version = Version("tiles", len(content), None)
    async with running(tmp_path) as streams:
        stream = await streams.open(version, source)
        units = FitsMap(len(content)).units(reader(content))
        await read(stream, 0, 100)
        await read(stream, units[1].header, units[1].data - units[1].header)
        heap = units[1].data + units[1].tiles.heap
        await read(stream, units[1].data, units[1].tiles.heap)
        before = len(source.asked)
        await read(stream, heap + 300_000, 10)
        for offset in range(heap + 300_000, heap + 310_000, 1000):
            assert await read(stream, offset, 10) == content[offset : offset + 10]
        assert len(source.asked) <= before + 1
        await stream.aclose()
