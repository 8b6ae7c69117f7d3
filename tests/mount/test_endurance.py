"""Many processes, a small quota, damage and crashes: every byte is right, nothing grows.

Each test has a short form here and a long one behind `make soak`, both seeded.
"""

from __future__ import annotations

import contextlib
import os
import random
import re
import signal
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Self

import pytest

from tests.mount.reader import pread
from tests.rig import Mount, Server, wait_for_end

BLOCK = 65536
TRANSFERS = 32
"""Requests under way at most: 16 in the carrier, and as many that were left and end."""


def tell(words: str) -> None:
    """A figure for whoever runs the long forms, shown with `-s`."""
    sys.stderr.write(f"{words}\n")


def pairs_of(mount: Mount, server: Server, count: int) -> list[tuple[Path, Path]]:
    """Mounted and local paths of public files, the largest ones first."""
    with sqlite3.connect(server.archive.database) as database:
        database.execute("ATTACH ? AS inventory", (str(server.archive.inventory),))
        rows = database.execute(
            "SELECT o.collection, o.observationID, a.uri, i.contentLength "
            "FROM Observation o JOIN Plane p ON o.obsID = p.obsID "
            "JOIN main.Artifact a ON p.planeID = a.planeID "
            "JOIN inventory.Artifact i ON i.uri = a.uri "
            "WHERE p.dataRelease < '2026' AND o.metaRelease < '2026' "
            "AND (p.quality_flag IS NULL OR p.quality_flag != 'junk') "
            "AND a.productType IN ('science', 'this') AND a.uri LIKE 'cadc:%' "
            "GROUP BY a.uri ORDER BY i.contentLength DESC"
        ).fetchall()
    found = []
    for collection, observation, uri, size in rows:
        path = mount.path / "collections" / collection / "by-observation" / observation
        path /= uri.rpartition("/")[2]
        locals_ = list(server.archive.files.rglob(path.name))
        if len(locals_) == 1 and locals_[0].stat().st_size == size and path.exists():
            found.append((path, locals_[0]))
        if len(found) == count:
            return found
    return found


class Sampler:
    """Looks how much the cache takes on disk, again and again."""

    def __init__(self, cache: Path) -> None:
        self.most = 0
        self._root = cache / "blocks-v2"
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._end.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._end.wait(0.02):
            self.most = max(self.most, self.now())

    def now(self) -> int:
        total = 0
        for directory, _, names in os.walk(self._root):
            for name in names:
                try:
                    total += os.lstat(os.path.join(directory, name)).st_blocks * 512
                except FileNotFoundError:
                    continue
        return total


@pytest.mark.parametrize(
    ("processes", "reads", "quota"),
    [(6, 80, 12 << 20), pytest.param(16, 10_000, 64 << 20, marks=pytest.mark.soak)],
)
def test_many_processes_read_right_under_a_small_quota(
    mount: Mount, server: Server, processes: int, reads: int, quota: int
) -> None:
    mount.stop()
    mount.start("-o", f"cache_size={quota}")
    pairs = pairs_of(mount, server, 20)
    assert len(pairs) == 20
    assert sum(local.stat().st_size for _, local in pairs) > 2 * quota
    told = "".join(f"{mounted}\t{local}\n" for mounted, local in pairs)
    with Sampler(mount.cache) as sampler:
        running = []
        for seed in range(processes):
            process = subprocess.Popen(
                [sys.executable, "-m", "tests.mount.reader", str(seed), str(reads)],
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
            )  # fmt: skip
            assert process.stdin is not None
            process.stdin.write(told)
            process.stdin.close()
            process.stdin = None
            running.append(process)
        for process in running:
            assert process.communicate(timeout=3600)[0] == "right\n"
    tell(f"at most {sampler.most / (1 << 20):.1f} MiB on disk, {quota >> 20} MiB allowed")
    assert 0.6 * quota < sampler.most <= quota + TRANSFERS * BLOCK


class Damager:
    """Does to the files of a cache what disks, crashes and people do."""

    def __init__(self, cache: Path, rng: random.Random) -> None:
        self._cache = cache
        self._rng = rng

    def do_something(self) -> str:
        kind = self._rng.choice(("flip", "truncate", "zero", "exchange", "map", "index"))
        # What the mount has put aside meanwhile cannot be damaged any more.
        with contextlib.suppress(FileNotFoundError):
            self._do(kind)
        return kind

    def _do(self, kind: str) -> None:
        files = sorted((self._cache / "blocks-v2").rglob("*.map" if kind == "map" else "*.data"))
        if kind == "index":
            self._overwrite(self._cache / "blocks-v2" / "index.sqlite", b"\xff" * 64)
        elif kind == "exchange" and len(files) > 1:
            one, other = self._rng.sample(files, 2)
            one.rename(one.with_suffix(".aside"))
            other.rename(one)
            one.with_suffix(".aside").rename(other)
        elif files:
            path = self._rng.choice(files)
            if kind == "truncate":
                os.truncate(path, self._rng.randrange(path.stat().st_size + 1))
            elif kind == "zero":
                self._overwrite(path, bytes(self._rng.randrange(1, 200_000)))
            else:
                self._overwrite(path, self._rng.randbytes(self._rng.randrange(1, 16)))

    def _overwrite(self, path: Path, content: bytes) -> None:
        size = path.stat().st_size
        if size:
            with path.open("r+b") as file:
                file.seek(self._rng.randrange(size))
                file.write(content[: size - file.tell()])


