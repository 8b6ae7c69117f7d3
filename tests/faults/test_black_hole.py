"""An archive that swallows what it is asked: every call ends in time, and what is here comes."""

from __future__ import annotations

import errno
import json
import os
import signal
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest

from cadcfs.kernel.operations import Operations
from cadcfs.kernel.writing import Writable
from tests.faults.conftest import Rig, RigMaker
from tests.faults.proxy import HOLE
from tests.rig import until

LISTING_TIME, USUAL_LISTING_TIME = 4.0, 120.0
SAFETY_NET = 2 * USUAL_LISTING_TIME
IN_TIME = 1.0
"""Seconds by which a call may be late."""
AT_ONCE = 0.05
"""Seconds, on a quiet machine."""
LONG = "listing_time=100,metadata_time=100,read_time=100"

M31 = "collections/CFHT/by-target/M31"
FILE = f"{M31}/2376828p.fits.fz"
OTHER = f"{M31}/2376828o.fits.fz"
CIRCLES = "collections/CFHT/region"
NAMES = "name"
"""A directory without end: every name in it is a question."""
BY_THEMSELVES = {"forget", "releasedir", "release", "access"}
"""Calls that the kernel makes when it likes, or not at all where it checks the modes itself."""

Call = Callable[[], object]


def calls_without_an_answer(path: Path, file: int) -> dict[str, Call]:
    """Calls that need the archive, by what they are for; *file* is open."""
    return {
        "stat of what nobody knows": (path / "name/NGC7027").stat,
        "ls of a cold result": lambda: os.listdir(path / "collections/DAO/by-target/NGC 7027"),
        "ls of a cold circle": lambda: os.listdir(path / "region/12_40_0.1"),
        "ls of a cold facet": lambda: os.listdir(path / "collections/DAO/by-filter"),
        "ls of days": lambda: os.listdir(path / "collections/DAO/by-date/2009/10"),
        "readlink of an object": lambda: os.readlink(path / "region/M33_6arcmin"),
        "open of headers": (path / M31 / "headers/2376828p.fits.fz.txt").read_bytes,
        "stat of headers": (path / M31 / "headers/2376828o.fits.fz.txt").stat,
        "open of unpacked": (path / M31 / "unpacked/2376828o.fits").read_bytes,
        "read": lambda: os.pread(file, 65536, 9_000_000),
        "read through a mapping": lambda: read_mapped(path / OTHER),
        "tables": lambda: os.listdir(path / "tables"),
        "access": lambda: os.access(path / "name/NGC 7023", os.R_OK) or refuse(),
        "a job made elsewhere": lambda: os.listdir(path / "jobs/abcdefghijklmnop"),
    }


MAPPED = """
import mmap, sys
with open(sys.argv[1]) as file:
    print(mmap.mmap(file.fileno(), 0, prot=mmap.PROT_READ)[5_000_000])
"""


def read_mapped(path: Path) -> bytes:
    """In a process of its own, which SIGBUS ends."""
    command = [sys.executable, "-c", MAPPED, str(path)]
    return subprocess.run(command, check=True, capture_output=True).stdout


def refuse() -> None:
    raise OSError(errno.EIO, "access says no")


def calls_with_an_answer(path: Path) -> dict[str, Call]:
    """Calls that need nobody, in the order in which they are made."""
    job = path / "jobs/local"

    def write() -> None:
        with (job / "query.adql").open("w") as file:
            file.write("SELECT TOP 1 * FROM caom2.Plane")
            file.flush()
            os.fsync(file.fileno())

    return {
        "df": lambda: os.statvfs(path),
        "ls of the root": lambda: os.listdir(path),
        "stat of the root": path.stat,
        "status": (path / ".cadcfs/status").read_text,
        "query": (path / M31 / ".query").read_text,
        "known name": (path / FILE).stat,
        "known directory": lambda: os.listdir(path / M31),
        "access": lambda: os.access(path / FILE, os.R_OK),
        "mkdir": job.mkdir,
        "create, write, flush, fsync": write,
        "chmod": lambda: (job / "query.adql").chmod(0o600),
        "truncate": lambda: os.truncate(job / "query.adql", 20),
        "link": lambda: refused(lambda: os.link(job / "query.adql", job / "uploads/q")),
        "symlink": lambda: refused(lambda: os.symlink("x", job / "uploads/l")),
        "mknod": lambda: refused(lambda: os.mknod(job / "uploads/n", 0o600)),
        "run": lambda: (job / "phase").write_text("RUN\n"),
        "phase": (job / "phase").read_text,
        "rename": lambda: job.rename(path / "jobs/other"),
        "unlink and rmdir": lambda: subprocess.run(["rm", "-r", path / "jobs/other"], check=True),
    }


