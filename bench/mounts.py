"""Each tool's mount of the same origin, in turn, with what it costs."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from bench.data import COLLECTION
from bench.origin import Origin

CADCFS = (sys.executable, "-m", "cadcfs")
TICKS = os.sysconf("SC_CLK_TCK")


@dataclass
class Mounted:
    """A mount: where its files are, and the process that serves it."""

    path: Path
    pid: int
    cache: Path

    def file(self, name: str, observation: str = "") -> Path:
        """The path of a data file; cadcfs shows it under its observation."""
        inside = self.path / "collections" / COLLECTION / "by-observation"
        if inside.parent.parent.is_dir():
            return inside / (observation or name.partition(".")[0]) / name
        return self.path / COLLECTION / name

    def cpu(self) -> float:
        """Seconds of CPU that the daemon has taken."""
        words = Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(words[11]) + int(words[12])) / TICKS

    def memory(self) -> tuple[int, int]:
        """Resident bytes of the daemon now and at most."""
        status = Path(f"/proc/{self.pid}/status").read_text()
        now, most = (
            re.search(rf"^{name}:\s+(\d+) kB", status, re.MULTILINE) for name in ("VmRSS", "VmHWM")
        )
        assert now
        assert most
        return int(now[1]) * 1024, int(most[1]) * 1024


@contextmanager
def cadcfs(
    origin: Origin, where: Path, *, tls: bool = False, files_url: str = "", keep: bool = False,
    options: str = "", command: tuple[str, ...] = CADCFS,
) -> Iterator[Mounted]:  # fmt: skip
    path, cache = _fresh(where, "cadcfs", keep=keep)
    settings = f"tap_url={origin.tap_url},files_url={files_url or origin.url(tls=tls)}"
    environ = os.environ | {"SSL_CERT_FILE": str(origin.certificate)}
    subprocess.run(
        [*command, "mount", "--cache-dir", cache, "-o", f"{settings}{options}", path],
        check=True, env=environ,
    )  # fmt: skip
    try:
        status = (path / ".cadcfs" / "status").read_text()
        pid = re.search(r"^process: *(\d+)$", status, re.MULTILINE)
        assert pid
        yield Mounted(path, int(pid[1]), cache)
    finally:
        subprocess.run([*CADCFS, "umount", path], check=True)
        _wait_for_end(int(pid[1]) if pid else 0)


@contextmanager
def rclone(origin: Origin, where: Path, mode: str, *, keep: bool = False) -> Iterator[Mounted]:
    path, cache = _fresh(where, f"rclone-{mode}", keep=keep)
    process = subprocess.Popen(
        ["rclone", "mount", ":http:", path, "--http-url", origin.url(), "--read-only",
         "--vfs-cache-mode", mode, "--cache-dir", cache, "--config", "/dev/null"],
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    with _unmounting(process, path):
        yield Mounted(path, process.pid, cache)


@contextmanager
def httpdirfs(origin: Origin, where: Path, *, keep: bool = False) -> Iterator[Mounted]:
    path, cache = _fresh(where, "httpdirfs", keep=keep)
    process = subprocess.Popen(
        # Its check wants Accept-Ranges in every answer; nginx says it in whole ones alone.
        ["httpdirfs", "-f", "--no-range-check", "--cache", "--cache-location", cache,
         f"{origin.url()}/", path],
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    with _unmounting(process, path):
        yield Mounted(path, process.pid, cache)


@contextmanager
def passthrough(program: Path, where: Path) -> Iterator[Path]:
    """libfuse's own example in C, which passes all on to the file system below."""
    path, _ = _fresh(where, "passthrough", keep=False)
    process = subprocess.Popen([program, "-f", path], stderr=subprocess.DEVNULL)
    with _unmounting(process, path):
        yield path


def _fresh(where: Path, name: str, *, keep: bool) -> tuple[Path, Path]:
    path, cache = where / f"mount-{name}", where / f"cache-{name}"
    path.mkdir(exist_ok=True)
    if not keep:
        shutil.rmtree(cache, ignore_errors=True)
    cache.mkdir(exist_ok=True)
    return path, cache


@contextmanager
def _unmounting(process: subprocess.Popen[bytes], path: Path) -> Iterator[None]:
    try:
        for _ in range(200):
            if path.is_mount():
                break
            time.sleep(0.05)
        else:
            raise TimeoutError(f"{path} is not mounted")
        yield
    finally:
        subprocess.run(["fusermount3", "-uz", path], check=False)
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(10)


def _wait_for_end(pid: int) -> None:
    for _ in range(200):
        if not Path(f"/proc/{pid}").exists():
            return
        time.sleep(0.05)
