"""Headers card by card, and how little of a file they need."""

from __future__ import annotations

import gzip
import io
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits

from cadcfs.errors import Corrupt
from cadcfs.fits.check import check_whole
from cadcfs.fits.header import BLOCK, Header
from cadcfs.fits.walk import header_lines


@pytest.fixture
def content() -> bytes:
    primary = fits.PrimaryHDU()
    primary.header["OBJECT"] = "it's / M 31"
    for number in range(50):
        primary.header[f"KEY{number}"] = number
    groups = fits.ImageHDU(np.zeros((100, 200), np.int16), name="SCI")
    table = fits.BinTableHDU.from_columns(
        [fits.Column("V", "PJ()", array=[np.arange(n) for n in range(9)])], name="TAB"
    )
    file = io.BytesIO()
    fits.HDUList([primary, groups, table]).writeto(file)
    return file.getvalue()


class Reads:
    """A file that is read by range, and what was asked of it."""

    def __init__(self, content: bytes) -> None:
        self.content = content
        self.bytes = 0

    async def read(self, offset: int, size: int) -> bytes:
        found = self.content[offset : offset + size]
        self.bytes += len(found)
        return found


async def test_headers_are_read_and_nothing_else(content: bytes) -> None:
    reads = Reads(content)
    lines = (await header_lines(reads.read)).decode().splitlines()
    with fits.open(io.BytesIO(content)) as hdus:
        cards = [card.image for hdu in hdus for card in hdu.header.cards]
    assert [line for line in lines if line and line.strip() != "END"] == cards
    assert lines.count("") == 2
    assert reads.bytes < len(content) // 2


async def test_headers_of_a_file_that_is_packed_as_a_whole(content: bytes) -> None:
    plain = await header_lines(Reads(content).read)
    assert await header_lines(Reads(gzip.compress(content)).read) == plain


def test_values(content: bytes) -> None:
    header = Header()
    for start in range(0, len(content), BLOCK):
        if header.feed(content[start : start + BLOCK]):
            break
    assert header.text("OBJECT") == "it's / M 31"
    assert header.integer("KEY49") == 49
    assert header.is_true("SIMPLE")
    assert header.text("NONE") is None
    assert header.data_bytes() == 0
    assert header.packed() == content[: len(header.packed())]


def test_a_whole_file_ends_where_its_headers_say(content: bytes, tmp_path: Path) -> None:
    check_whole(io.BytesIO(content))
    for wrong in (content[:-BLOCK], content + bytes(BLOCK), content[:1000], b"", b"<html>"):
        with pytest.raises(Corrupt):
            check_whole(io.BytesIO(wrong))
