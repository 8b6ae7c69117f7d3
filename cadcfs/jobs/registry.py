"""The jobs on disk: one SQLite table, written through before a call returns.

A row also is the journal: its *wish* is what the user told the job to do (RUN, ABORT, DELETE) and
the archive has not heard yet, so that nothing is forgotten by a crash in between. A job is made
at the archive without being run, its id is written down, and only then it is run: a crash leaves
at worst a job over there that nobody runs and that the archive destroys, never one that runs
unknown to us or twice.

Several processes may share a registry: the mount and the command. All methods block.
"""

from __future__ import annotations

import logging
import sqlite3
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import fields
from pathlib import Path

from cadcfs.errors import BadRequest, Exists, NotFound, UserError
from cadcfs.jobs.record import ENDED, Job, Phase, Wish

log = logging.getLogger(__name__)

SCHEMA = """
CREATE TABLE IF NOT EXISTS jobs (
    key INTEGER PRIMARY KEY AUTOINCREMENT,
    service TEXT NOT NULL,
    owner TEXT NOT NULL,
    name TEXT NOT NULL,
    is_ours INTEGER NOT NULL,
    archive_id TEXT,
    phase TEXT NOT NULL,
    wish TEXT,
    adql TEXT,
    maxrec INTEGER,
    document TEXT,
    error TEXT,
    created REAL NOT NULL,
    changed REAL NOT NULL
);
CREATE UNIQUE INDEX IF NOT EXISTS names ON jobs (service, owner, name)
    WHERE wish IS NOT 'DELETE';
"""
_ENDED = ", ".join(f"'{phase}'" for phase in sorted(ENDED))
COLUMNS = ", ".join(field.name for field in fields(Job))
BUSY_TIME = 10.0
"""Seconds to wait for another process that writes."""


