"""A table that a user brings along, as the VOTable that TAP takes (TAP 1.1, 2.5).

What it is follows from its first bytes: FITS and ECSV say so, a VOTable is XML, and the rest is
CSV if it is text with the same number of fields in every line. What is a VOTable already goes as
it is, once it was read to its end.
"""

from __future__ import annotations

import csv
import re
import shutil
import sys
from pathlib import Path

import trio

from cadcfs.archive.conversion import main, work
from cadcfs.archive.scan import scanned
from cadcfs.errors import BadRequest, CadcfsError

IDENTIFIER = re.compile(r"[A-Za-z][A-Za-z0-9_]*")
"""What a table may be called without quotes (ADQL 2.0, 2.1.2)."""
ENDINGS = frozenset({".vot", ".xml", ".votable", ".csv", ".fits", ".fit", ".ecsv", ".txt"})


def table_name(file_name: str) -> str | None:
    """What the archive calls the table in *file_name*; None for an editor's scratch file.

    Raises
    ------
    BadRequest
        No table can be called that.
    """
    if file_name.startswith(".") or file_name.endswith("~"):
        return None
    stem = file_name.partition(".")[0]
    if not IDENTIFIER.fullmatch(stem):
        raise BadRequest(f"{file_name}: no table can be called {stem!r}; use letters, digits and _")
    return stem


async def as_votable(source: Path, target: Path) -> None:
    """Write the table *source* as VOTable to *target*.

    Raises
    ------
    BadRequest
        It is no table.
    OSError
    """
    kind = await trio.to_thread.run_sync(kind_of, source)
    try:
        if kind == "votable":
            await trio.to_thread.run_sync(scanned, source)
            await trio.to_thread.run_sync(shutil.copyfile, source, target)
        else:
            await work(__name__, kind, str(source), str(target))
    except CadcfsError as exc:
        raise BadRequest(f"{source.name}: {exc}") from exc


def kind_of(file: Path) -> str:
    """Its format, as `Table.read` calls it; `BadRequest` for what is no table; blocking."""
    with file.open("rb") as opened:
        begin = opened.read(4096)
    if begin.startswith(b"SIMPLE  ="):
        return "fits"
    if begin.startswith(b"# %ECSV"):
        return "ascii.ecsv"
    if begin.lstrip(b"\xef\xbb\xbf \t\r\n").startswith(b"<"):
        return "votable"
    _check_csv(file)
    return "ascii.csv"


def _check_csv(file: Path) -> None:
    try:
        with file.open(encoding="utf-8-sig", newline="") as opened:
            rows = csv.reader(opened, strict=True)
            width = len(next(rows, []))
            odd = next((n for n, row in enumerate(rows, 2) if row and len(row) != width), None)
    except (UnicodeDecodeError, csv.Error) as exc:
        raise BadRequest(f"{file.name}: neither VOTable, FITS, ECSV nor CSV ({exc})") from exc
    if not width:
        raise BadRequest(f"{file.name}: an empty table")
    if odd is not None:
        raise BadRequest(f"{file.name}: neither VOTable, FITS, ECSV nor CSV: line {odd} does not "
                         f"have {width} fields")  # fmt: skip


def _convert(kind: str, source: str, target: str) -> None:
    import warnings

    from astropy.table import Table

    # What a table's heading says against its standard is no reason to refuse it.
    warnings.simplefilter("ignore")
    table = Table.read(source, format=kind)
    if not table.colnames:
        raise ValueError("an empty table")
    for name in table.colnames:
        column = table[name]
        if column.dtype.kind == "U" and all(str(value).isascii() for value in column):
            # Text that needs no unicodeChar is char, which every service takes.
            table[name] = column.astype("S")
    table.meta.clear()
    table.write(target, format="votable", overwrite=True)


if __name__ == "__main__":
    main(lambda: _convert(*sys.argv[1:4]))
