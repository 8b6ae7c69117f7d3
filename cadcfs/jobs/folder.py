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
import os
import shutil
from pathlib import Path

QUERY = "query.adql"


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


def settle(file: Path) -> None:
    """Return when *file* and its name would survive a power cut."""
    for path in (file, file.parent):
        number = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            os.fsync(number)
        finally:
            os.close(number)
