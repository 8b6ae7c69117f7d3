"""Runs translated queries on SQLite: one read-only connection per query, fenced and bounded.

Rows whose metadata is not public yet are absent, never an error: queries see Observation and
Plane through views that leave them out, as CADC's service does for anonymous callers.
"""

from __future__ import annotations

import sqlite3
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from pathlib import Path

from cadcfs.demo.adql.catalogue import Catalogue, Field, Table
from cadcfs.demo.adql.functions import install
from cadcfs.demo.adql.gate import translate
from cadcfs.demo.adql.scope import AdqlError
from cadcfs.demo.auth.access import now_text, row_condition
from cadcfs.demo.auth.caller import ANONYMOUS, Caller
from cadcfs.demo.faults.pace import UNDISTURBED, Pace
from cadcfs.demo.tap.downloads import Downloads
from cadcfs.demo.tap.schema_tables import catalogue, image_of
from cadcfs.demo.tap.uploads import Uploads
from cadcfs.demo.tap.writer import REAL, Row

_FILTERED = frozenset({"Observation", "Plane", "Chunk", "ObsCore", "SIAv1"})
# Addresses are stored without their host, which is the one that the client itself uses.
_ADDRESSES = frozenset({"access_url", "accessURL"})
_SHAPES = frozenset({"point", "circle", "polygon", "range"})
# Virtual-machine steps between two looks at the clock: about a millisecond.
_STEPS = 20_000
_CACHE_KIB = 16_384
# All queries together may hold so much; one that sorts a cross product is cut here.
_HEAP_BYTES = 1 << 29
# What SQLite says of a query that it cannot make sense of; the rest are troubles of its own.
_MISTAKES = frozenset({
    sqlite3.SQLITE_ERROR, sqlite3.SQLITE_MISMATCH, sqlite3.SQLITE_TOOBIG, sqlite3.SQLITE_RANGE,
    sqlite3.SQLITE_AUTH,
})  # fmt: skip


class QueryFailedError(Exception):
    """The service could not finish a query that was in order: out of time, or broken."""


@dataclass(frozen=True, slots=True)
class Setting:
    """Under which circumstances a query runs: who asks, by which address, with which tables."""

    caller: Caller = ANONYMOUS
    base_url: str = ""
    uploads: Uploads | None = None
    pace: Pace = UNDISTURBED


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
        known = catalogue()
        return cls(database.absolute(), known, image_of(known), seconds)

    def start(
        self,
        adql: str,
        control: Control,
        setting: Setting | None = None,
        *,
        empty: bool = False,
        now: datetime | None = None,
    ) -> Answer:
        """Check and begin a query (blocking); raise AdqlError or QueryFailedError.

        An `empty` answer has its fields and no row, and costs nothing.
        """
        setting = setting or Setting()
        known = self.catalogue
        if setting.uploads is not None:
            known = known.with_tables(setting.uploads.tables)
        query = translate(adql, known)
        moment = now_text(now)
        downloads = Downloads(self.database, moment, setting.caller)
        connection = self._connect(query.tables, moment, setting, downloads)
        try:
            connection.set_progress_handler(control.must_end, _STEPS)
            # A condition that is never true is looked at first: nothing is read.
            sql = f"SELECT * FROM ({query.sql}) WHERE 0" if empty else query.sql
            cursor = connection.execute(sql)
            return Answer(_matching(query.fields, cursor), cursor, (connection, downloads))
        except (sqlite3.Error, MemoryError) as trouble:
            connection.close()
            raise translated(trouble) from trouble

    def _connect(
        self, tables: Sequence[Table], now: str, setting: Setting, downloads: Downloads
    ) -> sqlite3.Connection:
        address = f"{self.database.as_uri()}?mode=ro&immutable=1"
        # The worker threads take turns with one connection; never two at a time.
        connection = sqlite3.connect(address, uri=True, check_same_thread=False)
        connection.execute("PRAGMA case_sensitive_like = ON")
        connection.execute(f"PRAGMA cache_size = -{_CACHE_KIB}")
        connection.execute("PRAGMA temp_store = MEMORY")
        connection.execute(f"PRAGMA hard_heap_limit = {_HEAP_BYTES}")
        install(connection, now, downloads)
        images = {"tap_schema": self.tap_schema}
        if setting.uploads is not None:
            images["tap_upload"] = setting.uploads.image
        for schema in images.keys() & {table.schema for table in tables}:
            connection.execute(f"ATTACH ':memory:' AS {schema}")
            connection.deserialize(images[schema], name=schema)
        for table in tables:
            connection.execute(_view(table, now, setting))
        connection.commit()
        connection.set_authorizer(_authorize)
        return connection


