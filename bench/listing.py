"""Rows 12-15 and 17-19: long directories, memory, many processes, the mount itself."""

from __future__ import annotations

import re
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

from bench import mounts
from bench.data import LISTED
from bench.measure import ROUNDS, Row, dd, median, mib, run, timed
from bench.origin import Origin, votable

READERS = 32
ONE_BLOCK = """
import os, sys
fd = os.open(sys.argv[1], os.O_RDONLY)
os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_RANDOM)
assert len(os.pread(fd, 4096, 500 << 20)) == 4096
"""


def measure(origin: Origin, where: Path, data: Path) -> list[Row]:
    return [
        *_long_directories(origin, where, data),
        _memory(origin, where),
        _parsing(),
        _together(origin, where),
        _mounting(origin, where),
    ]


def _ls(path: Path) -> float:
    return timed(lambda: run("sh", "-c", f"ls -l {path} > /dev/null"))


def _long_directories(origin: Origin, where: Path, data: Path) -> list[Row]:
    ratios, first, moved, asked, before, after = [], 0.0, 0, 0, Counter[str](), Counter[str]()
    theirs = ""
    with mounts.cadcfs(origin, where) as mounted:
        for count in LISTED:
            path = mounted.file("x", f"list{count}").parent
            queries = origin.queries
            origin.moved()
            taken = _ls(path)
            if count == LISTED[0]:
                asked, moved = origin.queries - queries, origin.moved().requests
                first = taken
                before = _asked(mounted.path)
                _ls(path)
                after = _asked(mounted.path)
            again = [_ls(path) for _ in range(ROUNDS)]
            native = [_ls(data / f"list{count}") for _ in range(ROUNDS)]
            ratios.append(median(again) / median(native))
    with mounts.rclone(origin, where, "off") as other:
        origin.moved()
        seconds = _ls(other.path / f"list{LISTED[0]}")
        theirs = f"rclone {origin.moved().requests} requests, {seconds:.2f} s"
    spent = after - before
    buffers = spent["readdir"]
    calls = spent.total() - buffers
    return [
        Row("12", "ls -l of 10k and 100k known entries against native", "<= 1.2x",
            " and ".join(f"{ratio:.2f}x" for ratio in ratios), "-", "1.0", max(ratios) <= 1.2),
        Row("13", "first ls -l of 10k: queries, requests for files; time", "1, 0; <= 0.3 s",
            f"{asked}, {moved}; {first:.2f} s with the answer", theirs, "1",
            asked == 1 and moved == 0 and first <= 0.3),
        Row("14", "calls of the kernel for ls -l of 10k listed entries, beside the directory's "
            "own buffers", "<= 20", f"{calls} (and {buffers} readdir)", "-", "0", calls <= 20),
    ]  # fmt: skip


def _asked(mount: Path) -> Counter[str]:
    """How often the kernel has asked, by operation, without what reading the counts costs."""
    text = (mount / ".cadcfs" / "metrics").read_text()
    found = re.findall(
        r'^cadcfs_request_seconds_count{operation="(\w+)"} (\S+)$', text, re.MULTILINE
    )
    return Counter({name: int(float(count)) for name, count in found})


def _memory(origin: Origin, where: Path) -> Row:
    with mounts.cadcfs(origin, where) as mounted:
        idle = mounted.memory()[0]
        path = mounted.file("big.bin")
        path.stat()
        dd(path)
        read = mounted.memory()[1]
    with mounts.cadcfs(origin, where) as mounted:
        run("sh", "-c", f"ls {mounted.file('x', f'list{LISTED[0]}').parent} > /dev/null")
        small = mounted.memory()[0]
        run("sh", "-c", f"ls {mounted.file('x', f'list{LISTED[1]}').parent} > /dev/null")
        each = (mounted.memory()[0] - small) / LISTED[1]
    with mounts.rclone(origin, where, "full") as other:
        dd(other.file("big.bin"))
        theirs = other.memory()[1]
    return Row(
        "15", "memory: idle; after reading 1 GiB (most); per listed entry",
        "<= 60 MB; <= 120 MB; <= 400 B",
        f"{idle / 1e6:.0f} MB; {read / 1e6:.0f} MB; {each:.0f} B",
        f"rclone full {theirs / 1e6:.0f} MB", "-",
        idle <= 60e6 and read <= 120e6 and each <= 400,
    )  # fmt: skip


def _parsing() -> Row:
    from astropy.io.votable import parse_single_table

    from cadcfs.archive.votable import parse_votable

    rows = [(f"obs{n}", "M31", "p", f"ivo://cadc.nrc.ca/X?obs{n}/p", "", "2010-01-01T00:00:00.000",
             "2011-01-01T00:00:00.000", f"cadc:X/obs{n}.fits", "science", "data",
             "application/fits", str(1_000_000 + n)) for n in range(100_000)]  # fmt: skip
    document = votable(12, rows)
    ours = [timed(lambda: parse_votable(document, "x")) for _ in range(ROUNDS)]
    from io import BytesIO

    theirs = timed(lambda: parse_single_table(BytesIO(document)).to_table())
    ratio = median(ours) / theirs
    return Row(
        "17", "a listing of 100,000 rows parsed, against astropy", "<= 0.2x",
        f"{ratio:.2f}x ({median(ours):.2f} s)", f"astropy {theirs:.2f} s", "-", ratio <= 0.2,
    )  # fmt: skip


def _together(origin: Origin, where: Path) -> Row:
    with mounts.cadcfs(origin, where) as mounted:
        directory = mounted.file("big.bin").parent
        queries = origin.queries
        listing = [
            subprocess.Popen(["ls", str(directory)], stdout=subprocess.DEVNULL)
            for _ in range(READERS)
        ]
        assert all(process.wait(60) == 0 for process in listing)
        asked = origin.queries - queries
        origin.moved()
        reading = [
            subprocess.Popen([sys.executable, "-c", ONE_BLOCK, str(directory / "big.bin")])
            for _ in range(READERS)
        ]
        assert all(process.wait(60) == 0 for process in reading)
        moved = origin.moved()
    return Row(
        "18", "32 processes, the same cold directory; the same cold block", "1 query; 1 request",
        f"{asked}; {moved.requests} ({mib(moved.bytes)})", "-", "1; 1",
        asked == 1 and moved.requests == 1,
    )  # fmt: skip


def _mounting(origin: Origin, where: Path) -> Row:
    def mount(tap_url: str) -> float:
        path, cache = where / "mount-timed", where / "cache-timed"
        path.mkdir(exist_ok=True)
        run("rm", "-rf", cache)
        words = [*mounts.CADCFS, "mount", "--cache-dir", str(cache), "-o",
                 f"tap_url={tap_url},files_url={origin.url()}", str(path)]  # fmt: skip
        start = time.perf_counter()
        subprocess.run(words, check=True)
        list(path.iterdir())
        taken = time.perf_counter() - start
        subprocess.run([*mounts.CADCFS, "umount", str(path)], check=True)
        return taken

    reached = [mount(origin.tap_url) for _ in range(ROUNDS)]
    gone = [mount("http://127.0.0.1:9/tap") for _ in range(ROUNDS)]
    python = timed(lambda: run(sys.executable, "-c", "import trio, httpx, pyfuse3"))
    return Row(
        "19", "mount until it answers, with the archive reachable and not", "<= 0.5 s",
        f"{median(reached):.2f} s; {median(gone):.2f} s", "-",
        f"Python with its libraries {python:.2f} s",
        max(median(reached), median(gone)) <= 0.5,
    )  # fmt: skip
