"""`python -m tests.faults.stuck FILE CIRCLES READS OPENS`: calls that wait for an archive.

Each in a thread of its own: READS reads of FILE, far from each other, and OPENS opens of a file
below as many directories of CIRCLES that nobody asked for. Says that they are under way, and waits.
"""

from __future__ import annotations

import contextlib
import os
import sys
import threading
from pathlib import Path

APART = 64 * 1024
"""Bytes between two reads."""


def read(path: str, number: int) -> None:
    file = os.open(path, os.O_RDONLY)
    os.posix_fadvise(file, 0, 0, os.POSIX_FADV_RANDOM)
    os.pread(file, 1, number * APART)


def look(circles: str, number: int) -> None:
    Path(circles, f"{number + 1}.5_1.5_0.1", "about.txt").open().close()


def main() -> None:
    path, circles, reads, opens = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])

    def quietly(work: object, *args: object) -> None:
        with contextlib.suppress(OSError):
            work(*args)  # type: ignore[operator]

    for number in range(reads):
        threading.Thread(target=quietly, args=(read, path, number)).start()
    for number in range(opens):
        threading.Thread(target=quietly, args=(look, circles, number)).start()
    sys.stdout.write("under way\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
