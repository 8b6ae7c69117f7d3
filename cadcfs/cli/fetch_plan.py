"""What `cadcfs fetch` is to bring: files below a mount, counted before the first byte is read."""

from __future__ import annotations

import errno
import os
import stat
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path

from cadcfs.errors import UserError

MADE = frozenset({"cutouts", "headers", "unpacked"})
"""Views whose files are made when they are opened: a stat would make each of them."""
DOCUMENTS = frozenset(
    {"metadata.vot", "metadata.csv", "urls.txt", "cutout-urls.txt", "about.txt", "README.txt",
     "footprints.png", "footprints.reg", "coverage.fits", "index.csv"}
)  # fmt: skip
"""What a result tells of itself; brought when it is named or matched."""
RESULT = "urls.txt"
"""What each result has, also one without files."""
MANY = frozenset({"region", "name"})
"""Directories whose entries hold a result for each collection."""
JUNK = "junk"
AGAIN = frozenset({errno.EAGAIN, errno.EBUSY})
PAUSE = 2.0
"""Seconds before a listing that needs longer is asked for again."""


@dataclass(frozen=True)
class Wanted:
    """One file; *target* below the destination, *size* None where it is not made yet."""

    path: Path
    target: Path
    size: int | None


@dataclass
class Plan:
    """What is to be brought, and what is left out."""

    files: list[Wanted] = field(default_factory=list)
    proprietary: int = 0
    junk: int = 0

    @property
    def size(self) -> int:
        """Bytes, as far as they are known."""
        return sum(file.size or 0 for file in self.files)

    @property
    def unmade(self) -> int:
        return sum(file.size is None for file in self.files)

    def check_targets(self) -> None:
        """`UserError` where two files would become one."""
        seen: dict[Path, Path] = {}
        for file in self.files:
            other = seen.setdefault(file.target, file.path)
            if other != file.path:
                raise UserError(f"{other} and {file.path} would both be {file.target}; fetch them "
                                "into different directories")  # fmt: skip


def planned(paths: Iterable[Path], match: str | None, wait: Callable[[str], None]) -> Plan:
    """The plan for *paths*: files, and the files of directories; *wait* hears of delays.

    Raises
    ------
    UserError
        A path that is not there or cannot be listed.
    """
    plan = Plan()
    for path in paths:
        try:
            _add(plan, path, match, wait)
        except OSError as exc:
            raise UserError(f"{path}: {exc.strerror}") from exc
    return plan


def _add(plan: Plan, path: Path, match: str | None, wait: Callable[[str], None]) -> None:
    if path.parent.name in MADE and not path.is_dir():
        plan.files.append(Wanted(path, Path(path.name), None))
        return
    mode = path.stat().st_mode
    if not stat.S_ISDIR(mode):
        _add_file(plan, path, Path(path.name))
        return
    before = len(plan.files) + plan.proprietary
    for directory, inner in _results(path, wait):
        _add_directory(plan, directory, inner, match, wait)
    is_empty = len(plan.files) + plan.proprietary == before and not plan.junk
    if is_empty and match is None and not (path / RESULT).exists():
        raise UserError(f"{path} has no files of its own; name a result, or a view of one")


def _results(path: Path, wait: Callable[[str], None]) -> Iterator[tuple[Path, Path]]:
    """*path* itself, or the results of its collections; with their places in the destination."""
    if path.parent.name in MANY and path.parent.parent.parent.name != "collections":
        for name in sorted(e.name for e in _entries(path, wait) if e.is_dir()):
            yield path / name, Path(name)
    else:
        yield path, Path()


def _add_directory(
    plan: Plan, directory: Path, inner: Path, match: str | None, wait: Callable[[str], None]
) -> None:
    for entry in _entries(directory, wait):
        if entry.is_dir(follow_symlinks=False):
            if entry.name == JUNK:
                plan.junk += sum(1 for _ in _entries(directory / JUNK, wait))
        elif fnmatchcase(entry.name, match) if match else entry.name not in DOCUMENTS:
            place = directory / entry.name
            if directory.name in MADE:
                plan.files.append(Wanted(place, inner / entry.name, None))
            else:
                _add_listed(plan, place, inner / entry.name)


def _add_file(plan: Plan, path: Path, target: Path) -> None:
    found = path.stat()
    if stat.S_IMODE(found.st_mode) == 0:
        plan.proprietary += 1
    else:
        plan.files.append(Wanted(path, target, found.st_size))


def _add_listed(plan: Plan, path: Path, target: Path) -> None:
    try:
        _add_file(plan, path, target)
    except OSError:
        # The others are brought all the same, and this one fails by its own name.
        plan.files.append(Wanted(path, target, None))


def _entries(directory: Path, wait: Callable[[str], None]) -> list[os.DirEntry[str]]:
    """A whole listing; one that needs longer than its time is waited for."""
    while True:
        try:
            with os.scandir(directory) as entries:
                return sorted(entries, key=lambda entry: entry.name)
        except OSError as exc:
            if exc.errno not in AGAIN:
                raise
            wait(f"{directory}: {exc.strerror}; waiting")
            time.sleep(PAUSE)
