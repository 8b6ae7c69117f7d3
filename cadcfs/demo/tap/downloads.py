"""`isDownloadable` within a query: whether its caller may read the data of a plane."""

from __future__ import annotations

import sqlite3
from pathlib import Path

from cadcfs.demo.auth.access import row_condition
from cadcfs.demo.auth.caller import Caller


class Downloads:
    """Looks planes up over a connection of its own, opened when it is first asked.

    SQLite forbids a function to use the connection that it is called from.
    """

    def __init__(self, database: Path, now: str, caller: Caller) -> None:
        """Answer for a caller at a moment."""
        self._database = database
        self._condition = row_condition(caller, now, "dataRelease", "dataReadGroups")
        self._connection: sqlite3.Connection | None = None

    def __call__(self, plane: str) -> bool:
        """Say whether a plane's data can be read; the plane by its publisherID or its URI."""
        if self._connection is None:
            address = f"{self._database.as_uri()}?mode=ro&immutable=1"
            self._connection = sqlite3.connect(address, uri=True, check_same_thread=False)
        column = "publisherID" if plane.startswith("ivo:") else "planeURI"
        found = self._connection.execute(
            f"SELECT 1 FROM Plane WHERE {column} = ? AND {self._condition}", (plane,)
        ).fetchone()
        return found is not None

    def close(self) -> None:
        """Close the connection, if there is one."""
        if self._connection is not None:
            self._connection.close()