def refused(work: Call) -> None:
    with pytest.raises(OSError, match=r"."):
        work()


def outcome(work: Call) -> tuple[float, int]:
    """Seconds, and the errno that it failed with; 0 for none."""
    start, number = time.monotonic(), 0
    try:
        work()
    except OSError as exc:
        number = exc.errno or -1
    except subprocess.CalledProcessError:
        number = errno.EIO
    return time.monotonic() - start, number


def operations(rig: Rig) -> dict[str, int]:
    """How often the kernel has called, by handler."""
    facts = json.loads((rig.path / ".cadcfs/status.json").read_text())
    return {name: told["count"] for name, told in facts["operations"].items()}


def prepared(rig: Rig) -> None:
    """What a user would have seen before the archive goes."""
    for place in (M31, f"{M31}/headers", f"{M31}/unpacked", "region", "jobs", "collections/DAO"):
        os.listdir(rig.path / place)
    with (rig.path / FILE).open("rb") as file:
        file.read(2880)


def in_the_hole(rig: Rig) -> dict[str, tuple[float, int]]:
    """Seconds and errnos of all calls behind a black hole."""
    prepared(rig)
    with_answer = calls_with_an_answer(rig.path)
    refresh = (rig.path / M31 / ".refresh").read_text
    with (rig.path / FILE).open("rb") as file, ThreadPoolExecutor(32) as threads:
        without = calls_without_an_answer(rig.path, file.fileno())
        rig.proxy.fault = HOLE
        refreshing = threads.submit(outcome, refresh)
        waiting = {name: threads.submit(outcome, work) for name, work in without.items()}
        took = {name: outcome(work) for name, work in with_answer.items()}
        # What was known stays.
        took["refresh"] = refreshing.result(timeout=SAFETY_NET)
        assert {name: number for name, (_, number) in took.items() if number} == {}
        failed = {name: future.result(timeout=SAFETY_NET) for name, future in waiting.items()}
    told = {errno.EAGAIN, errno.EIO, errno.EHOSTUNREACH}
    assert {name: n for name, (_, n) in failed.items() if n not in told} == {}
    return took | failed


def test_every_handler_ends_behind_a_black_hole(rig: Rig) -> None:
    in_the_hole(rig)
    handlers = {
        name for name, handler in (vars(Writable) | vars(Operations)).items()
        if hasattr(handler, "__wrapped__") and not name.startswith("_")
    }  # fmt: skip
    assert handlers - BY_THEMSELVES <= set(operations(rig))
    rig.proxy.fault = None
    # What the hole has swallowed is given up first.
    cold = rig.path / "collections/DAO/by-target/NGC 7027"
    until(lambda: outcome((rig.path / FILE).read_bytes)[1] == 0)
    until(lambda: outcome(lambda: os.listdir(cold))[1] == 0)


@pytest.mark.soak
def test_every_handler_ends_in_time(rig: Rig) -> None:
    took = in_the_hole(rig)
    assert max(seconds for seconds, _ in took.values()) < LISTING_TIME + IN_TIME, took


@pytest.mark.soak
def test_every_handler_ends_in_time_without_an_option(rigs: RigMaker) -> None:
    took = in_the_hole(rigs("defaults"))
    sys.stderr.write(f"{ {name: round(seconds, 1) for name, (seconds, _) in took.items()} }\n")
    assert max(seconds for seconds, _ in took.values()) < USUAL_LISTING_TIME + IN_TIME, took


@contextmanager
def stuck(rig: Rig, count: int) -> Iterator[subprocess.Popen[str]]:
    """*count* reads and as many opens that wait; killed within a second at the end."""
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.faults.stuck", str(rig.path / FILE),
         str(rig.path / CIRCLES), str(count), str(count)], stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert process.stdout is not None
    try:
        assert process.stdout.readline() == "under way\n"
        # Some blocks of the file are here: its beginning, and headers on the way.
        until(lambda: len(under_way(rig)) >= 1.6 * count)
        yield process
        assert process.poll() is None
    finally:
        process.kill()
        process.wait(timeout=120)
        process.stdout.close()


