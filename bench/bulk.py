"""Rows 1-6: one large file from front to back, cold, again, and from the cache on disk."""

from __future__ import annotations

import math
import subprocess
from collections import defaultdict
from pathlib import Path

from bench import mounts
from bench.data import COLLECTION
from bench.measure import (
    ROUNDS,
    Row,
    curl,
    dd,
    drop_pages,
    drop_pages_of_mount,
    median,
    run,
    spread,
    timed,
)
from bench.origin import Origin

BIG = f"/cadc:{COLLECTION}/big.bin"

Times = dict[str, list[float]]


def measure(origin: Origin, where: Path, _: Path) -> list[Row]:
    """All rounds, each tool in turn in each, so that a slow moment hits all alike."""
    times: Times = defaultdict(list)
    for _round in range(ROUNDS):
        _floors(origin, where, times)
        for mode in ("off", "full"):
            with mounts.rclone(origin, where, mode) as mounted:
                _read_cold(mounted, f"rclone {mode}", times)
        _cadcfs(origin, where, times)
    with mounts.httpdirfs(origin, where) as mounted:
        try:
            _read_cold(mounted, "httpdirfs", times)
        except subprocess.CalledProcessError:
            # It ends by itself where it likes an answer's headers not.
            times["httpdirfs cold"].append(math.nan)
    return _rows(times)


def _floors(origin: Origin, where: Path, times: Times) -> None:
    target = where / "curl.out"
    times["curl http"].append(timed(lambda: curl(origin.url() + BIG, target)))
    times["curl https"].append(timed(lambda: curl(origin.url(tls=True) + BIG, target)))
    dd(target)
    times["page cache"].append(timed(lambda: dd(target)))
    times["md5sum"].append(timed(lambda: run("sh", "-c", f"md5sum {target} >/dev/null")))
    target.unlink()


def _read_cold(mounted: mounts.Mounted, name: str, times: Times, observation: str = "") -> Path:
    path = mounted.file("big.bin", observation)
    path.stat()
    before = mounted.cpu()
    times[f"{name} cold"].append(timed(lambda: dd(path)))
    times[f"{name} cpu"].append(mounted.cpu() - before)
    times[f"{name} again"].append(timed(lambda: dd(path)))
    return path


def _cadcfs(origin: Origin, where: Path, times: Times) -> None:
    with mounts.cadcfs(origin, where) as mounted:
        _read_cold(mounted, "cadcfs http", times)
    cached = max((where / "cache-cadcfs").rglob("*.data"), key=lambda path: path.stat().st_size)
    drop_pages(cached)
    times["native cold"].append(timed(lambda: dd(cached)))
    drop_pages(cached)
    with mounts.cadcfs(origin, where, keep=True) as mounted:
        path = mounted.file("big.bin")
        path.stat()
        times["warm"].append(timed(lambda: dd(path)))
        drop_pages_of_mount(path)
    with mounts.cadcfs(origin, where, tls=True) as mounted:
        _read_cold(mounted, "cadcfs https", times)
    with mounts.cadcfs(origin, where) as mounted:
        _read_cold(mounted, "cadcfs summed", times, "summed")


def _rows(times: Times) -> list[Row]:
    m = {name: median(values) for name, values in times.items()}
    http = m["cadcfs http cold"] / m["curl http"]
    against = m["cadcfs http cold"] / m["rclone full cold"]
    https = m["cadcfs https cold"] / m["curl https"]
    warm = m["native cold"] / m["warm"]
    again = m["page cache"] / m["cadcfs http again"]
    slower = max(m["cadcfs http cold"], m["md5sum"])
    summed = m["cadcfs summed cold"] / slower
    more = m["cadcfs summed cpu"] - m["cadcfs http cpu"]
    peers = ", ".join(
        f"{name} " + ("failed" if math.isnan(cold) else f"{cold / m['curl http']:.2f}x")
        for name in ("rclone off", "rclone full", "httpdirfs")
        for cold in [m[f"{name} cold"]]
    )
    cpu = f"{m['cadcfs http cpu']:.2f} / {m['cadcfs https cpu']:.2f} s"
    return [
        Row("1", "cold sequential, http, against curl", "<= 1.5x",
            f"{http:.2f}x, {spread(times['cadcfs http cold'])}", peers,
            f"1.0, {spread(times['curl http'])}", http <= 1.5),
        Row("2", "cold sequential against rclone full", "<= 0.6x", f"{against:.2f}x",
            f"1.0, {spread(times['rclone full cold'])}", "-", against <= 0.6),
        Row("3", "cold sequential, https, against curl", "<= 2x",
            f"{https:.2f}x, {spread(times['cadcfs https cold'])}", "-",
            f"1.0, {spread(times['curl https'])}", https <= 2),
        Row("4", "daemon CPU per GiB, cold, http / https", "<= 1.5 / 2.0 s", cpu,
            f"rclone off {m['rclone off cpu']:.2f} s, full {m['rclone full cpu']:.2f} s", "-",
            m["cadcfs http cpu"] <= 1.5 and m["cadcfs https cpu"] <= 2.0),
        Row("4b", "with a checksum: time against the slower of row 1 and md5sum; more CPU",
            "<= 1.25x; <= 1.5 s", f"{summed:.2f}x; {more:.2f} s", "-",
            f"md5sum {m['md5sum']:.2f} s", summed <= 1.25 and more <= 1.5),
        Row("5", "warm from the cache on disk, against a native cold read, speed", ">= 0.7x",
            f"{warm:.2f}x, {spread(times['warm'])}", "-",
            f"1.0, {spread(times['native cold'])}", warm >= 0.7),
        Row("6", "second read against the native page cache, speed", ">= 0.95x",
            f"{again:.2f}x, {spread(times['cadcfs http again'])}",
            f"rclone full {m['page cache'] / m['rclone full again']:.2f}x",
            f"1.0, {spread(times['page cache'])}", again >= 0.95),
    ]  # fmt: skip
