"""VOTables on disk, read row by row: an answer of any length in bounded memory. Blocking."""

from __future__ import annotations

import csv
import html
import mmap
import re
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Self

from cadcfs.archive.votable import Cells, Field, described, ended
from cadcfs.errors import Incomplete

_START = re.compile(rb"<TABLEDATA\s*>")
_END = re.compile(rb"</TABLEDATA\s*>")
_ROW = re.compile(rb"<TR(?:\s[^>]*)?>(.*?)</TR\s*>", re.DOTALL)
_CELL = re.compile(r"<TD(?:\s[^>]*?)?(?:/>|>([^<]*)</TD\s*>)")

Keep = Callable[[Cells], bool]


class VOTableFile:
    """One document on disk, whole, with its rows in TABLEDATA.

    Raises
    ------
    Incomplete
        It broke off, or is no VOTable.
    BadRequest
        The query failed; the service's own words.
    """

    def __init__(self, path: Path) -> None:
        with path.open("rb") as file:
            try:
                self._map = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
            except ValueError as exc:
                raise Incomplete(f"{path.name}: the answer is empty") from exc
        size = len(self._map)
        if not ended(self._map[max(0, size - 200) :]):
            raise Incomplete(f"{path.name}: the answer broke off ({size} bytes)")
        start = _START.search(self._map)
        end = (
            _END.search(self._map, self._map.rfind(b"</TABLEDATA", start.end())) if start else None
        )
        # Without rows there is nothing between head and tail.
        self._rows = (start.end(), end.start()) if start and end else (size, size)
        head, tail = self._map[: self._rows[0]], self._map[self._rows[1] :]
        self.fields, self.cut = described(head + tail, path.name)

    @property
    def is_tabledata(self) -> bool:
        """False where rows may be written otherwise (BINARY, BINARY2, CDATA)."""
        if self._rows[0] == len(self._map):
            return self._map.find(b"DATA>") < 0 or self._map.find(b"<TABLEDATA/>") >= 0
        return self._map.find(b"<![CDATA[", *self._rows) < 0

    def rows(self) -> Iterator[Cells]:
        """All rows as text, NULL as ""."""
        return (cells for cells, _ in self._spans())

    def write_rows(self, target: Path, keep: Keep) -> None:
        """Write the same document to *target*, with the rows that are to be kept."""
        with target.open("wb") as file:
            file.write(self._map[: self._rows[0]])
            for cells, (first, stop) in self._spans():
                if keep(cells):
                    file.write(self._map[first:stop])
                    file.write(b"\n")
            file.write(self._map[self._rows[1] :])

    def _spans(self) -> Iterator[tuple[Cells, tuple[int, int]]]:
        width = len(self.fields)
        nulls = {index: field.null for index, field in enumerate(self.fields) if field.null}
        for match in _ROW.finditer(self._map, *self._rows):
            cells = _CELL.findall(match[1].decode("utf-8", "replace"))
            if len(cells) != width:
                raise Incomplete(f"a row has {len(cells)} of {width} fields")
            for index, null in nulls.items():
                if cells[index] == null:
                    cells[index] = ""
            yield tuple(html.unescape(c) if "&" in c else c for c in cells), match.span()

    def close(self) -> None:
        self._map.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def unique_names(fields: Iterable[Field]) -> list[str]:
    """Column names as astropy tells them apart: the second `lastModified` is `lastModified2`."""
    names: list[str] = []
    for field in fields:
        name, number = field.name, 1
        while name in names:
            number += 1
            name = f"{field.name}{number}"
        names.append(name)
    return names


def write_csv(table: VOTableFile, target: Path) -> None:
    """The same rows as CSV (RFC 4180) with a heading."""
    with target.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(unique_names(table.fields))
        writer.writerows(table.rows())


def as_tabledata(path: Path) -> None:
    """Write a document anew with its rows in TABLEDATA, in place."""
    from astropy.io.votable import parse

    try:
        document = parse(path, verify="ignore")
    except Exception as exc:
        raise Incomplete(f"{path.name}: not a VOTable: {exc!r}") from exc
    document.get_first_table().format = "tabledata"
    document.to_xml(str(path), tabledata_format="tabledata")
