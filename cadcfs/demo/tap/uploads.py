"""Uploaded tables (TAP 1.1, section 2.7.5): VOTables that a query sees as `tap_upload.name`.

They come inline, as a part of a multipart request (`name,param:part`), or from an address
(`name,http://...`). Only addresses on this machine are fetched: the archive is there to be played
with, and must not be a way into other people's networks.
"""

from __future__ import annotations

import io
import re
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from ipaddress import ip_address
from typing import Any
from urllib.parse import urlsplit

from cadcfs.demo.adql.catalogue import Field, Table
from cadcfs.demo.adql.scope import AdqlError
from cadcfs.demo.tap.submission import UPLOAD_BYTES, Submission

_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]*")
_FETCH_SECONDS = 20.0
_TYPES = frozenset({
    "boolean", "unsignedByte", "short", "int", "long", "float", "double", "char", "unicodeChar",
})  # fmt: skip
_TEXT = frozenset({"char", "unicodeChar"})
# A stream elsewhere would make the archive read files and addresses on a client's behalf.
_STREAM_ELSEWHERE = re.compile(rb"<[\w:]*STREAM[^>]*\shref\s*=")


@dataclass(frozen=True, slots=True)
class Uploads:
    """Tables and their rows, as a SQLite database image."""

    tables: tuple[Table, ...]
    image: bytes


def uploads_of(submission: Submission) -> Uploads | None:
    """Read the tables that a request brings along (blocking); raise AdqlError."""
    given = submission.all("UPLOAD")
    if not given:
        return None
    tables = []
    with closing(sqlite3.connect(":memory:")) as db:
        for name, address in _requested(given):
            content = _content(name, address, submission)
            tables.append(_store(db, name, content))
        db.commit()
        return Uploads(tuple(tables), db.serialize())


def _requested(values: list[str]) -> Iterator[tuple[str, str]]:
    """Yield names and addresses: `name,address`, several parted by semicolons."""
    seen: set[str] = set()
    for value in values:
        if not value:
            raise AdqlError("UPLOAD parameter is empty")
        for item in value.split(";"):
            name, comma, address = (part.strip() for part in item.partition(","))
            schema, dot, rest = name.rpartition(".")
            if dot and schema.lower() != "tap_upload":
                raise AdqlError(f"UPLOAD table schema name is invalid: {name}")
            if not _NAME.fullmatch(rest):
                raise AdqlError(f"UPLOAD table name not a valid ADQL identifier: {rest}")
            if rest.lower() in seen:
                raise AdqlError(f"UPLOAD table name is a duplicate: {rest}")
            if not comma or not address:
                raise AdqlError(f"UPLOAD URI is missing: {item}")
            seen.add(rest.lower())
            yield rest, address


def _content(name: str, address: str, submission: Submission) -> bytes:
    if address.startswith("param:"):
        part = address.removeprefix("param:")
        if part in submission.files:
            return submission.files[part]
        # A part without a file name is a parameter like any other.
        text = submission.get(part.upper())
        if text is None:
            raise AdqlError(f"UPLOAD {name}: there is no part {part}")
        return text.encode()
    return _fetched(name, address)


def _fetched(name: str, address: str) -> bytes:
    import httpx

    if not _is_here(address):
        raise AdqlError(f"UPLOAD {name}: only addresses of this machine are fetched: {address}")
    data = bytearray()
    try:
        with httpx.stream("GET", address, timeout=_FETCH_SECONDS, trust_env=False) as reply:
            if reply.status_code != 200:
                raise AdqlError(f"UPLOAD {name}: {address} answers {reply.status_code}")
            for piece in reply.iter_bytes():
                data += piece
                if len(data) > UPLOAD_BYTES:
                    raise AdqlError(f"Size of upload file exceeds maximum of {UPLOAD_BYTES} bytes")
    except (httpx.HTTPError, httpx.InvalidURL) as trouble:
        raise AdqlError(f"UPLOAD {name}: {address} cannot be read: {trouble}") from trouble
    return bytes(data)


def _is_here(address: str) -> bool:
    try:
        parts = urlsplit(address)
        host = parts.hostname or ""
        return parts.scheme in ("http", "https") and (
            host == "localhost" or ip_address(host).is_loopback
        )
    except ValueError:
        return False


def _store(db: sqlite3.Connection, name: str, content: bytes) -> Table:
    """Write one table into a database and describe it."""
    if len(content) > UPLOAD_BYTES:
        raise AdqlError(f"Size of upload file exceeds maximum of {UPLOAD_BYTES} bytes")
    if _STREAM_ELSEWHERE.search(content):
        raise AdqlError(f"UPLOAD {name}: a STREAM with href is not read")
    parsed = _parsed(name, content)
    fields = tuple(_described(name, column) for column in parsed.fields)
    columns = ", ".join(f'"{field.name}" {_affinity(field)}' for field in fields)
    try:
        db.execute(f'CREATE TABLE "{name}" ({columns})')
        marks = ", ".join("?" * len(fields))
        rows = zip(*(_values(parsed.array, field) for field in fields), strict=True)
        db.executemany(f'INSERT INTO "{name}" VALUES ({marks})', rows)
    except (sqlite3.Error, OverflowError) as trouble:
        raise AdqlError(f"invalid input table {name}: {trouble}") from trouble
    return Table("tap_upload", name, fields)


def _parsed(name: str, content: bytes) -> Any:  # noqa: ANN401 (astropy has no types)
    from astropy.io.votable import parse

    try:
        table = parse(io.BytesIO(content), verify="ignore").get_first_table()
        if not table.fields:
            raise AdqlError(f"invalid input table {name}: it has no columns")
        return table
    except AdqlError:
        raise
    except Exception as trouble:
        raise AdqlError(f"failed to parse uploaded table {name}: {trouble}") from trouble


def _described(name: str, column: Any) -> Field:  # noqa: ANN401 (an astropy Field)
    size = column.arraysize or ""
    own = str(column.name or column.ID or "")
    if column.datatype not in _TYPES or (column.datatype in _TEXT and "x" in size):
        kind = f"{column.datatype}[{size}]" if size else column.datatype
        raise AdqlError(f"invalid input table {name}: {own} is {kind}, which is not supported")
    if not own or '"' in own or "\0" in own:
        raise AdqlError(f"invalid input table {name}: not the name of a column: {own!r}")
    return Field(
        own, column.datatype, "" if size == "1" else size, column.xtype or "",
        str(column.unit or ""), column.ucd or "", column.utype or "", column.description or "",
    )  # fmt: skip


def _affinity(field: Field) -> str:
    if field.arraysize or field.datatype in _TEXT:
        return "TEXT"
    return "REAL" if field.datatype in ("float", "double") else "INTEGER"


def _values(array: Any, field: Field) -> Iterator[Any]:  # noqa: ANN401
    """Yield a column's values as SQLite holds them; arrays as numbers with blanks between."""
    column = array[field.name]
    for value, masked in zip(column.data.tolist(), column.mask.tolist(), strict=True):
        if field.arraysize and field.datatype not in _TEXT:
            parts = value if isinstance(value, (list, tuple)) else getattr(value, "tolist", list)()
            yield " ".join(_number(part) for part in parts) if len(parts) else None
        elif masked is True or value is None:
            yield None
        elif field.datatype in _TEXT:
            text = value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)
            yield text.rstrip("\0") or None
        else:
            yield int(value) if field.datatype == "boolean" else value


def _number(value: Any) -> str:  # noqa: ANN401
    return "NaN" if value is None else repr(value)
