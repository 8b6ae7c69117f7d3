"""Small measures that all comparisons share, and the rows that they fill."""

from __future__ import annotations

import os
import statistics
import subprocess
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

ROUNDS = 3


@dataclass(frozen=True)
class Row:
    """One row of the table: what was measured, what is wanted, what came out."""

    number: str
    what: str
    goal: str
    cadcfs: str
    peers: str
    floor: str
    met: bool | None


def timed(work: Callable[[], object]) -> float:
    """Wall-clock seconds of *work*."""
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def run(*words: object) -> None:
    subprocess.run([str(word) for word in words], check=True, stderr=subprocess.DEVNULL)


def dd(path: Path, size: str = "1M") -> None:
    """Read all of *path*, as a program that reads from front to back does."""
    run("dd", f"if={path}", "of=/dev/null", f"bs={size}", "status=none")


def curl(url: str, target: Path) -> None:
    run("curl", "-sfk", "-o", target, url)


def drop_pages(*paths: Path) -> None:
    """Take files out of the page cache; others' files stay there."""
    for path in paths:
        fd = os.open(path, os.O_RDONLY)
        try:
            os.fsync(fd)
            os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)
        finally:
            os.close(fd)


def drop_pages_of_mount(path: Path) -> None:
    fd = os.open(path, os.O_RDONLY)
    os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)
    os.close(fd)


def median(values: Sequence[float]) -> float:
    return statistics.median(values)


def mib(size: float) -> str:
    return f"{size / (1 << 20):.1f} MiB"


def kib(size: float) -> str:
    return f"{size / 1024:.0f} KiB"


def spread(values: Sequence[float]) -> str:
    """Median, least and most, in seconds."""
    return f"{median(values):.2f} s ({min(values):.2f}-{max(values):.2f})"
