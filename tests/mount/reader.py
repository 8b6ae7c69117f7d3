"""One process that reads in all ways and compares each byte with the local copies.

    python -m tests.mount.reader SEED ROUNDS < pairs      (mounted path, tab, local path)

Writes "right" at its end; what differs is told and ends it.
"""

from __future__ import annotations

import mmap
import os
import random
import sys


def main() -> None:
    seed, rounds = int(sys.argv[1]), int(sys.argv[2])
    rng = random.Random(seed)
    pairs = [line.rstrip("\n").split("\t") for line in sys.stdin]
    for step in range(rounds):
        mounted, local = rng.choice(pairs)
        kind = rng.choices(("pread", "mmap", "run"), (20, 3, 1))[0]
        size = os.path.getsize(local)
        offset = rng.randrange(size)
        length = rng.randrange(1, {"pread": 70_000, "mmap": 200_000, "run": 3_000_000}[kind])
        if READERS[kind](mounted, offset, length) != pread(local, offset, length):
            sys.exit(f"seed {seed}, step {step}: {kind} of {mounted} at {offset}+{length} differs")
    sys.stdout.write("right\n")


def pread(path: str, offset: int, length: int) -> bytes:
    fd = os.open(path, os.O_RDONLY)
    try:
        # Pages that the kernel keeps would hide the cache that is tried here.
        os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)
        return os.pread(fd, length, offset)
    finally:
        os.close(fd)


def run(path: str, offset: int, length: int) -> bytes:
    with open(path, "rb", buffering=0) as file:
        file.seek(offset)
        found = b""
        while len(found) < length and (piece := file.read(min(131_072, length - len(found)))):
            found += piece
        return found


def mapped(path: str, offset: int, length: int) -> bytes:
    with open(path, "rb") as file, mmap.mmap(file.fileno(), 0, prot=mmap.PROT_READ) as memory:
        return memory[offset : offset + length]


READERS = {"pread": pread, "mmap": mapped, "run": run}

if __name__ == "__main__":
    main()
