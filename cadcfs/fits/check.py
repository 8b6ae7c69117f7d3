"""Whether a FITS file is whole: its headers say where it ends (FITS Standard 4.0, 3.1)."""

from __future__ import annotations

from typing import BinaryIO

from cadcfs.errors import Corrupt
from cadcfs.fits.header import BLOCK, Header, padded


def check_whole(file: BinaryIO) -> None:
    """Walk over all HDUs of *file*; blocking.

    Raises
    ------
    Corrupt
        It is no FITS file, or ends elsewhere than its headers say.
    """
    size = file.seek(0, 2)
    offset = 0
    while offset < size or offset == 0:
        file.seek(offset)
        header = Header()
        while not header.feed(file.read(BLOCK)):
            pass
        offset = file.tell() + padded(header.data_bytes())
    if offset != size:
        raise Corrupt(f"{size} bytes, but its headers tell of {offset}")