class Registry:
    """The jobs of one service and one identity, *owner*."""

    def __init__(self, file: Path, service: str, owner: str) -> None:
        self._service, self.owner = service, owner
        self._lock = threading.Lock()
        try:
            self._database = _opened_or_anew(file)
        except (sqlite3.OperationalError, OSError) as exc:
            # Not damage: the disk is full, or cannot be written.
            if file.exists():
                raise UserError(
                    f"the list of jobs {file} cannot be opened ({exc}); make room on that disk, or "
                    "name another directory with --cache-dir"
                ) from exc
            log.warning("no job can be made here: %s cannot be written (%s)", file, exc)
            self._database = _opened(":memory:")

    def close(self) -> None:
        with self._lock:
            self._database.close()

    def version(self) -> int:
        """Another number after another process has changed something."""
        with self._lock:
            found: int = self._database.execute("PRAGMA data_version").fetchone()[0]
        return found

    def jobs(self) -> list[Job]:
        """The jobs made here, by name."""
        found = self._select("is_ours = 1 AND wish IS NOT 'DELETE'")
        return sorted(found, key=lambda job: job.name)

    def unfinished(self) -> list[Job]:
        """Jobs with something to tell the archive or to learn from it, also those removed."""
        return self._select(f"wish IS NOT NULL OR phase NOT IN ({_ENDED}, 'PENDING')")

    def find(self, name: str) -> Job | None:
        """The job of this name, else the one that the archive knows under this id."""
        found = self._select("name = ? AND wish IS NOT 'DELETE'", name)
        if not found:
            found = self._select("archive_id = ? AND wish IS NOT 'DELETE'", name)
        return found[0] if found else None

    def get(self, key: int) -> Job:
        """The job under *key*, also one that is being removed; `NotFound` when it is gone."""
        found = self._select("key = ?", key)
        if not found:
            raise NotFound("this job was removed")
        return found[0]

    def add(self, name: str, **values: object) -> Job:
        """A new job, with other columns as *values* say; `Exists` if the name is taken."""
        now = time.time()
        row = {
            "service": self._service, "owner": self.owner, "name": name, "is_ours": True,
            "phase": Phase.PENDING, "created": now, "changed": now,
        } | values  # fmt: skip
        marks = ", ".join("?" for _ in row)
        with self._writing() as database:
            try:
                cursor = database.execute(
                    f"INSERT INTO jobs ({', '.join(row)}) VALUES ({marks})", tuple(row.values())
                )
            except sqlite3.IntegrityError as exc:
                raise Exists(f"there is a job {name} already") from exc
        assert cursor.lastrowid is not None
        return self.get(cursor.lastrowid)

    def change(self, key: int, **values: object) -> Job:
        """Set columns of the job under *key*; returns it as it is now."""
        assert values.keys() <= {field.name for field in fields(Job)}
        names = ", ".join(f"{name} = ?" for name in values)
        with self._writing() as database:
            try:
                database.execute(
                    f"UPDATE jobs SET {names}, changed = ? WHERE key = ?",
                    (*values.values(), time.time(), key),
                )
            except sqlite3.IntegrityError as exc:
                raise Exists(f"there is a job {values.get('name')} already") from exc
        return self.get(key)

    def run(self, key: int) -> Job:
        """Tell the job to run; `BadRequest` where it cannot."""
        with self._writing() as database:
            done = database.execute(
                "UPDATE jobs SET wish = 'RUN', phase = 'QUEUED', changed = ? WHERE key = ?"
                " AND phase = 'PENDING' AND wish IS NULL AND (adql IS NOT NULL OR is_ours = 0)",
                (time.time(), key),
            ).rowcount
        job = self.get(key)
        if not done:
            reason = "has no query" if job.phase is Phase.PENDING else f"was run: {job.phase}"
            raise BadRequest(f"{job.name}: it cannot be run, for it {reason}")
        return job

    def abort(self, key: int) -> Job:
        """Tell the job to stop; `BadRequest` once it has ended."""
        with self._writing() as database:
            done = database.execute(
                "UPDATE jobs SET changed = ?,"
                " wish = CASE WHEN phase = 'PENDING' AND archive_id IS NULL THEN NULL"
                " ELSE 'ABORT' END,"
                " phase = CASE WHEN phase = 'PENDING' AND archive_id IS NULL THEN 'ABORTED'"
                " ELSE phase END"
                f" WHERE key = ? AND wish IS NOT 'DELETE' AND phase NOT IN ({_ENDED})",
                (time.time(), key),
            ).rowcount
        job = self.get(key)
        if not done:
            raise BadRequest(f"{job.name}: it cannot be aborted, for it has ended: {job.phase}")
        return job

    def heard(self, key: int, wish: Wish, **values: object) -> Job:
        """The archive has heard *wish*; another that came meanwhile stays."""
        with self._writing() as database:
            database.execute(
                "UPDATE jobs SET wish = NULLIF(wish, ?) WHERE key = ?", (wish.value, key)
            )
        return self.change(key, **values)

    def forget(self, key: int) -> None:
        with self._writing() as database:
            database.execute("DELETE FROM jobs WHERE key = ?", (key,))

    def _select(self, condition: str, *values: object) -> list[Job]:
        with self._lock:
            rows = self._database.execute(
                f"SELECT {COLUMNS} FROM jobs WHERE service = ? AND owner = ? AND ({condition})",
                (self._service, self.owner, *values),
            ).fetchall()
        return [_job(row) for row in rows]

    @contextmanager
    def _writing(self) -> Iterator[sqlite3.Connection]:
        """One transaction; on the platter when it ends."""
        with self._lock:
            self._database.execute("BEGIN IMMEDIATE")
            try:
                yield self._database
                self._database.execute("COMMIT")
            except BaseException:
                self._database.execute("ROLLBACK")
                raise


def _opened_or_anew(file: Path) -> sqlite3.Connection:
    """The database in *file*; one that is damaged is set aside."""
    file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    try:
        return _opened(file)
    except sqlite3.OperationalError:
        raise
    except sqlite3.DatabaseError as exc:
        aside = file.with_suffix(f".damaged-{int(time.time())}")
        log.warning("the list of jobs cannot be read (%s); it is set aside as %s", exc, aside)
        file.rename(aside)
        for companion in ("-wal", "-shm"):
            Path(f"{file}{companion}").unlink(missing_ok=True)
        return _opened(file)


def _opened(file: Path | str) -> sqlite3.Connection:
    database = sqlite3.connect(
        file, timeout=BUSY_TIME, isolation_level=None, check_same_thread=False
    )
    try:
        database.execute("PRAGMA journal_mode = WAL")
        # With WAL, FULL is what makes a commit outlive a power cut.
        database.execute("PRAGMA synchronous = FULL")
        database.executescript(SCHEMA)
    except sqlite3.DatabaseError:
        database.close()
        raise
    return database


def _job(row: tuple[object, ...]) -> Job:
    values = dict(zip((field.name for field in fields(Job)), row, strict=True))
    return Job(
        **values  # type: ignore[arg-type]
        | {
            "is_ours": bool(values["is_ours"]),
            "phase": Phase(str(values["phase"])),
            "wish": Wish(str(values["wish"])) if values["wish"] else None,
        }
    )
