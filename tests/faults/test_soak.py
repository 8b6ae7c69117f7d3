"""A long day of a few programs: nothing wrong, no error, nothing grows.

How long: CADCFS_SOAK_MINUTES for `make soak` (an hour if it is not set), a few seconds here.
"""

from __future__ import annotations

import os
import random
import statistics
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import combinations
from pathlib import Path

import pytest

from tests.mount.reader import pread
from tests.mount.test_endurance import pairs_of, resident
from tests.rig import Mount, Server

TARGET = "collections/CFHT/by-target/M31"
PLACES = (
    TARGET, f"{TARGET}/previews", "collections", "collections/DAO/by-target/NGC 7027",
    "collections/CFHT/by-target", "collections/CFHT/by-instrument",
    *(f"collections/CFHT/region/10.68{n}_41.27_0.{n + 1}" for n in range(6)),
    *(f"region/10.6{n}_41.27_0.2" for n in range(4)),
)  # fmt: skip
TEXTS = (f"{TARGET}/about.txt", f"{TARGET}/urls.txt", f"{TARGET}/headers/2376828p.fits.fz.txt")
TOLD = (".cadcfs/status", ".cadcfs/metrics", f"{TARGET}/.query", f"{TARGET}/.refresh")
WORKERS = 4
HOUR = 3600.0
SHORT = 4.0


@dataclass
class Day:
    """What the programs do, and what they found."""

    mount: Mount
    pairs: list[tuple[Path, Path]]
    pause: float
    done: Counter[str] = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)
    over: threading.Event = field(default_factory=threading.Event)
    _seen: dict[str, object] = field(default_factory=dict)

    def work(self, seed: int) -> None:
        choice = random.Random(seed)
        kinds: tuple[Callable[[random.Random], None], ...] = (
            self.list, self.stat, self.read, self.read, self.read_whole, self.text, self.told,
        )  # fmt: skip
        while not self.over.wait(choice.random() * self.pause):
            kind = choice.choice(kinds)
            try:
                kind(choice)
            except OSError as exc:
                self.wrong.append(f"{kind.__name__}: {exc}")
            self.done[kind.__name__] += 1

    def list(self, choice: random.Random) -> None:
        place = choice.choice(PLACES)
        self._same(place, sorted(os.listdir(self.mount.path / place)))

    def stat(self, choice: random.Random) -> None:
        mounted, local = choice.choice(self.pairs)
        if mounted.stat().st_size != local.stat().st_size:
            self.wrong.append(f"the size of {mounted}")

    def read(self, choice: random.Random) -> None:
        mounted, local = choice.choice(self.pairs)
        offset, size = choice.randrange(local.stat().st_size), choice.randrange(1, 200_000)
        if pread(str(mounted), offset, size) != pread(str(local), offset, size):
            self.wrong.append(f"{mounted} at {offset}")

    def read_whole(self, choice: random.Random) -> None:
        mounted, local = choice.choice(self.pairs)
        if mounted.read_bytes() != local.read_bytes():
            self.wrong.append(str(mounted))

    def text(self, choice: random.Random) -> None:
        place = choice.choice(TEXTS)
        self._same(place, (self.mount.path / place).read_bytes())

    def told(self, choice: random.Random) -> None:
        if not (self.mount.path / choice.choice(TOLD)).read_text():
            self.wrong.append("nothing is told")

    def _same(self, place: str, found: object) -> None:
        if self._seen.setdefault(place, found) != found:
            self.wrong.append(f"{place} is other than it was")


def slope(samples: list[tuple[float, float]]) -> float:
    """Growth in a second, as the median of all pairs: peaks count for little (Theil and Sen)."""
    pairs = combinations(samples, 2)
    return statistics.median((v - value) / (t - when) for (when, value), (t, v) in pairs)


def descriptors(pid: int) -> int:
    return len(os.listdir(f"/proc/{pid}/fd"))


@pytest.mark.parametrize(
    ("minutes", "pause"),
    [
        (SHORT / 60, 0.0),
        pytest.param(
            float(os.environ.get("CADCFS_SOAK_MINUTES", "60")), 0.2, marks=pytest.mark.soak
        ),
    ],
)
def test_a_day_of_many_programs(mount: Mount, server: Server, minutes: float, pause: float) -> None:
    mount.stop()
    mount.start("-o", f"cache_size={64 << 20}")
    pid = mount.pid()
    day = Day(mount, pairs_of(mount, server, 25)[1:], pause)
    # Each thing once before it is measured.
    first = random.Random(0)
    for place in PLACES:
        os.listdir(mount.path / place)
    for work in (day.read_whole, day.text, day.told):
        work(first)
    threads = [threading.Thread(target=day.work, args=(seed,)) for seed in range(WORKERS)]
    samples, opened, start = [], [], time.monotonic()
    for thread in threads:
        thread.start()
    done, progress = 0, start
    try:
        while (now := time.monotonic()) - start < minutes * 60 and not day.wrong:
            samples.append((now, float(resident(pid))))
            opened.append(descriptors(pid))
            if (count := day.done.total()) != done:
                done, progress = count, now
            assert now - progress < 30, "nothing goes on"
            day.over.wait(min(10.0, minutes * 3))
    finally:
        day.over.set()
        for thread in threads:
            thread.join(60)
    assert not day.wrong, day.wrong[:10]
    assert not any(thread.is_alive() for thread in threads)
    assert len(day.done) == 6
    settled = samples[len(samples) // 3 :]
    growth = slope(settled) * HOUR / 1e6
    sys.stderr.write(
        f"{minutes:.1f} min: {dict(day.done)}; {samples[0][1] / 1e6:.1f} MB at first, "
        f"{settled[0][1] / 1e6:.1f} after a third, {settled[-1][1] / 1e6:.1f} at the end, "
        f"{growth:+.2f} MB/h; {max(opened)} descriptors at most, {opened[-1]} at the end\n"
    )
    third = len(opened) // 3
    # A short day is over before all is open that may be.
    assert max(opened[-third:]) <= max(opened[:-third]) + (8 if minutes > 5 else 64)
    assert max(opened) < 200
    # What is short has hardly warmed up.
    assert settled[-1][1] - settled[0][1] < 16e6
    assert growth < 1.0 or minutes < 30
