"""What the services of caom2ops know of planes and artifacts: rows of the archive's database."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

from cadcfs.demo.archive import Archive
from cadcfs.demo.auth.access import file_condition, now_text, row_condition
from cadcfs.demo.auth.caller import Caller

PLANE = re.compile(r"ivo://[\w.-]+/[\w./+~-]+\?[^/?#\s]+/[^/?#\s]+|caom:[^/\s]+/[^/\s]+/[^/\s]+")
"""A publisherID, `ivo://authority/COLLECTION?observation/product`, or the URI of a plane."""

_ARTIFACTS = """
    SELECT p.publisherID, a.artifactID, a.uri, a.productType, a.contentType, a.contentLength,
        {readable}
    FROM Observation o JOIN Plane p ON p.obsID = o.obsID JOIN Artifact a ON a.planeID = p.planeID
    WHERE {chosen} AND {visible} AND {seen} ORDER BY a.productType DESC, a.uri
"""


@dataclass(frozen=True, slots=True)
class Artifact:
    """A file of a plane, and whether the caller may read it."""

    publisher: str
    number: str
    uri: str
    product_type: str
    content_type: str | None
    length: int | None
    is_readable: bool

    @property
    def scheme(self) -> str:
        """What stands before the first colon of the URI."""
        return self.uri.partition(":")[0]


class Metadata:
    """Looks planes and artifacts up; rows whose metadata the caller may not see are not there."""

    def __init__(self, archive: Archive) -> None:
        """Read an archive's database."""
        self._database = archive.database

    def of_plane(self, number: str, caller: Caller) -> list[Artifact]:
        """The files of a plane, by its publisherID or its planeURI (blocking)."""
        column = "p.planeURI" if number.startswith("caom:") else "p.publisherID"
        return self._artifacts(f"{column} = ?", number, caller)

    def of_uri(self, uri: str, caller: Caller) -> Artifact | None:
        """A file by its URI; of several planes' the one that the caller may read (blocking)."""
        found = self._artifacts("a.uri = ?", uri, caller)
        return max(found, key=lambda artifact: artifact.is_readable, default=None)

    def _artifacts(self, chosen: str, value: str, caller: Caller) -> list[Artifact]:
        now = now_text()
        query = _ARTIFACTS.format(
            chosen=chosen,
            readable=file_condition(caller, now),
            visible=row_condition(caller, now, "p.metaRelease", "p.metaReadGroups"),
            seen=row_condition(caller, now, "o.metaRelease", "o.metaReadGroups"),
        )
        with self.connection() as database:
            rows = database.execute(query, (value,)).fetchall()
        return [
            Artifact(publisher, number, uri, kind, content_type, length, bool(readable))
            for publisher, number, uri, kind, content_type, length, readable in rows
        ]

    @contextmanager
    def connection(self) -> Iterator[sqlite3.Connection]:
        """A connection that can only read."""
        with closing(_open(self._database)) as connection:
            yield connection


def _open(path: Path) -> sqlite3.Connection:
    return sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro&immutable=1", uri=True)
