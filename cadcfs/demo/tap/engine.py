"""Runs translated queries on SQLite: one read-only connection per query, fenced and bounded.

Rows whose metadata is not public yet are absent, never an error: queries see Observation and
Plane through views that leave them out, as CADC's service does for anonymous callers.
"""

from __future__ import annotations

import re
import sqlite3
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

from cadcfs.demo.adql.catalogue import Catalogue, Field, Table
from cadcfs.demo.adql.functions import install
from cadcfs.demo.adql.gate import translate
from cadcfs.demo.adql.scope import AdqlError
from cadcfs.demo.tap.schema_tables import catalogue_of, image_of

Row = Sequence[Any]

_FILTERED = frozenset({"Observation", "Plane"})
# Virtual-machine steps between two looks at the clock: about a millisecond.
_STEPS = 20_000
_CACHE_KIB = 16_384
_MISUSE = re.compile(r"ambiguous column|no such|misuse of|wrong number|HAVING|ORDER BY|GROUP BY")


class QueryFailedError(Exception):
    """The service could not finish a query that was in order: out of time, or broken."""


@dataclass(frozen=True, slots=True)
class Engine:
    """What all queries share: the database, the catalogue, TAP_SCHEMA and the time limit."""

    database: Path
    catalogue: Catalogue
    tap_schema: bytes
    seconds: float = 600.0

    @classmethod
    def over(cls, database: Path, *, seconds: float = 600.0) -> Engine:
        """Prepare to answer queries over the archive's database."""
        catalogue = catalogue_of(database)
        return cls(database.absolute(), catalogue, image_of(catalogue), seconds)

    def start(self, adql: str, control: Control, *, now: datetime | None = None) -> Answer:
        """Check and begin a query (blocking); raise AdqlError or QueryFailedError."""
        query = translate(adql, self.catalogue)
        moment = f"{(now or datetime.now(UTC)):%Y-%m-%dT%H:%M:%S}.000"
        connection = self._connect(query.tables, moment)
        try:
            connection.set_progress_handler(partial(control.must_end, self.seconds), _STEPS)
            cursor = connection.execute(query.sql)
            fields = _matching(query.fields, cursor)
            return Answer(fields, connection, cursor)
        except sqlite3.Error as trouble:
            connection.close()
            raise translated(trouble) from trouble

    def _connect(self, tables: Sequence[Table], now: str) -> sqlite3.Connection:
        address = f"{self.database.as_uri()}?mode=ro&immutable=1"
        # The worker threads take turns with one connection; never two at a time.
        connection = sqlite3.connect(address, uri=True, check_same_thread=False)
        connection.execute("PRAGMA case_sensitive_like = ON")
        connection.execute(f"PRAGMA cache_size = -{_CACHE_KIB}")
        connection.execute("PRAGMA temp_store = MEMORY")
        install(connection, now, partial(is_downloadable, self.database, now))
        if any(table.schema == "tap_schema" for table in tables):
            connection.execute("ATTACH ':memory:' AS tap_schema")
            connection.deserialize(self.tap_schema, name="tap_schema")
        for table in tables:
            connection.execute(_view(table, now))
        connection.commit()
        connection.set_authorizer(_authorize)
        return connection


def _view(table: Table, now: str) -> str:
    store = "tap_schema" if table.schema == "tap_schema" else "main"
    columns = ", ".join(f'"{field.name}"' for field in table.fields)
    public = f" WHERE metaRelease <= '{now}'" if table.name in _FILTERED else ""
    return (
        f'CREATE TEMP VIEW "{table.view}" AS SELECT {columns} FROM {store}."{table.name}"{public}'
    )


def _authorize(
    action: int, first: str | None, _second: str | None, _database: str | None, _view: str | None
) -> int:
    if action in (sqlite3.SQLITE_SELECT, sqlite3.SQLITE_FUNCTION):
        return sqlite3.SQLITE_OK
    if action == sqlite3.SQLITE_READ and not (first or "").startswith("sqlite_"):
        return sqlite3.SQLITE_OK
    return sqlite3.SQLITE_DENY


def is_downloadable(database: Path, now: str, plane: str) -> bool:
    """Say whether a plane's data are public; the plane by its publisherID or its URI."""
    column = "publisherID" if plane.startswith("ivo:") else "planeURI"
    # A connection of its own: SQLite forbids a function to use the one it is called from.
    connection = sqlite3.connect(f"{database.as_uri()}?mode=ro&immutable=1", uri=True)
    try:
        found = connection.execute(
            f"SELECT 1 FROM Plane WHERE {column} = ? AND dataRelease <= ?", (plane, now)
        ).fetchone()
    finally:
        connection.close()
    return found is not None


def _matching(fields: tuple[Field, ...], cursor: sqlite3.Cursor) -> tuple[Field, ...]:
    names = [str(column[0]) for column in cursor.description]
    if len(names) == len(fields):
        return fields
    # JOIN ... USING shows its column once under `*`; go by the names that SQLite reports.
    known = {field.name: field for field in reversed(fields)}
    return tuple(known.get(name) or Field(name, "char", "*") for name in names)


def translated(trouble: sqlite3.Error) -> AdqlError | QueryFailedError:
    """Tell a mistake in the query from a failure of the service."""
    text = str(trouble)
    if "interrupted" in text:
        return QueryFailedError("the query was stopped: it ran out of its time")
    if "user-defined function" in text:
        return AdqlError("a function was given a value that it cannot take")
    if _MISUSE.search(text):
        return AdqlError(text)
    return QueryFailedError(text)


class Control:
    """Lets another thread stop a query, and stops it when its time is up."""

    def __init__(self) -> None:
        """Start the clock."""
        self._begun = time.monotonic()
        self._stopped = threading.Event()

    def stop(self) -> None:
        """Make the query end soon."""
        self._stopped.set()

    def must_end(self, seconds: float) -> int:
        """Answer SQLite's progress handler: non-zero interrupts."""
        return int(self._stopped.is_set() or time.monotonic() - self._begun > seconds)


class Answer:
    """A running query: its fields, and its rows in batches."""

    def __init__(
        self, fields: tuple[Field, ...], connection: sqlite3.Connection, cursor: sqlite3.Cursor
    ) -> None:
        """Take over a connection; close() gives it back."""
        self.fields = fields
        self._connection = connection
        self._cursor = cursor

    def batches(self, size: int) -> Iterator[list[Row]]:
        """Yield rows until there are none (blocking)."""
        try:
            while batch := self._cursor.fetchmany(size):
                yield batch
        except sqlite3.Error as trouble:
            raise translated(trouble) from trouble

    def close(self) -> None:
        """End the query and free the connection."""
        self._connection.close()
