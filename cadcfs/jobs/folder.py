"""Where the files of a job lie.

    KEY/work        the query and what editors leave beside it, under the names that users see
    KEY/uploads     tables as they were written
    KEY/tables      the same as VOTables: what the archive gets
    KEY/result.*    the result, and what was made of it
    KEY.lock        held by the process that talks to the archive about this job

All methods block.
"""

from __future__ import annotations

import fcntl
import logging
import os
import shutil
import stat
import time
from pathlib import Path

log = logging.getLogger(__name__)

QUERY = "query.adql"
SHORT = ".adql"
"""Ending of files that make a job of their name and run it."""
LEFT_OVER = 24 * 3600.0
"""Seconds after which nobody writes any more what nobody has written to."""


class Folder:
    """The directory of one job."""

    def __init__(self, root: Path, key: int) -> None:
        self.path = root / str(key)
        self.work = self.path / "work"
        self.uploads = self.path / "uploads"
        self.tables = self.path / "tables"
        self._lock = root / f"{key}.lock"

    def lock(self) -> Lock:
        return Lock(self._lock)

    def make(self) -> None:
        for place in (self.work, self.uploads, self.tables):
            place.mkdir(mode=0o700, parents=True, exist_ok=True)

    def result(self, ending: str) -> Path:
        return self.path / f"result.{ending}"

    def write_query(self, adql: str) -> None:
        (self.work / QUERY).write_text(adql)

    def written_tables(self) -> dict[str, bytes]:
        """The uploads as VOTables, by table name."""
        if not self.tables.is_dir():
            return {}
        return {file.stem: file.read_bytes() for file in sorted(self.tables.glob("*.vot"))}

    def remove(self) -> None:
        shutil.rmtree(self.path, ignore_errors=True)

    def remove_lock(self) -> None:
        self._lock.unlink(missing_ok=True)


class Lock:
    """Held by the one process that may talk to the archive about a job."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._number: int | None = None

    def acquire(self) -> bool:
        """True if it is held now; the kernel lets go of it when the process dies."""
        if self._number is not None:
            return True
        self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        number = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(number, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(number)
            return False
        self._number = number
        return True

    def release(self) -> None:
        if self._number is not None:
            os.close(self._number)
            self._number = None


def was_run(query: Path) -> bool:
    """True for a query of the short form that has made its job and run it."""
    try:
        return not query.stat().st_mode & stat.S_IWUSR
    except OSError:
        return False


def mark_run(query: Path) -> None:
    """On disk, so that it is known after a remount, too."""
    query.chmod(0o400)


def not_run(short_forms: Path) -> list[str]:
    """Names of jobs whose query of the short form was not run."""
    return [file.stem for file in short_forms.glob(f"*{SHORT}") if not was_run(file)]


def drop_leftovers(root: Path) -> None:
    """Remove what processes that were killed have left behind below *root*."""
    before = time.time() - LEFT_OVER
    for pattern in ("query-*", "*/query-*", "*/*.part", "*/tables/*.part"):
        for path in root.glob(pattern):
            if path.lstat().st_mtime > before:
                continue
            log.info("removing %s, which was left behind", path)
            if path.is_dir():
                shutil.rmtree(path, ignore_errors=True)
            else:
                path.unlink(missing_ok=True)


def settle(file: Path) -> None:
    """Return when *file* and its name would survive a power cut."""
    for path in (file, file.parent):
        number = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            os.fsync(number)
        finally:
            os.close(number)
