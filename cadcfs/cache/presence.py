"""The presence map of one cache file: which blocks are here, and the checksum of each.

On disk: a heading (magic, block size, file size, count of digests, key), then one CRC-32 a block
with a bit that says "here", and a CRC-32 of all that. A map that does not add up is no map.
"""

from __future__ import annotations

import os
import struct
import zlib
from array import array
from pathlib import Path

MAGIC = b"cadcfs map 1\n"
_HEADING = struct.Struct("<QQI")


class Presence:
    """Blocks of one file: absent, here but not looked at yet in this process, or verified."""

    def __init__(self, key: str, size: int, block_size: int) -> None:
        self.key = key
        self.size = size
        self.block_size = block_size
        self.blocks = -(-size // block_size)
        self.here = bytearray(self.blocks)
        self.verified = bytearray(self.blocks)
        self.checksums = array("I", bytes(4 * self.blocks))

    def length(self, block: int) -> int:
        """Bytes in *block*; the last one is shorter."""
        return min(self.block_size, self.size - block * self.block_size)

    def add(self, block: int, checksum: int) -> None:
        self.checksums[block] = checksum
        self.here[block] = self.verified[block] = 1

    def drop(self, block: int) -> None:
        self.here[block] = self.verified[block] = 0

    def is_last(self, block: int) -> bool:
        """True if *block* is the only one that is absent."""
        first = self.here.find(0)
        return first == block and self.here.find(0, block + 1) < 0

    def packed(self, durable: bytes) -> bytes:
        """The map as it goes to disk, with the blocks that *durable* says are safe there."""
        name = self.key.encode()
        body = b"".join(
            (
                MAGIC,
                _HEADING.pack(self.size, self.block_size, len(name)),
                name,
                durable,
                self.checksums.tobytes(),
            )
        )
        return body + struct.pack("<I", zlib.crc32(body))

    def unpack(self, raw: bytes) -> bool:
        """Take over a map from disk; False, and nothing taken, where it is not this file's."""
        start = len(MAGIC) + _HEADING.size + len(self.key.encode())
        wanted = self.packed(bytes(self.blocks))
        if len(raw) != len(wanted) or raw[:start] != wanted[:start]:
            return False
        if struct.unpack("<I", raw[-4:])[0] != zlib.crc32(raw[:-4]):
            return False
        self.here[:] = raw[start : start + self.blocks]
        self.checksums = array("I", raw[start + self.blocks : -4])
        return True


def replace_file(path: Path, content: bytes) -> None:
    """Write *content* so that a crash leaves the old file or the new one, never a part."""
    temporary = path.with_name(f"{path.name}.{os.getpid()}")
    with temporary.open("wb") as file:
        file.write(content)
        file.flush()
        os.fdatasync(file.fileno())
    temporary.replace(path)