@pytest.mark.parametrize("trials", [25, pytest.param(1000, marks=pytest.mark.soak)])
def test_damage_and_crashes_never_show(
    mount: Mount, server: Server, trials: int, expected_log: list[str]
) -> None:
    expected_log += [
        "damaged", "fetched again", "index fails", "is not kept", "read without the disk",
        "file is not a database", "nothing is kept",
    ]  # fmt: skip
    rng = random.Random(trials)
    pairs = pairs_of(mount, server, 8)[2:]
    damager = Damager(mount.cache, rng)
    done: dict[str, int] = {}
    for trial in range(trials):
        crashes = rng.random() < 0.15
        if crashes:
            crash_while_reading(mount, pairs, rng)
        kind = damager.do_something()
        done[kind] = done.get(kind, 0) + 1
        if crashes:
            mount.start()
        for mounted, local in rng.sample(pairs, 2):
            size = local.stat().st_size
            for _ in range(3):
                offset, length = rng.randrange(size), rng.randrange(1, 400_000)
                found = pread(str(mounted), offset, length)
                assert found == pread(str(local), offset, length), (trial, kind, mounted, offset)
    tell(f"{trials} trials: {done}")


def crash_while_reading(mount: Mount, pairs: list[tuple[Path, Path]], rng: random.Random) -> None:
    """`kill -9` at a random moment while three programs read."""
    pid = mount.pid()
    readers = [
        subprocess.Popen(
            ["dd", f"if={mounted}", "of=/dev/null", "bs=64k"], stderr=subprocess.DEVNULL
        )
        for mounted, _ in rng.sample(pairs, 3)
    ]
    threading.Event().wait(rng.random() * 0.3)
    os.kill(pid, signal.SIGKILL)
    wait_for_end(pid)
    for reader in readers:
        reader.wait(30)


def resident(pid: int) -> int:
    """Bytes of memory that a process has now."""
    found = re.search(r"^VmRSS:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text(), re.MULTILINE)
    assert found
    return int(found[1]) * 1024


@pytest.mark.parametrize("times", [1500, pytest.param(100_000, marks=pytest.mark.soak)])
def test_opening_and_closing_does_not_grow(mount: Mount, server: Server, times: int) -> None:
    paths = [str(mounted) for mounted, _ in pairs_of(mount, server, 20)]
    pid = mount.pid()

    def work(count: int) -> None:
        for number in range(count):
            fd = os.open(paths[number % len(paths)], os.O_RDONLY)
            os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)
            assert os.pread(fd, 5000, 4096 * (number % 3))
            os.close(fd)

    work(1000)
    memory, descriptors = resident(pid), len(os.listdir(f"/proc/{pid}/fd"))
    work(times)
    tell(f"{times} times: {(resident(pid) - memory) / 1024:.0f} KiB more")
    assert resident(pid) - memory < 6 << 20
    assert len(os.listdir(f"/proc/{pid}/fd")) <= descriptors + 24


@pytest.fixture
def large_files(tmp_path: Path) -> Iterator[tuple[Mount, list[Path]]]:
    """A mount of 64 files of 1 GiB, whose blocks carry their number."""
    from tests.mount.large_origin import running

    with running(tmp_path) as (mount, paths, _):
        yield mount, paths


@pytest.mark.parametrize(
    ("readers", "megabytes"), [(8, 24), pytest.param(64, 256, marks=pytest.mark.soak)]
)
def test_many_readers_of_large_files_take_little_memory(
    large_files: tuple[Mount, list[Path]], readers: int, megabytes: int
) -> None:
    from tests.mount.large_origin import block

    mount, paths = large_files
    pid = mount.pid()
    wrong: list[str] = []
    most = [0]

    def read(number: int) -> None:
        with paths[number].open("rb", buffering=0) as file:
            start = (number * 11 << 20) // BLOCK * BLOCK
            file.seek(start)
            wrong.extend(
                f"{number} {index}"
                for index in range(start // BLOCK, start // BLOCK + (megabytes << 4))
                if file.read(BLOCK) != block(number, index)
            )
            most[0] = max(most[0], resident(pid))

    threads = [threading.Thread(target=read, args=(number,)) for number in range(readers)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong
    tell(f"{readers} readers: at most {most[0] / 1e6:.0f} MB")
    assert most[0] <= 250e6
