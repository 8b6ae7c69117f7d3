"""Reading along while a VOTable arrives: is it whole, was it cut, how many rows has it.

Expat in pieces, so that a result of any size costs no memory. A document is whole when its last
tag is there, every row has all its cells, and the service does not say afterwards that the query
failed on the way (DALI 1.1, 4.4.1 and 4.4.2).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from xml.parsers import expat

from cadcfs.errors import BadRequest, Incomplete

PIECE = 1 << 20


@dataclass(frozen=True)
class Summary:
    """*cut* where the service says that there is more; *rows* is 0 for binary serializations."""

    columns: int
    rows: int
    cut: bool


class Scan:
    """One document; feed it in order, then `close`. *place* names it in errors."""

    def __init__(self, place: str) -> None:
        self._place = place
        self._parser = expat.ParserCreate()
        self._parser.buffer_text = True
        self._parser.StartElementHandler = self._start
        self._parser.EndElementHandler = self._end
        self._root = ""
        self._columns = self._rows = self._cells = 0
        self._tables = 0
        self._status: list[str] | None = None
        self._cut = False
        self._row = self._cell = ""

    def feed(self, data: bytes) -> None:
        """Raises `Incomplete` or `BadRequest`."""
        self._parse(data, is_last=False)

    def close(self) -> Summary:
        self._parse(b"", is_last=True)
        return Summary(self._columns, self._rows, self._cut)

    def _parse(self, data: bytes, *, is_last: bool) -> None:
        try:
            self._parser.Parse(data, is_last)
        except expat.ExpatError as exc:
            raise Incomplete(f"{self._place}: no whole VOTable: {exc}") from exc

    def _start(self, tag: str, attributes: dict[str, str]) -> None:
        prefix, _, name = tag.rpartition(":")
        if not self._root:
            self._root = name
            if name != "VOTABLE":
                raise Incomplete(f"{self._place}: a document of {name}, no VOTable")
        if name == "TABLE":
            self._tables += 1
        elif name == "FIELD" and self._tables == 1:
            self._columns += 1
        elif name == "INFO" and attributes.get("name") == "QUERY_STATUS":
            self._told(attributes.get("value", "").upper())
        elif name == "TABLEDATA" and self._tables == 1:
            colon = ":" if prefix else ""
            self._row, self._cell = f"{prefix}{colon}TR", f"{prefix}{colon}TD"
            # From here on every element but the last is a cell or a row.
            self._parser.StartElementHandler = None
            self._parser.EndElementHandler = self._end_in_data

    def _told(self, status: str) -> None:
        if status == "OVERFLOW":
            self._cut = True
        elif status == "ERROR":
            self._status = []
            self._parser.CharacterDataHandler = self._status.append

    def _end(self, tag: str) -> None:
        if self._status is not None and tag.rpartition(":")[2] == "INFO":
            words = "".join(self._status).strip()
            raise BadRequest(f"the archive refused the query: {words}")

    def _end_in_data(self, tag: str) -> None:
        if tag == self._cell:
            self._cells += 1
        elif tag == self._row:
            self._rows += 1
        else:
            self._parser.StartElementHandler = self._start
            self._parser.EndElementHandler = self._end
            if self._cells != self._rows * self._columns:
                raise Incomplete(f"{self._place}: rows that do not have {self._columns} cells")


def scanned(file: Path) -> Summary:
    """What `Scan` finds in a file; blocking."""
    scan = Scan(file.name)
    with file.open("rb") as opened:
        while piece := opened.read(PIECE):
            scan.feed(piece)
    return scan.close()


def in_parts(file: Path, rows: int) -> Iterator[bytes]:
    """The same table as documents of at most *rows* rows, at least one; blocking.

    A binary serialization is one part.
    """
    cuts = _Cuts(rows)
    with file.open("rb") as opened:
        while piece := opened.read(PIECE):
            cuts.parser.Parse(piece, False)
        cuts.parser.Parse(b"", True)
        opened.seek(0)
        if not cuts.places:
            # No rows to part, or none that could be.
            yield opened.read()
            return
        head = opened.read(cuts.places[0])
        for start, stop in pairwise(cuts.places):
            opened.seek(start)
            yield head + opened.read(stop - start) + cuts.tail


class _Cuts:
    """Where in the bytes each part begins, and where the last one ends."""

    def __init__(self, rows: int) -> None:
        self.places: list[int] = []
        self.tail = b""
        self._every = rows
        self._rows = 0
        self._open: list[str] = []
        self._row = ""
        self.parser = expat.ParserCreate()
        self.parser.StartElementHandler = self._start
        self.parser.EndElementHandler = self._end

    def _start(self, tag: str, _: dict[str, str]) -> None:
        self._open.append(tag)
        if tag.rpartition(":")[2] == "TABLEDATA":
            self._row = tag.replace("TABLEDATA", "TR")
            self.parser.StartElementHandler = self._cut
            self.parser.EndElementHandler = self._end_in_data

    def _end(self, _: str) -> None:
        self._open.pop()

    def _cut(self, _tag: str, _: dict[str, str]) -> None:
        """The first row, or the first one of another part."""
        self.places.append(self.parser.CurrentByteIndex)
        self.parser.StartElementHandler = None

    def _end_in_data(self, tag: str) -> None:
        if tag == self._row:
            self._rows += 1
            if self._rows % self._every == 0:
                self.parser.StartElementHandler = self._cut
        elif tag == self._open[-1]:
            if self.places:
                self.places.append(self.parser.CurrentByteIndex)
            self.tail = "".join(f"</{name}>" for name in reversed(self._open)).encode()
            self.parser.StartElementHandler = self.parser.EndElementHandler = None