def _view(table: Table, now: str, setting: Setting) -> str:
    own = table.schema in ("tap_schema", "tap_upload")
    store = table.schema if own else "main"
    shown = _uploaded if own else partial(_stored, setting.base_url.replace("'", "''"))
    columns = ", ".join(f'{shown(field)} AS "{field.name}"' for field in table.fields)
    public = ""
    if table.name in _FILTERED and not own:
        public = f" WHERE {row_condition(setting.caller, now)}"
    return (
        f'CREATE TEMP VIEW "{table.view}" AS SELECT {columns} FROM {store}."{table.name}"{public}'
    )


def _stored(host: str, field: Field) -> str:
    return f"'{host}' || \"{field.name}\"" if field.name in _ADDRESSES else f'"{field.name}"'


def _uploaded(field: Field) -> str:
    # Uploaded shapes are bare numbers; the functions want to know what they are.
    if field.xtype in _SHAPES and field.datatype in REAL:
        return f"'{field.xtype} ' || \"{field.name}\""
    return f'"{field.name}"'


def _authorize(
    action: int, first: str | None, _second: str | None, _database: str | None, _view: str | None
) -> int:
    if action in (sqlite3.SQLITE_SELECT, sqlite3.SQLITE_FUNCTION):
        return sqlite3.SQLITE_OK
    if action == sqlite3.SQLITE_READ and not (first or "").startswith("sqlite_"):
        return sqlite3.SQLITE_OK
    return sqlite3.SQLITE_DENY


def _matching(fields: tuple[Field, ...], cursor: sqlite3.Cursor) -> tuple[Field, ...]:
    names = [str(column[0]).partition(":")[0] for column in cursor.description]
    if len(names) == len(fields):
        return fields
    # JOIN ... USING shows its column once under `*`; go by the names that SQLite reports.
    known = {field.name: field for field in reversed(fields)}
    return tuple(known.get(name) or Field(name, "char", "*") for name in names)


def translated(trouble: Exception) -> AdqlError | QueryFailedError:
    """Tell a mistake in the query from a failure of the service."""
    text = str(trouble)
    code = getattr(trouble, "sqlite_errorcode", sqlite3.SQLITE_ERROR)
    if code == sqlite3.SQLITE_INTERRUPT or "interrupted" in text:
        return QueryFailedError("the query was stopped: it ran out of its time")
    if isinstance(trouble, MemoryError) or code == sqlite3.SQLITE_NOMEM:
        return QueryFailedError("the query was stopped: it needs too much memory")
    if "user-defined" in text:
        return AdqlError("a function was given a value that it cannot take")
    if code in _MISTAKES or isinstance(trouble, sqlite3.ProgrammingError):
        return AdqlError(text)
    return QueryFailedError(text)


class Control:
    """Lets another thread stop a query, and stops it when its time is up."""

    def __init__(self, seconds: float = 600.0) -> None:
        """Start the clock."""
        self._end = time.monotonic() + seconds
        self._stopped = threading.Event()

    def stop(self) -> None:
        """Make the query end soon."""
        self._stopped.set()

    def pause(self, seconds: float) -> None:
        """Hold the query up, unless it has to end before (blocking)."""
        self._stopped.wait(min(seconds, max(0.0, self._end - time.monotonic())))

    def must_end(self) -> int:
        """Answer SQLite's progress handler: non-zero interrupts."""
        return int(self._stopped.is_set() or time.monotonic() > self._end)


class Answer:
    """A running query: its fields, and its rows in batches."""

    def __init__(
        self,
        fields: tuple[Field, ...],
        cursor: sqlite3.Cursor,
        connections: tuple[sqlite3.Connection | Downloads, ...],
    ) -> None:
        """Take over connections; close() gives them back."""
        self.fields = fields
        self._cursor = cursor
        self._connections = connections

    def batches(self, size: int) -> Iterator[list[Row]]:
        """Yield rows until there are none (blocking)."""
        try:
            while batch := self._cursor.fetchmany(size):
                yield batch
        except (sqlite3.Error, MemoryError) as trouble:
            raise translated(trouble) from trouble

    def close(self) -> None:
        """End the query and free its connections."""
        for connection in self._connections:
            connection.close()
