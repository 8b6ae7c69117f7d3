"""Rows 7-11 and 21: random reads, headers, sections and faults."""

from __future__ import annotations

import mmap
import os
import random
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from bench import mounts
from bench.data import COLLECTION, GIB, HEADERS, SIDE
from bench.measure import ROUNDS, Row, dd, drop_pages_of_mount, kib, median, mib, timed
from bench.origin import Origin

READS = 200
CACHED_READS = 20_000
HEADER = 28_800
ROWS = 200
PASSTHROUGH = Path("/usr/share/doc/libfuse3-dev/examples/passthrough_ll.c")


def measure(origin: Origin, where: Path, data: Path) -> list[Row]:
    return [
        _random_cold(origin, where),
        _random_cached(origin, where, data),
        _headers(origin, where),
        _mosaic(origin, where),
        _section(origin, where),
        _faults(origin, where),
    ]


def _random_reads(path: Path, count: int, size: int, step: int) -> float:
    """Seconds for reads at random places that nobody reads ahead of."""
    rng = random.Random(count)
    fd = os.open(path, os.O_RDONLY)
    try:
        os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_RANDOM)
        places = [rng.randrange((GIB - size) // step) * step for _ in range(count)]
        return timed(lambda: [os.pread(fd, size, place) for place in places])
    finally:
        os.close(fd)


def _random_cold(origin: Origin, where: Path) -> Row:
    ours, theirs, moved, their_bytes = [], [], 0, 0
    for _ in range(ROUNDS):
        with mounts.cadcfs(origin, where) as mounted:
            path = mounted.file("big.bin")
            path.stat()
            origin.moved()
            ours.append(_random_reads(path, READS, 65_536, 1))
            moved = origin.moved().bytes
        with mounts.rclone(origin, where, "off") as mounted:
            path = mounted.file("big.bin")
            path.stat()
            origin.moved()
            theirs.append(_random_reads(path, READS, 65_536, 1))
            their_bytes = origin.moved().bytes
    asked = READS * 65_536
    ratio = median(ours) / median(theirs)
    return Row(
        "7", "random 64 KiB, cold: bytes per byte asked; time against rclone off",
        "<= 2.0; <= 0.5x",
        f"{moved / asked:.2f}; {ratio:.2f}x ({1000 * median(ours) / READS:.2f} ms)",
        f"rclone off {their_bytes / asked:.0f}; {1000 * median(theirs) / READS:.2f} ms", "1.0",
        moved / asked <= 2.0 and ratio <= 0.5,
    )  # fmt: skip


def _random_cached(origin: Origin, where: Path, data: Path) -> Row:
    program = where / "passthrough_ll"
    flags = subprocess.run(
        ["pkg-config", "--cflags", "--libs", "fuse3"], check=True, capture_output=True, text=True
    ).stdout.split()
    subprocess.run(["gcc", "-O2", "-o", program, PASSTHROUGH, *flags], check=True)
    ours, theirs = [], []
    source = data / f"cadc:{COLLECTION}" / "big.bin"
    with mounts.cadcfs(origin, where) as mounted, mounts.passthrough(program, where) as below:
        path, other = mounted.file("big.bin"), below / source.relative_to("/")
        dd(path)
        dd(source)
        for _ in range(ROUNDS):
            drop_pages_of_mount(path)
            ours.append(_random_reads(path, CACHED_READS, 4096, 4096))
            drop_pages_of_mount(other)
            theirs.append(_random_reads(other, CACHED_READS, 4096, 4096))
    ratio = median(ours) / median(theirs)
    each = 1e6 * median(ours) / CACHED_READS
    return Row(
        "8", "cached random 4 KiB against passthrough_ll in C", "<= 2x",
        f"{ratio:.2f}x ({each:.0f} us)", f"1.0 ({1e6 * median(theirs) / CACHED_READS:.0f} us)",
        "-", ratio <= 2,
    )  # fmt: skip


def _read_headers(open_file: Callable[[int], Path], count: int) -> float:
    def work() -> None:
        for number in range(count):
            fd = os.open(open_file(number), os.O_RDONLY)
            got = 0
            while got < HEADER:
                got += len(os.read(fd, HEADER - got))
            os.close(fd)

    return timed(work)


def _headers(origin: Origin, where: Path) -> Row:
    import urllib3

    ours, floors, theirs, moved, requests, their_bytes = [], [], [], 0, 0, 0
    pool = urllib3.PoolManager()
    asked = {"Range": f"bytes=0-{HEADER - 1}"}
    for _ in range(ROUNDS):
        with mounts.cadcfs(origin, where) as mounted:
            list(mounted.file("h0000.fits", "headers").parent.iterdir())
            origin.moved()
            ours.append(_read_headers(lambda n: mounted.file(f"h{n:04}.fits", "headers"), HEADERS))
            found = origin.moved()
            moved, requests = found.bytes, found.requests
        urls = [f"{origin.url()}/cadc:{COLLECTION}/h{n:04}.fits" for n in range(HEADERS)]
        floors.append(timed(lambda: [pool.request("GET", u, headers=asked) for u in urls]))  # noqa: B023
        with mounts.rclone(origin, where, "off") as mounted:
            list(mounted.file("h0000.fits").parent.iterdir())
            origin.moved()
            theirs.append(_read_headers(lambda n: mounted.file(f"h{n:04}.fits"), HEADERS))
            their_bytes = origin.moved().bytes
    ratio = median(ours) / median(floors)
    each = requests / HEADERS
    return Row(
        "9", "28,800 bytes of 500 files: bytes and requests each; time against one ranged GET",
        "<= 132 KiB, 1; <= 2.5x",
        f"{kib(moved / HEADERS)}, {each:.2f}; {ratio:.2f}x "
        f"({1000 * median(ours) / HEADERS:.2f} ms)",
        f"rclone off {kib(their_bytes / HEADERS)}; {median(theirs) / median(floors):.2f}x",
        f"28 KiB, 1; {1000 * median(floors) / HEADERS:.2f} ms",
        moved / HEADERS <= 132 * 1024 and each <= 1 and ratio <= 2.5,
    )  # fmt: skip


def _mosaic(origin: Origin, where: Path) -> Row:
    from astropy.io import fits

    found = []
    for keep in (False, True):
        with mounts.cadcfs(origin, where, keep=keep) as mounted:
            path = mounted.file("mosaic.fits")
            path.stat()
            origin.moved()
            with fits.open(path) as units:
                assert units[40].header["KEY249"] == 39 * 249
            found.append(origin.moved())
    cold, again = found
    return Row(
        "10", "header of unit 40 of 41, cold, through astropy; second time", "<= 42, <= 6 MB; 0",
        f"{cold.requests} requests, {cold.bytes / 1e6:.1f} MB; {again.requests}", "-", "-",
        cold.requests <= 42 and cold.bytes <= 6_000_000 and again.requests == 0,
    )  # fmt: skip


SECTION = """
import sys, time
from astropy.io import fits
name, first, stop = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
times = []
for _ in range(2):
    start = time.perf_counter()
    with fits.open(name, use_fsspec=name.startswith("http")) as units:
        assert units[0].section[first:stop, first:stop].sum() > 0
    times.append(time.perf_counter() - start)
print(*times)
"""


def _cut(name: object) -> tuple[float, float]:
    """Seconds of a section in a process of its own, as scripts are, and of the same once more."""
    first = (SIDE - ROWS) // 2
    done = subprocess.run(
        [sys.executable, "-c", SECTION, str(name), str(first), str(first + ROWS)],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    once, again = (float(word) for word in done.stdout.split())
    return once, again


def _section(origin: Origin, where: Path) -> Row:
    span = ROWS * SIDE * 4
    url = f"{origin.url()}/cadc:{COLLECTION}/image.fits"
    ours, theirs, moved, their_bytes = [], [], 0, 0
    for _ in range(ROUNDS):
        with mounts.cadcfs(origin, where) as mounted:
            path = mounted.file("image.fits")
            path.stat()
            origin.moved()
            ours.append(_cut(path))
            moved = origin.moved().bytes
        theirs.append(_cut(url))
        their_bytes = origin.moved().bytes // 2
    (once, again), (their_once, their_again) = (
        tuple(median(times) for times in zip(*found, strict=True)) for found in (ours, theirs)
    )
    ratio = once / their_once
    return Row(
        "11", "200x200 section of a 16384^2 image, astropy: bytes against the rows' span; time "
        "against astropy + fsspec", "<= 1.5x; <= 0.4x",
        f"{moved / span:.2f}x ({mib(moved)}); {ratio:.2f}x ({1000 * once:.0f} ms, the same again "
        f"{1000 * again:.0f} ms)",
        f"fsspec {their_bytes / span:.2f}x; {1000 * their_once:.0f} ms, again "
        f"{1000 * their_again:.0f} ms", f"1.0 ({mib(span)})",
        moved / span <= 1.5 and ratio <= 0.4,
    )  # fmt: skip


def _faults(origin: Origin, where: Path) -> Row:
    rng = random.Random(21)
    with mounts.cadcfs(origin, where) as mounted:
        path = mounted.file("big.bin")
        path.stat()
        origin.moved()
        with path.open("rb") as file:
            mapped = mmap.mmap(file.fileno(), 0, prot=mmap.PROT_READ)
            for _ in range(READS):
                mapped[rng.randrange(GIB)]
            mapped.close()
        each = origin.moved().bytes / READS
    return Row(
        "21", "bytes asked per random mmap fault", "<= 192 KiB", kib(each), "-", "-",
        each <= 192 * 1024,
    )  # fmt: skip
