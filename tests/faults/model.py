"""What a mount must show, whatever the network does: the names, sizes and bytes of some places."""

from __future__ import annotations

import errno
import os
import random
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

from tests.rig import Server

T = TypeVar("T")

RESULTS = (
    "collections/CFHT/by-target/M31",
    "collections/DAO/by-target/NGC 7027",
    "region/10.6847_41.2687_0.1/CFHT",
)
LISTS = ("", "collections", "collections/CFHT", "collections/DAO/by-target", *RESULTS)
TEXTS = ("urls.txt", "metadata.csv")
CIRCLE = "collections/CFHT/region/10.6847_41.2687_0.1{:04d}"
"""Circles that differ too little to hold anything else."""
NOBODY = "collections/CFHT/by-target/Nobody {}"
ALLOWED = frozenset({errno.EIO, errno.EAGAIN, errno.EHOSTUNREACH})
"""What may be answered while the network fails, or has lately."""
NO_PROGRESS = 20.0
"""Seconds without the end of any operation, after which all of them are taken to hang."""
LARGEST = 300_000
"""Bytes of a read."""


@dataclass
class Truth:
    """As it was seen without a fault, and as the archive's own files are."""

    names: dict[str, list[str]]
    sizes: dict[str, int]
    texts: dict[str, bytes]
    files: dict[str, bytes]
    circle: list[str]


def truth_of(root: Path, server: Server) -> Truth:
    """The truth; what is read comes from the archive's files, not through the mount."""
    names = {place: sorted(os.listdir(root / place)) for place in LISTS}
    sizes, files = {}, {}
    for place in RESULTS:
        for name in names[place]:
            path = f"{place}/{name}"
            local = [p for p in server.archive.files.rglob(name) if p.is_file()]
            if len(local) == 1 and (root / path).stat().st_mode & 0o444:
                files[path] = local[0].read_bytes()
                sizes[path] = len(files[path])
    texts = {f"{p}/{name}": (root / p / name).read_bytes() for p in RESULTS for name in TEXTS}
    assert files
    assert all((root / path).stat().st_size == size for path, size in sizes.items())
    return Truth(names, sizes, texts, files, sorted(os.listdir(root / CIRCLE.format(0))))


@dataclass
class Verdict:
    """What was wrong, how many operations there were, and the longest call of each kind."""

    wrong: list[str] = field(default_factory=list)
    failed: int = 0
    count: int = 0
    longest: dict[str, float] = field(default_factory=dict)


class Judge:
    """Does operations side by side, and compares what comes with the truth."""

    def __init__(self, root: Path, truth: Truth, threads: int = 12) -> None:
        self._root = root
        self._truth = truth
        self._threads = ThreadPoolExecutor(threads)
        self._circles = 0
        self.verdict = Verdict()
        self._kinds: dict[str, Callable[[random.Random], None]] = {
            "ls": self._list, "stat": self._stat, "read": self._read, "text": self._text,
            "circle": self._circle, "nobody": self._nobody, "df": self._df,
        }  # fmt: skip

    def close(self) -> None:
        self._threads.shutdown()

    def burst(self, seed: int, count: int) -> None:
        """*count* operations at once; AssertionError if none of them ends for long."""
        choice = random.Random(seed)
        kinds = [choice.choice(tuple(self._kinds)) for _ in range(count)]
        waiting: list[Future[None]] = [
            self._threads.submit(self._one, kind, random.Random(f"{seed} {number}"))
            for number, kind in enumerate(kinds)
        ]
        for future in waiting:
            before = self.verdict.count
            while not future.done():
                try:
                    future.result(timeout=NO_PROGRESS)
                except TimeoutError:
                    assert self.verdict.count > before, "nothing ends any more"
                    before = self.verdict.count
            future.result()

    def _one(self, kind: str, choice: random.Random) -> None:
        try:
            self._kinds[kind](choice)
        except OSError as exc:
            self.verdict.failed += 1
            if exc.errno not in ALLOWED:
                self.verdict.wrong.append(f"{kind}: {exc}")
        finally:
            self.verdict.count += 1

    def _timed(self, kind: str, call: Callable[..., T], *args: object) -> T:
        """A program's call: what has a deadline. An operation may be several."""
        start = time.monotonic()
        try:
            return call(*args)
        finally:
            took = time.monotonic() - start
            self.verdict.longest[kind] = max(took, self.verdict.longest.get(kind, 0))

    def _compare(self, what: str, found: object, true: object) -> None:
        if found != true:
            self.verdict.wrong.append(f"{what}: {found!r:.300} is not {true!r:.300}")

    def _list(self, choice: random.Random) -> None:
        place = choice.choice(LISTS)
        names = self._timed("ls", os.listdir, self._root / place)
        self._compare(place, sorted(names), self._truth.names[place])

    def _stat(self, choice: random.Random) -> None:
        path = choice.choice(sorted(self._truth.sizes))
        found = self._timed("stat", os.stat, self._root / path)
        self._compare(path, found.st_size, self._truth.sizes[path])

    def _read(self, choice: random.Random) -> None:
        path = choice.choice(sorted(self._truth.files))
        content = self._truth.files[path]
        offset, size = choice.randrange(len(content)), choice.randrange(1, LARGEST)
        file = self._timed("open", os.open, self._root / path, os.O_RDONLY)
        try:
            found = self._timed("read", os.pread, file, size, offset)
            os.posix_fadvise(file, 0, 0, os.POSIX_FADV_DONTNEED)
        finally:
            os.close(file)
        # A read that meets a fault after its first pages is short; the next one tells why.
        self._compare(f"{path} {offset}", found, content[offset : offset + len(found)])
        if not found:
            self.verdict.wrong.append(f"{path}: nothing at {offset}")

    def _text(self, choice: random.Random) -> None:
        path = choice.choice(sorted(self._truth.texts))
        with self._timed("open of a text", (self._root / path).open, "rb") as file:
            self._compare(path, self._timed("text", file.read), self._truth.texts[path])

    def _circle(self, choice: random.Random) -> None:
        path = self._root / CIRCLE.format(choice.randrange(1000))
        names = self._timed("circle", os.listdir, path)
        self._compare(str(path), sorted(names), self._truth.circle)

    def _nobody(self, choice: random.Random) -> None:
        try:
            self._timed("nobody", (self._root / NOBODY.format(choice.randrange(1000))).stat)
        except FileNotFoundError:
            return
        self.verdict.wrong.append("there is what nobody has")

    def _df(self, choice: random.Random) -> None:
        self._timed("df", os.statvfs, self._root)
