"""A FITS file without its compression: what funpack makes of .fits.fz, and gunzip of .fits.gz.

Runs as a process of its own (`python -m cadcfs.fits.unpack NEW < PACKED`), so that neither the
work nor a damaged file can hold up or end the mount. Reads its input once, from front to end, and
holds one HDU's compressed bytes on disk and a few rows of tiles in memory.

Cards as funpack leaves them: those of the original (FITS Standard 4.0, section 10; the Z keywords
of 10.1.1 name them), with right checksums in every HDU.
"""

from __future__ import annotations

import io
import os
import sys
import tempfile
import zlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import BinaryIO

from cadcfs.errors import Corrupt
from cadcfs.fits.checksum import Sum, summed, with_sums
from cadcfs.fits.header import BLOCK, NULL_PRIMARY, Header, padded
from cadcfs.fits.original import appended_to_primary, original_header
from cadcfs.fits.tables import unpack_table
from cadcfs.fits.tiles import unpack_image

CHUNK = 1 << 20
MEMORY = 32 << 20
"""Bytes of one HDU that are held in memory before they go to a temporary file."""
DISK_FAILS = 2
"""Exit code; the number of the error is on standard error."""
GZIP = 31
"""zlib's number for a gzip header."""


def gunzip(source: BinaryIO, new: BinaryIO) -> None:
    """Write what gunzip gives, all members of it (RFC 1952, 2.2)."""
    inflate = zlib.decompressobj(GZIP)
    rest = b""
    while chunk := rest or source.read(CHUNK):
        if inflate.eof:
            if not chunk.startswith(b"\x1f"):
                return  # as gunzip, which ignores what follows the last member
            inflate = zlib.decompressobj(GZIP)
        try:
            new.write(inflate.decompress(chunk))
        except zlib.error as exc:
            raise Corrupt(f"the gzip data are damaged: {exc}") from exc
        rest = inflate.unused_data
    if not inflate.eof:
        raise Corrupt("the gzip data break off")


def funpack(source: BinaryIO, new: BinaryIO, spool: Path) -> None:
    """Write what funpack gives; *spool* is a directory for temporary files."""
    primary = _header(source)
    if primary is None:
        raise Corrupt("the file is empty")
    following = None
    if primary.shape() == []:
        following = _header(source)
    if following is not None and following.is_true("ZIMAGE") and following.text("ZSIMPLE"):
        # The image was in the primary HDU, and goes back to it.
        header = appended_to_primary(original_header(following), primary)
        _unpack(source, following, header, new, spool)
        following = _header(source)
    else:
        _copy(source, primary, new)
        following = following or _header(source)
    while following is not None:
        if following.is_true("ZIMAGE"):
            _unpack(source, following, original_header(following), new, spool)
        elif following.is_true("ZTABLE"):
            _unpack_table(source, following, new)
        else:
            _copy(source, following, new)
        following = _header(source)


def _header(source: BinaryIO) -> Header | None:
    """The next header; None at the end, or where nothing but filling follows."""
    block = _read(source, BLOCK)
    # After the last HDU a file may hold special records (3.5), which funpack drops, too.
    if len(block) < BLOCK or not block.startswith((b"SIMPLE  =", b"XTENSION=")):
        return None
    header = Header()
    while not header.feed(block):
        block = _read(source, BLOCK)
    return header


def _copy(source: BinaryIO, header: Header, new: BinaryIO) -> None:
    _write(new, header, _data(source, header))


def _unpack(source: BinaryIO, packed: Header, header: Header, new: BinaryIO, spool: Path) -> None:
    with tempfile.SpooledTemporaryFile(max_size=MEMORY, dir=str(spool)) as file:
        # A file of its own, for the tiles are anywhere in the heap.
        file.write(NULL_PRIMARY.packed())
        file.write(packed.packed())
        for chunk in _data(source, packed):
            file.write(chunk)
        file.seek(0)
        _write(new, header, unpack_image(file, packed))


def _unpack_table(source: BinaryIO, packed: Header, new: BinaryIO) -> None:
    data = b"".join(_data(source, packed))[: packed.data_bytes()]
    header, content = unpack_table(packed, data)
    _write(new, header, [content])


def _write(new: BinaryIO, header: Header, data: Iterable[bytes]) -> None:
    """Write one HDU, with its checksums, which are known at its end only."""
    start = new.tell()
    header = with_sums(header)
    new.write(header.packed())
    total, written = Sum(), 0
    for piece in data:
        total.add(piece)
        written += new.write(piece)
    if padded(written) != padded(header.data_bytes()):
        raise Corrupt(f"{written} bytes of data, the header says {header.data_bytes()}")
    new.write(bytes(-written % BLOCK))
    end = new.tell()
    new.seek(start)
    new.write(summed(header, total.value()).packed())
    new.seek(end)


def _data(source: BinaryIO, header: Header) -> Iterator[bytes]:
    """The data of an HDU in whole blocks; the last block of a file may be short."""
    size = header.data_bytes()
    left = padded(size)
    while left:
        chunk = source.read(min(CHUNK, left))
        if not chunk:
            if left >= BLOCK or left > padded(size) - size:
                raise Corrupt("the file breaks off within its data")
            yield bytes(left)
            return
        left -= len(chunk)
        yield chunk


def _read(source: BinaryIO, size: int) -> bytes:
    parts = []
    while size and (part := source.read(size)):
        parts.append(part)
        size -= len(part)
    return b"".join(parts)


def main(path: str) -> int:
    """Unpack standard input into *path*; the exit code, with the reason on standard error."""
    source = io.BufferedReader(io.FileIO(sys.stdin.fileno(), closefd=False), CHUNK)
    try:
        with Path(path).open("wb") as new:
            if source.peek(2).startswith(b"\x1f\x8b"):
                gunzip(source, new)
            else:
                funpack(source, new, Path(tempfile.gettempdir()))
    except Corrupt as exc:
        print(exc, file=sys.stderr)  # noqa: T201
        return 1
    except OSError as exc:
        print(exc.errno, file=sys.stderr)  # noqa: T201
        return DISK_FAILS
    return 0


if __name__ == "__main__":
    os.nice(5)
    sys.exit(main(sys.argv[1]))
