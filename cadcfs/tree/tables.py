"""`tables/`: what can be asked, one file for each table of the archive, as CSV and as VOTable."""

from __future__ import annotations

import csv
import io
import zlib
from collections.abc import Callable, Sequence
from dataclasses import astuple, fields
from xml.sax.saxutils import escape

from cadcfs.archive.tables import COLUMNS, Column, Schema, Table
from cadcfs.cache.listings import Listings
from cadcfs.config import NameStyle
from cadcfs.errors import NotFound
from cadcfs.tree.junk_names import is_junk
from cadcfs.tree.names import file_name
from cadcfs.tree.node import Child, Entries, File
from cadcfs.tree.plain import FixedFile
from cadcfs.tree.unlisted import UnlistedFile

FRESH = 86400.0
"""Seconds; tables change with the archive's software."""
HEADING = tuple(field.name for field in fields(Column))


class TablesDirectory:
    """All tables of the archive; two queries a day tell them with all their columns."""

    key = "/tables"
    adql = (COLUMNS,)

    def __init__(
        self, schema: Schema, listings: Listings, origin: str, names: NameStyle, mtime_ns: int
    ) -> None:
        self._schema = schema
        self._listings = listings
        self._question = f"{origin} {COLUMNS}"
        self._names = names
        self._mtime_ns = mtime_ns

    async def confirm(self) -> None:
        return

    async def entries(self) -> Entries:
        tables = await self._listings.get(self._question, self._schema.tables, FRESH)
        return Entries.of(dict(self._files(tables)))

    async def child(self, name: str) -> Child | None:
        known = await self._listings.recall(self._question)
        if known is not None:
            found = self._files(known).get(name)
            return None if found is None else Child(found)
        if is_junk(name) or not name.endswith(tuple(WRITERS)):
            return None
        node = UnlistedFile(f"{self.key}/{name}", lambda: self._find(name))
        return Child(node, certain=False)

    async def _find(self, name: str) -> File:
        tables = await self._listings.get(self._question, self._schema.tables, FRESH)
        found = self._files(tables).get(name)
        if found is None:
            raise NotFound(f"the archive has no table {name}")
        return found

    def _files(self, tables: Sequence[Table]) -> dict[str, FixedFile]:
        return {
            name: FixedFile(
                f"{self.key}/{name} {zlib.crc32(repr(table).encode())}",
                write(table),
                self._mtime_ns,
            )
            for table in tables
            for ending, write in WRITERS.items()
            if (name := f"{file_name(table.name, self._names)}{ending}")
        }


def comma_separated(table: Table) -> str:
    """CSV (RFC 4180): one line a column of the table."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(HEADING)
    writer.writerows(astuple(column) for column in table.columns)
    return text.getvalue()


def votable(table: Table) -> str:
    """A VOTable 1.4 with one row a column of the table."""
    heading = "\n".join(
        f'<FIELD name="{name}" datatype="unicodeChar" arraysize="*"/>' for name in HEADING
    )
    rows = "\n".join(
        f"<TR>{''.join(f'<TD>{escape(value)}</TD>' for value in astuple(column))}</TR>"
        for column in table.columns
    )
    return (
        '<?xml version="1.0" encoding="UTF-8"?>\n'
        '<VOTABLE version="1.4" xmlns="http://www.ivoa.net/xml/VOTable/v1.3">\n'
        f'<RESOURCE type="results">\n<TABLE name="{escape(table.name, {chr(34): "&quot;"})}">\n'
        f"<DESCRIPTION>{escape(table.description)}</DESCRIPTION>\n{heading}\n"
        f"<DATA><TABLEDATA>\n{rows}\n</TABLEDATA></DATA>\n</TABLE>\n</RESOURCE>\n</VOTABLE>\n"
    )


WRITERS: dict[str, Callable[[Table], str]] = {".csv": comma_separated, ".vot": votable}
