"""Where a read's time goes: CPU by thread, and where threads were, while a file is read.

python -m bench.profile [sequential|summed|again|random|scattered|headers|listing|listed] [--tls]

*summed* is a file with a checksum, *scattered* are cold reads of 64 KiB, *listing* is the first
`ls -l` of a long directory and *listed* another one.
"""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
import time
from collections import defaultdict
from pathlib import Path

from bench import data
from bench.measure import drop_pages_of_mount
from bench.mounts import CADCFS, TICKS
from bench.origin import Origin

SHOWN = 12


def thread_times(pid: int) -> dict[str, tuple[float, float]]:
    """User and system seconds of each kind of thread."""
    found: dict[str, list[float]] = defaultdict(lambda: [0.0, 0.0])
    for task in Path(f"/proc/{pid}/task").iterdir():
        words = (task / "stat").read_text()
        fields = words.rpartition(")")[2].split()
        name = "event loop" if task.name == str(pid) else (task / "comm").read_text().strip()
        found[name][0] += int(fields[11]) / TICKS
        found[name][1] += int(fields[12]) / TICKS
    return {name: (user, system) for name, (user, system) in found.items()}


def read(path: Path, pattern: str) -> None:
    if pattern == "headers":
        for number in range(data.HEADERS):
            with (path.parents[1] / "headers" / f"h{number:04}.fits").open("rb") as file:
                assert len(file.read(28_800)) == 28_800
        return
    if pattern in ("listing", "listed"):
        directory = path.parents[1] / f"list{data.LISTED[-1]}"
        subprocess.run(["ls", "-l", directory], check=True, stdout=subprocess.DEVNULL)
        return
    if pattern == "scattered":
        rng = random.Random(1)
        with path.open("rb", buffering=0) as file:
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_RANDOM)
            for _ in range(2000):
                os.pread(file.fileno(), 65_536, rng.randrange(data.GIB - 65_536))
        return
    if pattern == "random":
        rng = random.Random(1)
        with path.open("rb", buffering=0) as file:
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_RANDOM)
            for _ in range(20_000):
                os.pread(file.fileno(), 4096, rng.randrange(data.GIB // 4096) * 4096)
        return
    subprocess.run(["dd", f"if={path}", "of=/dev/null", "bs=1M", "status=none"], check=True)


def main() -> None:
    words = [word for word in sys.argv[1:] if not word.startswith("-")]
    pattern = words[0] if words else "sequential"
    where = Path(".bench").absolute()
    data.make(where / "data")
    with Origin(where / "data", where, data.entries(where / "data")) as origin:
        profile(origin, where, pattern, tls="--tls" in sys.argv)


def profile(origin: Origin, where: Path, pattern: str, *, tls: bool) -> None:
    samples, path, cache = where / "samples.json", where / "mount-profile", where / "cache-profile"
    subprocess.run(["rm", "-rf", cache, samples], check=True)
    path.mkdir(exist_ok=True)
    settings = f"tap_url={origin.tap_url},files_url={origin.url(tls=tls)}"
    environ = {"SAMPLES": str(samples), "SSL_CERT_FILE": str(origin.certificate)}
    process = subprocess.Popen(
        [sys.executable, "-m", "bench.sampled", "mount", "--foreground",
         "--cache-dir", cache, "-o", settings, path],
        env=os.environ | environ, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    while not path.is_mount():
        time.sleep(0.05)
    try:
        observation = "summed" if pattern == "summed" else "big"
        file = path / "collections" / data.COLLECTION / "by-observation" / observation / "big.bin"
        file.stat()
        if pattern == "headers":
            list((file.parents[1] / "headers").iterdir())
        elif pattern == "listed":
            read(file, pattern)
        elif pattern in ("again", "random"):
            read(file, "sequential")
        if pattern == "random":
            drop_pages_of_mount(file)
        before, start = thread_times(process.pid), time.perf_counter()
        read(file, pattern)
        taken, after = time.perf_counter() - start, thread_times(process.pid)
        time.sleep(1)
        _show(pattern, taken, before, after, json.loads(samples.read_text()))
    finally:
        subprocess.run([*CADCFS, "umount", path], check=True)
        process.wait(20)


def _show(
    pattern: str,
    taken: float,
    before: dict[str, tuple[float, float]],
    after: dict[str, tuple[float, float]],
    samples: dict[str, dict[str, int]],
) -> None:
    print(f"{pattern}: {taken:.2f} s")
    for name, (user, system) in sorted(after.items()):
        old_user, old_system = before.get(name, (0.0, 0.0))
        print(f"  {name:20} user {user - old_user:.2f} s  system {system - old_system:.2f} s")
    for name, places in samples.items():
        print(f"  {name}: {sum(places.values())} samples")
        for place, count in sorted(places.items(), key=lambda item: -item[1])[:SHOWN]:
            print(f"    {count:6} {place}")


if __name__ == "__main__":
    main()