def under_way(rig: Rig) -> list[dict[str, object]]:
    facts = json.loads((rig.path / ".cadcfs/status.json").read_text())
    found: list[dict[str, object]] = facts["under_way"]
    return found


def read_anew(file: int) -> bytes:
    """A block that the disk has and the kernel does not."""
    os.posix_fadvise(file, 0, 0, os.POSIX_FADV_DONTNEED)
    return os.pread(file, 65536, 65536)


def what_is_here(rig: Rig, file: int) -> dict[str, Call]:
    return {
        "df": lambda: os.statvfs(rig.path),
        "ls": lambda: os.listdir(rig.path),
        "stat": rig.path.stat,
        "status": (rig.path / ".cadcfs/status").read_text,
        "read": lambda: read_anew(file),
    }


def beside(rig: Rig, count: int) -> dict[str, float]:
    """Median seconds that what is here takes, with *count* reads and opens stuck."""
    prepared(rig)
    content = (rig.path / OTHER).read_bytes()
    with (rig.path / OTHER).open("rb") as kept:
        rig.proxy.fault = HOLE
        with stuck(rig, count):
            asked, calls = rig.proxy.requests, operations(rig)
            here = what_is_here(rig, kept.fileno())
            took = {name: [outcome(work) for _ in range(5)] for name, work in here.items()}
            assert {number for each in took.values() for _, number in each} == {0}
            assert read_anew(kept.fileno()) == content[65536:131072]
            # The daemon was asked, and the archive was not.
            assert operations(rig)["read"] > calls["read"]
            assert rig.proxy.requests == asked
    # A read ahead that nobody waits for ends at its own deadline; nothing else is left.
    until(lambda: {call["operation"] for call in under_way(rig)} <= {"read"})
    return {name: statistics.median(s for s, _ in each) for name, each in took.items()}


def test_what_is_here_comes_while_many_calls_are_stuck(rigs: RigMaker) -> None:
    beside(rigs(LONG), 60)


@pytest.mark.soak
def test_what_is_here_comes_at_once_while_600_calls_are_stuck(rigs: RigMaker) -> None:
    took = beside(rigs(LONG), 300)
    sys.stderr.write(f"{took}\n")
    assert max(took.values()) < AT_ONCE, took


def waiters(rig: Rig, count: int) -> list[subprocess.Popen[bytes]]:
    """Processes that each ask for a name which nobody knows, all in one directory."""
    found = [
        subprocess.Popen(
            ["stat", rig.path / NAMES / f"unknown{number}"],
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )
        for number in range(count)
    ]  # fmt: skip
    until(lambda: len(under_way(rig)) >= count)
    return found


def killed(processes: list[subprocess.Popen[bytes]]) -> list[float]:
    """Seconds from SIGKILL to the end of each."""
    took = []
    for process in processes:
        start = time.monotonic()
        process.send_signal(signal.SIGKILL)
        process.wait(timeout=120)
        took.append(time.monotonic() - start)
    return took


def beside_unknown_names(rig: Rig, count: int) -> tuple[float, float]:
    """Longest seconds of a known name and of a kill, beside names that nobody knows."""
    known = rig.path / NAMES / "M31"
    os.listdir(known)
    rig.proxy.fault = HOLE
    processes = waiters(rig, count)
    took = {
        "ls": outcome(lambda: os.listdir(rig.path / NAMES)),
        "ls of a known name": outcome(lambda: os.listdir(known)),
        "stat": outcome(known.stat),
    }
    # Behind the hole they could not be answered if any of them asked the archive.
    assert {number for _, number in took.values()} == {0}
    assert [process.poll() for process in processes] == [None] * count
    kills = killed(processes)
    assert [process.returncode for process in processes] == [-signal.SIGKILL] * count
    return max(seconds for seconds, _ in took.values()), max(kills)


def test_unknown_names_keep_nobody_from_known_ones(rigs: RigMaker) -> None:
    beside_unknown_names(rigs(LONG), 20)


@pytest.mark.soak
def test_unknown_names_keep_nobody_from_known_ones_at_once(rigs: RigMaker) -> None:
    known, kill = beside_unknown_names(rigs(LONG), 20)
    sys.stderr.write(f"known names {known:.3f} s, kills {kill:.3f} s\n")
    assert known < AT_ONCE
    assert kill < IN_TIME
