"""The index of the block cache: files, what each takes on disk, when it was last used.

SQLite, shared by all processes that use one cache directory. It is touched when a file is made,
and in batches; never per block, never at start. What a process may still write is granted ahead
and counts as used, so the sum is never less than what is on disk.
"""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

_VERSION = 2
_SCHEMA = """
CREATE TABLE files (
    name TEXT PRIMARY KEY, key TEXT NOT NULL, size INTEGER NOT NULL, md5 TEXT,
    bytes INTEGER NOT NULL, used REAL NOT NULL, in_use INTEGER NOT NULL, layout TEXT
) WITHOUT ROWID;
CREATE INDEX files_used ON files (used, name);
CREATE INDEX files_key ON files (key);
CREATE TABLE writers (id TEXT PRIMARY KEY, granted INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE total (bytes INTEGER NOT NULL);
INSERT INTO total VALUES (0);
CREATE TRIGGER files_more AFTER INSERT ON files
    BEGIN UPDATE total SET bytes = bytes + new.bytes; END;
CREATE TRIGGER files_less AFTER DELETE ON files
    BEGIN UPDATE total SET bytes = bytes - old.bytes; END;
CREATE TRIGGER files_other AFTER UPDATE OF bytes ON files
    BEGIN UPDATE total SET bytes = bytes + new.bytes - old.bytes; END;
"""


class ForeignFormatError(Exception):
    """The index was written by another version of this program."""


@dataclass(frozen=True)
class Entry:
    """One file of the cache; *taken* is what it takes on disk, in bytes."""

    name: str
    key: str
    size: int
    md5: str | None
    taken: int
    used: float
    layout: str | None = None


class Index:
    """Blocking; for one thread at a time.

    Raises
    ------
    sqlite3.Error
        From any method: the disk is full, or the file is no database any more.
    """

    def __init__(self, path: Path) -> None:
        self._database = sqlite3.connect(
            path, timeout=30, isolation_level=None, check_same_thread=False
        )
        try:
            self._prepare()
        except BaseException:
            self._database.close()
            raise

    def _prepare(self) -> None:
        self._database.execute("PRAGMA journal_mode = WAL")
        self._database.execute("PRAGMA synchronous = NORMAL")
        self._database.execute("PRAGMA wal_autocheckpoint = 64")
        self._database.execute("PRAGMA journal_size_limit = 262144")
        with self.transaction():
            (version,) = self._database.execute("PRAGMA user_version").fetchone()
            if version == 0:
                for statement in _statements(_SCHEMA):
                    self._database.execute(statement)
                self._database.execute(f"PRAGMA user_version = {_VERSION}")
            elif version != _VERSION:
                raise ForeignFormatError(f"format {version}")
            # Beside the format: who does not know of pins evicts what is pinned, and no more.
            self._database.execute(
                "CREATE TABLE IF NOT EXISTS pins (name TEXT PRIMARY KEY) WITHOUT ROWID"
            )

    @contextlib.contextmanager
    def transaction(self) -> Iterator[None]:
        """All or nothing, and alone among all processes."""
        self._database.execute("BEGIN IMMEDIATE")
        try:
            yield
        except BaseException:
            with contextlib.suppress(sqlite3.Error):
                self._database.execute("ROLLBACK")
            raise
        self._database.execute("COMMIT")

    def used(self) -> int:
        """Bytes that files take and that writers were granted."""
        (used,) = self._database.execute(
            "SELECT bytes + (SELECT COALESCE(SUM(granted), 0) FROM writers) FROM total"
        ).fetchone()
        return int(used)

    def put(self, entries: Iterable[Entry], *, in_use: bool) -> None:
        """Add or replace *entries*."""
        self._database.executemany(
            "INSERT INTO files VALUES (?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (name) DO UPDATE SET "
            "bytes = excluded.bytes, used = max(used, excluded.used), in_use = excluded.in_use, "
            "layout = COALESCE(excluded.layout, layout)",
            [(e.name, e.key, e.size, e.md5, e.taken, e.used, in_use, e.layout) for e in entries],
        )

    def find(self, *, name: str = "", key: str = "") -> Entry | None:
        """The file under *name*, or the one that was last used with *key*."""
        row = self._database.execute(
            "SELECT name, key, size, md5, bytes, used, layout FROM files "
            f"WHERE {'name' if name else 'key'} = ? ORDER BY used DESC",
            (name or key,),
        ).fetchone()
        return None if row is None else Entry(*row)

    def oldest(self, after: tuple[float, str], count: int) -> list[tuple[float, str, int]]:
        """Time, name and bytes of the files used least recently, from (time, name) *after* on."""
        found = self._database.execute(
            "SELECT used, name, bytes FROM files WHERE (used, name) > (?, ?) "
            "AND name NOT IN (SELECT name FROM pins) ORDER BY used, name LIMIT ?",
            (*after, count),
        )
        return found.fetchall()

    def in_use(self) -> list[str]:
        """Files whose writer has not said how much they take."""
        return [n for (n,) in self._database.execute("SELECT name FROM files WHERE in_use")]

    def names(self) -> list[str]:
        return [n for (n,) in self._database.execute("SELECT name FROM files")]

    def entries(self) -> list[Entry]:
        """All files, the least recently used first."""
        rows = self._database.execute(
            "SELECT name, key, size, md5, bytes, used, layout FROM files ORDER BY used, name"
        )
        return [Entry(*row) for row in rows]

    def pinned(self) -> frozenset[str]:
        """Names of files that are kept whatever happens; also of such as are not here."""
        return frozenset(n for (n,) in self._database.execute("SELECT name FROM pins"))

    def pin(self, names: Iterable[str]) -> None:
        self._database.executemany("INSERT OR IGNORE INTO pins VALUES (?)", [(n,) for n in names])

    def unpin(self, names: Iterable[str]) -> None:
        self._database.executemany("DELETE FROM pins WHERE name = ?", [(n,) for n in names])

    def set_taken(self, name: str, taken: int) -> None:
        self._database.execute("UPDATE files SET bytes = ? WHERE name = ?", (taken, name))

    def remove(self, name: str) -> None:
        self._database.execute("DELETE FROM files WHERE name = ?", (name,))

    def writers(self) -> list[str]:
        return [i for (i,) in self._database.execute("SELECT id FROM writers")]

    def grant(self, writer: str, size: int) -> None:
        """Let *writer* write *size* bytes more (fewer, if negative)."""
        self._database.execute(
            "INSERT INTO writers VALUES (?1, ?2) ON CONFLICT (id) DO UPDATE "
            "SET granted = max(0, granted + ?2)",
            (writer, size),
        )

    def dismiss(self, writer: str) -> None:
        self._database.execute("DELETE FROM writers WHERE id = ?", (writer,))

    def close(self) -> None:
        self._database.close()


def _statements(script: str) -> Iterator[str]:
    """The statements of *script*; executescript() would end the transaction."""
    statement = ""
    for part in script.split(";"):
        statement += part
        if sqlite3.complete_statement(statement + ";"):
            yield statement
            statement = ""
        else:
            statement += ";"
