"""Result formats of TAP (TAP 1.1, section 2.7.3; DALI 1.1, section 3.4.3): VOTable, CSV and TSV."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Protocol
from xml.sax.saxutils import escape, quoteattr

from cadcfs.demo.adql.catalogue import Field
from cadcfs.demo.adql.scope import AdqlError

_HEAD = (
    '<?xml version="1.0" encoding="UTF-8"?>\n'
    '<VOTABLE xmlns="http://www.ivoa.net/xml/VOTable/v1.3" version="1.4"\n'
    '  xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance">\n'
    '<RESOURCE type="results">\n'
)
_FOOT = "</RESOURCE>\n</VOTABLE>\n"

Batch = Iterable[tuple[Any, ...]]


class Writer(Protocol):
    """Writes one result, piece by piece."""

    def begin(self, fields: tuple[Field, ...]) -> str:
        """Return what comes before the rows."""

    def rows(self, batch: Batch) -> str:
        """Return some rows."""

    def end(self, *, overflow: bool) -> str:
        """Return what comes after the rows."""


@dataclass(frozen=True, slots=True)
class Format:
    """A result format as chosen by RESPONSEFORMAT."""

    content_type: str
    extension: str
    writer: type[VOTable | Delimited]
    delimiter: str = ","

    def open(self) -> Writer:
        """Return a writer for one result."""
        return Delimited(self.delimiter) if self.writer is Delimited else VOTable()


class VOTable:
    """Streams VOTable 1.4 with TABLEDATA (section 5.1)."""

    def begin(self, fields: tuple[Field, ...]) -> str:
        """Write everything up to the first row."""
        lines = [_HEAD, '<INFO name="QUERY_STATUS" value="OK"/>\n<TABLE>\n']
        lines.extend(_field(place, field) for place, field in enumerate(fields))
        lines.append("<DATA>\n<TABLEDATA>\n")
        return "".join(lines)

    def rows(self, batch: Batch) -> str:
        """Write rows; NULL is an empty cell (section 4.7 of VOTable 1.3 onwards)."""
        return "".join(
            "<TR>" + "".join(["<TD/>" if v is None else f"<TD>{_cell(v)}</TD>" for v in row])
            + "</TR>\n"
            for row in batch
        )  # fmt: skip

    def end(self, *, overflow: bool) -> str:
        """Close the table; a cut result says so behind it (DALI 1.1, section 4.4.1)."""
        info = '<INFO name="QUERY_STATUS" value="OVERFLOW"/>\n' if overflow else ""
        return "</TABLEDATA>\n</DATA>\n</TABLE>\n" + info + _FOOT


class Delimited:
    """Writes RFC 4180 text with a header row; a cut result is not marked."""

    def __init__(self, delimiter: str) -> None:
        """Write with a comma or a tab between values."""
        self._delimiter = delimiter

    def begin(self, fields: tuple[Field, ...]) -> str:
        """Write the header row."""
        return self._text([[field.name for field in fields]])

    def rows(self, batch: Batch) -> str:
        """Write rows; NULL is an empty value."""
        return self._text(batch)

    def end(self, *, overflow: bool) -> str:  # noqa: ARG002 - these formats cannot say it
        """Write nothing."""
        return ""

    def _text(self, rows: Iterable[Iterable[Any]]) -> str:
        text = io.StringIO()
        csv.writer(text, delimiter=self._delimiter, lineterminator="\r\n").writerows(rows)
        return text.getvalue()


def _cell(value: str | float) -> str:
    return escape(value) if isinstance(value, str) else repr(value)


def _field(place: int, field: Field) -> str:
    known = {
        "ID": f"c{place}", "name": field.name, "datatype": field.datatype,
        "arraysize": field.arraysize, "xtype": field.xtype, "unit": field.unit, "ucd": field.ucd,
        "utype": field.utype,
    }  # fmt: skip
    written = " ".join(f"{key}={quoteattr(value)}" for key, value in known.items() if value)
    if field.description:
        return f"<FIELD {written}><DESCRIPTION>{escape(field.description)}</DESCRIPTION></FIELD>\n"
    return f"<FIELD {written}/>\n"


def error_document(message: str) -> str:
    """Write the VOTable that reports an error (DALI 1.1, section 4.2)."""
    return f'{_HEAD}<INFO name="QUERY_STATUS" value="ERROR">{escape(message)}</INFO>\n{_FOOT}'


ERROR_TYPE = "application/x-votable+xml"


def format_of(name: str) -> Format:
    """Find a format by its name, exactly as written."""
    if name in ("votable", "application/x-votable+xml"):
        return Format("application/x-votable+xml; serialization=tabledata", "xml", VOTable)
    if name == "text/xml":
        return Format("text/xml", "xml", VOTable)
    if name in ("csv", "text/csv"):
        return Format("text/csv", "csv", Delimited)
    if name in ("tsv", "text/tab-separated-values"):
        return Format("text/tab-separated-values", "tsv", Delimited, "\t")
    raise AdqlError(f"unknown format: {name}")


def cut(batches: Iterable[list[Any]], limit: int | None) -> Iterator[tuple[list[Any], bool]]:
    """Pass rows on up to a limit; the second value tells that there would have been more."""
    left = limit
    for batch in batches:
        if left is None:
            yield batch, False
        elif len(batch) > left:
            yield batch[:left], True
            return
        else:
            left -= len(batch)
            yield batch, False
