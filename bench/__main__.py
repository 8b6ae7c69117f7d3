"""The comparison: cadcfs, its peers and the floor on one origin, in one run.

    python -m bench [GROUP ...]      groups: bulk patterns wan listing; all of them by default

Prints the table and writes it to bench/results.md with the machine and the versions. Ratios of
one run count; times of different runs do not compare.
"""

from __future__ import annotations

import importlib.metadata
import os
import platform
import subprocess
import sys
import time
from pathlib import Path

from bench import bulk, data, listing, mounts, patterns
from bench.data import COLLECTION
from bench.measure import ROUNDS, Row, curl, dd, median, timed
from bench.origin import Origin

WHERE = Path(".bench")
RESULTS = Path(__file__).with_name("results.md")
PROFILES = Path(__file__).with_name("missed.md")
"""What profiles say of goals that are not met; written by hand, shown below the table."""


def over_the_wan(origin: Origin, where: Path, data: Path) -> list[Row]:
    """Row 16: a quarter of a GiB through the model of a long way."""
    proxy = subprocess.Popen(
        [sys.executable, "-m", "bench.wan", str(origin.plain_port)],
        stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert proxy.stdout is not None
    try:
        url = f"http://127.0.0.1:{proxy.stdout.readline().strip()}"
        ours, floors = [], []
        for _ in range(ROUNDS):
            target = where / "curl.out"
            floors.append(timed(lambda: curl(f"{url}/cadc:{COLLECTION}/wan.bin", target)))  # noqa: B023
            with mounts.cadcfs(origin, where, files_url=url) as mounted:
                path = mounted.file("wan.bin")
                path.stat()
                ours.append(timed(lambda: dd(path)))  # noqa: B023
    finally:
        proxy.terminate()
        proxy.wait(10)
        proxy.stdout.close()
    gain = median(floors) / median(ours)
    rate = data_size(data) / median(floors) / 1e6
    return [
        Row("16", "50 ms round trip, 2 MiB window: cold sequential against one curl", ">= 2x",
            f"{gain:.2f}x ({median(ours):.2f} s)", "rclone 1.0x by default",
            f"1.0 ({median(floors):.2f} s, {rate:.0f} MB/s)", gain >= 2)
    ]  # fmt: skip


def data_size(data: Path) -> int:
    return (data / f"cadc:{COLLECTION}" / "wan.bin").stat().st_size


GROUPS = {
    "bulk": bulk.measure,
    "patterns": patterns.measure,
    "wan": over_the_wan,
    "listing": listing.measure,
}


def main() -> None:
    where = WHERE.absolute()
    where.mkdir(exist_ok=True)
    # An installed program is compiled once, not at each start.
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    began, load = time.time(), os.getloadavg()[0]
    data.make(where / "data")
    rows: list[Row] = []
    with Origin(where / "data", where, data.entries(where / "data")) as origin:
        for name in sys.argv[1:] or GROUPS:
            for row in GROUPS[name](origin, where, where / "data"):
                rows.append(row)
                print(f"{row.number:>3}  {verdict(row):6}  {row.what}: {row.cadcfs}", end=" ")
                print(f"(goal {row.goal}; peers {row.peers}; floor {row.floor})", flush=True)
    seconds = time.time() - began
    text = report(rows, seconds, (load, os.getloadavg()[0]))
    if not sys.argv[1:]:
        RESULTS.write_text(text)
    print(text)


def verdict(row: Row) -> str:
    return "met" if row.met else "MISSED"


def report(rows: list[Row], seconds: float, loads: tuple[float, float]) -> str:
    """The table in Markdown, with the machine and the versions."""
    lines = [
        "# Results of `make bench`",
        "",
        (
            f"{time.strftime('%Y-%m-%d')}, {seconds / 60:.0f} minutes on {machine()}. "
            f"Load average {loads[0]:.1f} before and {loads[1]:.1f} after. Medians of {ROUNDS}; "
            "ratios of one run count, times of different runs do not compare."
        ),
        "",
        f"Versions: {', '.join(versions())}.",
        "",
        "| # | measure | goal | cadcfs | peers | floor | |",
        "|---|---|---|---|---|---|---|",
    ]
    lines += [
        f"| {r.number} | {r.what} | {r.goal} | {r.cadcfs} | {r.peers} | {r.floor} | {verdict(r)} |"
        for r in sorted(rows, key=lambda r: (int(r.number.rstrip("b")), r.number))
    ]
    if PROFILES.exists():
        lines += ["", PROFILES.read_text().rstrip()]
    return "\n".join(lines) + "\n"


def machine() -> str:
    cpu = next(
        (line.partition(":")[2].strip() for line in Path("/proc/cpuinfo").read_text().splitlines()
         if line.startswith("model name")), platform.machine(),
    )  # fmt: skip
    memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / (1 << 30)
    return f"{os.cpu_count()} x {cpu}, {memory:.0f} GiB, Linux {platform.release()}"


def versions() -> list[str]:
    found = [f"Python {platform.python_version()}"]
    found += [
        f"{name} {importlib.metadata.version(name)}"
        for name in ("pyfuse3", "trio", "urllib3", "astropy", "fsspec")
    ]
    for command in (("nginx", "-v"), ("rclone", "version"), ("httpdirfs", "--version"),
                    ("curl", "--version")):  # fmt: skip
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        words = (done.stdout + done.stderr).replace("HTTPDirFS", "\nHTTPDirFS")
        line = next((w for w in words.splitlines() if command[0] in w.lower()), "")
        found.append(" ".join(line.replace("nginx version: ", "").split()[:3]))
    return found


if __name__ == "__main__":
    main()
