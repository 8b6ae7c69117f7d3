"""Headers of a remote FITS file by reading nothing but them (FITS Standard 4.0, 3.1)."""

from __future__ import annotations

import zlib
from collections.abc import AsyncIterator, Awaitable, Callable

from cadcfs.errors import Corrupt
from cadcfs.fits.header import BLOCK, Header, padded

Read = Callable[[int, int], Awaitable[bytes]]
"""read(offset, size): the bytes; fewer only at the end of the file."""

CHUNK = 1 << 20


async def header_lines(read: Read) -> bytes:
    """All headers, one card a line, HDUs parted by an empty line."""
    return b"\n".join([header.lines() async for header in headers(read)])


async def headers(read: Read) -> AsyncIterator[Header]:
    """The header of each HDU, in order; data are passed over without being read.

    A file that gzip has packed as a whole has to be read to its last HDU.
    """
    if (await read(0, 2)) == b"\x1f\x8b":
        read = Inflated(read).read
    offset = 0
    while True:
        block = await read(offset, BLOCK)
        if len(block) < BLOCK or not block.startswith((b"SIMPLE  =", b"XTENSION=")):
            # Nothing more, or special records (3.5).
            if offset == 0:
                raise Corrupt("there is no FITS header where one should be")
            return
        header = Header()
        while not header.feed(block):
            offset += BLOCK
            block = await read(offset, BLOCK)
        yield header
        offset += BLOCK + padded(header.data_bytes())


class Inflated:
    """A gzip stream read forwards; what was passed is gone, so memory stays small."""

    def __init__(self, read: Read) -> None:
        self._read = read
        self._inflate = zlib.decompressobj(31)
        self._taken = 0
        self._start = 0
        self._buffer = b""

    async def read(self, offset: int, size: int) -> bytes:
        """As `Read`, where *offset* never goes back."""
        while True:
            self._drop(offset)
            have = self._start + len(self._buffer)
            if self._start == offset and have >= offset + size:
                return self._buffer[:size]
            if not await self._more():
                return self._buffer[:size] if self._start == offset else b""

    def _drop(self, offset: int) -> None:
        passed = min(max(0, offset - self._start), len(self._buffer))
        self._buffer = self._buffer[passed:]
        self._start += passed

    async def _more(self) -> bool:
        if self._inflate.eof:
            return False
        packed = await self._read(self._taken, CHUNK)
        if not packed:
            raise Corrupt("the gzip data break off")
        self._taken += len(packed)
        try:
            self._buffer += self._inflate.decompress(packed)
        except zlib.error as exc:
            raise Corrupt(f"the gzip data are damaged: {exc}") from exc
        return True
