"""A cache directory that is full, read-only or gone, few descriptors, a clock that jumps.

Reads and listings go on without the disk, and the log says why in one line.
"""

from __future__ import annotations

import errno
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.mount.test_endurance import pairs_of
from tests.rig import CADCFS, Mount, Server, until

TARGET = "collections/CFHT/by-target/M31"
COLD = "collections/DAO/by-target/NGC 7027"
LARGE = f"{TARGET}/2376828p.fits.fz"
NAMESPACE = ("unshare", "--mount", *(["--map-root-user"] if os.geteuid() else []))
MEBIBYTE = 1 << 20


class Disk:
    """A small file system in a mount namespace of its own; what is there is seen by its shell."""

    def __init__(self, place: Path, size: int) -> None:
        place.mkdir()
        self.place = place
        self._shell = subprocess.Popen(
            [*NAMESPACE, "sh"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        self.run(f"mount -t tmpfs -o size={size} none '{place}'")

    def run(self, command: str) -> None:
        assert self._shell.stdin
        assert self._shell.stdout
        self._shell.stdin.write(f"{{ {command}; }} </dev/null >&2 && echo done || echo failed\n")
        self._shell.stdin.flush()
        assert self._shell.stdout.readline() == "done\n", command

    def seen(self, path: Path) -> Path:
        """Where *path* of that namespace is for everybody."""
        return Path(f"/proc/{self._shell.pid}/root{path}")

    def fill(self) -> None:
        """Take every byte that is free."""
        with (self.seen(self.place) / "filler").open("wb", buffering=0) as file:
            try:
                while True:
                    file.write(bytes(4096))
            except OSError:
                return

    def close(self) -> None:
        assert self._shell.stdin
        assert self._shell.stdout
        self._shell.stdin.close()
        self._shell.wait(timeout=120)
        self._shell.stdout.close()


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Disk]:
    made = Disk(tmp_path / "disk", 16 * MEBIBYTE)
    yield made
    made.close()


@pytest.fixture
def small(disk: Disk, server: Server, tmp_path: Path) -> Iterator[Mount]:
    """A mount with its cache on the small disk."""
    path = tmp_path / "sky"
    path.mkdir()
    cadcfs = " ".join(CADCFS)
    disk.run(
        f"CADCFS_WALK_ALLOWANCE=0 {cadcfs} mount --registry-url {server.registry_url} "
        f"--cache-dir {disk.place}/cache -o cache_free=0 {path}"
    )
    yield Mount(disk.seen(path), disk.seen(disk.place) / "cache", server.registry_url)
    disk.run(f"{cadcfs} umount --lazy {path}")


def works(mount: Mount, server: Server, count: int = 2) -> None:
    """All kinds of calls are answered, and the bytes of some files are right."""
    os.statvfs(mount.path)
    assert "2376828p.fits.fz" in os.listdir(mount.path / TARGET)
    assert (mount.path / TARGET / "about.txt").read_text()
    assert (mount.path / TARGET / "headers/2376828p.fits.fz.txt").read_text()
    assert (mount.path / TARGET / "metadata.csv").read_text()
    for mounted, local in pairs_of(mount, server, count):
        assert mounted.read_bytes() == local.read_bytes(), mounted
    assert "process:" in (mount.path / ".cadcfs/status").read_text()


def told(mount: Mount) -> list[str]:
    log = (mount.path / ".cadcfs/log").read_text().splitlines()
    return [line for line in log if " WARNING " in line or " ERROR " in line]


def unforeseen(mount: Mount) -> list[str]:
    return [line for line in told(mount) if "unforeseen" in line or " ERROR " in line]


def test_a_full_disk_costs_no_read(small: Mount, disk: Disk, server: Server) -> None:
    os.listdir(small.path / TARGET)
    disk.fill()
    works(small, server)
    os.listdir(small.path / COLD)
    assert unforeseen(small) == []
    assert any("no room" in line or "No space" in line for line in told(small))
    # Of files, of answers, and of the index.
    assert len(told(small)) <= 3, told(small)


def test_a_disk_smaller_than_what_is_read(small: Mount, server: Server) -> None:
    works(small, server, 6)
    assert unforeseen(small) == []


def test_a_mount_on_a_read_only_disk_keeps_nothing(
    disk: Disk, server: Server, tmp_path: Path
) -> None:
    path = tmp_path / "sky"
    path.mkdir()
    cache = disk.place / "cache"
    disk.run(f"mkdir {cache}; mount -o remount,ro {disk.place}")
    cadcfs = " ".join(CADCFS)
    disk.run(
        f"(CADCFS_WALK_ALLOWANCE=0 {cadcfs} mount --foreground --registry-url "
        f"{server.registry_url} --cache-dir {cache} {path} 2>{tmp_path}/log &)"
    )
    try:
        mount = Mount(disk.seen(path), disk.seen(cache), server.registry_url)
        until(lambda: (mount.path / "README.txt").exists())
        works(mount, server)
        with pytest.raises(OSError, match="Read-only"):
            (mount.path / "jobs/none").mkdir()
        assert unforeseen(mount) == []
        assert any("nothing is kept" in line for line in told(mount))
    finally:
        disk.run(f"{cadcfs} umount --lazy {path}")


def test_a_cache_directory_that_vanishes(
    mount: Mount, server: Server, expected_log: list[str]
) -> None:
    expected_log += ["No such file", "disk I/O error", "unable to open", "readonly database"]
    with (mount.path / LARGE).open("rb", buffering=0) as file:
        seen = file.read(300_000)
        shutil.rmtree(mount.cache)
        works(mount, server)
        file.seek(0)
        assert file.read(300_000) == seen
    os.listdir(mount.path / COLD)
    assert unforeseen(mount) == []


def test_few_descriptors_cost_an_open_and_never_the_mount(
    mount: Mount, server: Server, expected_log: list[str]
) -> None:
    expected_log += ["Too many open files", "EMFILE"]
    every = pairs_of(mount, server, 70)
    mounted, local = every[-1]
    mount.stop()
    mount.command = ("sh", "-c", 'ulimit -n 128; exec "$@"', "sh", *CADCFS)
    mount.start()
    opened, failed = [], set()
    for path, _ in every:
        try:
            opened.append(os.open(path, os.O_RDONLY))
            os.pread(opened[-1], 1, 0)
        except OSError as exc:
            failed.add(exc.errno)
    assert failed == {errno.EMFILE}
    for number in opened:
        os.close(number)
    assert mounted.read_bytes() == local.read_bytes()
    assert os.listdir(mount.path / COLD)
    assert unforeseen(mount) == []


def test_a_clock_that_jumps(mount: Mount, server: Server, tmp_path: Path) -> None:
    clock = tmp_path / "clock"
    clock.write_text("+0")
    mounted, local = pairs_of(mount, server, 10)[-1]
    mount.stop()
    mount.start(
        environ={
            "LD_PRELOAD": str(next(Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1"))),
            "FAKETIME_TIMESTAMP_FILE": str(clock), "FAKETIME_NO_CACHE": "1",
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
        }
    )  # fmt: skip
    names = os.listdir(mount.path / TARGET)
    for jump in ("+1000d", "-1000d", "+0"):
        clock.write_text(jump)
        assert os.listdir(mount.path / TARGET) == names, jump
        assert mounted.read_bytes() == local.read_bytes(), jump
        assert (mount.path / TARGET / ".query").read_text()
        assert os.listdir(mount.path / f"collections/CFHT/region/10.68{len(jump)}_41.27_0.1"), jump
    assert unforeseen(mount) == []
    days = {line[:10] for line in mount.log().splitlines() if " asking " in line}
    assert len(days) >= 3, days
