"""Result formats of TAP (TAP 1.1, section 2.7.3; DALI 1.1, section 3.4.3), as CADC takes them.

A format is known by its exact name in lower case, or by its media type, which may carry
`serialization=tabledata` or `serialization=binary2` for a VOTable.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Callable
from dataclasses import dataclass
from importlib.util import find_spec

from cadcfs.demo.adql.scope import AdqlError
from cadcfs.demo.tap.delimited import Delimited
from cadcfs.demo.tap.votable import Binary2, TableData, error_document
from cadcfs.demo.tap.writer import Writer

VOTABLE = "application/x-votable+xml"
PARQUET = "application/vnd.apache.parquet"

_TABLEDATA = VOTABLE + "; serialization=tabledata"
_BINARY2 = VOTABLE + "; serialization=binary2"


@dataclass(frozen=True, slots=True)
class Format:
    """A result format: its media type, the extension of its files, and who writes it."""

    content_type: str
    extension: str
    open: Callable[[], Writer]


def _parquet() -> Writer:
    from cadcfs.demo.tap.parquet import Parquet

    return Parquet()


_XML = {
    "tabledata": Format(_TABLEDATA, "xml", TableData),
    "binary2": Format(_BINARY2, "xml", Binary2),
}
_CSV = Format("text/csv; header=present", "csv", lambda: Delimited(","))
_TSV = Format("text/tab-separated-values", "tsv", lambda: Delimited("\t"))
_OTHERS = {
    "csv": _CSV,
    "text/csv": _CSV,
    "tsv": _TSV,
    "text/tab-separated-values": _TSV,
}
if find_spec("pyarrow"):
    _OTHERS |= dict.fromkeys(("parquet", PARQUET), Format(PARQUET, "parquet", _parquet))


def has_parquet() -> bool:
    """Say whether the library that writes Parquet is installed."""
    return "parquet" in _OTHERS


def format_of(name: str) -> Format:
    """Find a format by its name; raise AdqlError in CADC's words for one that is not known."""
    base, *rest = (part.strip() for part in name.split(";"))
    if base in ("votable", VOTABLE, "text/xml"):
        options = dict(part.lower().split("=", 1) for part in rest if "=" in part)
        chosen = _XML.get(options.get("serialization", "tabledata"))
        if chosen is None:
            raise AdqlError(f"unsupported serialization: {name}")
        return chosen
    if base not in _OTHERS:
        raise AdqlError(f"unknown format: {name}")
    return _OTHERS[base]


@dataclass(frozen=True, slots=True)
class ErrorBody:
    """What is sent instead of a result."""

    content: bytes
    content_type: str
    extension: str


def error_body(format_name: str, message: str) -> ErrorBody:
    """Write an error: as text where text was asked for, else as a VOTable (DALI 1.1, 4.2)."""
    format = _OTHERS.get(format_name.partition(";")[0].strip())  # noqa: A001
    if format in (_CSV, _TSV):
        text = io.StringIO()
        csv.writer(text, lineterminator="\r\n").writerow([message])
        return ErrorBody(text.getvalue().encode(), "text/plain", format.extension)
    return ErrorBody(error_document(message).encode(), _TABLEDATA, "xml")
