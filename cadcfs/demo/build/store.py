"""The archive's files while it is built, and their inventory."""

from __future__ import annotations

import hashlib
import sqlite3
from contextlib import closing
from pathlib import Path

from cadcfs.demo.archive import Archive
from cadcfs.demo.build.records import MODIFIED, Item

_TYPES = {
    ".fits": "application/fits",
    ".fz": "application/fits",
    ".jpg": "image/jpeg",
    ".gif": "image/gif",
    ".png": "image/png",
}


class Store:
    """Takes files in and remembers their size and checksum."""

    def __init__(self, archive: Archive) -> None:
        """Fill an archive that is being built."""
        self._archive = archive
        self._items: dict[str, Item] = {}

    def path(self, uri: str) -> Path:
        """Where to write a file; its directory is there."""
        path = self._archive.path_of(uri)
        path.parent.mkdir(parents=True, exist_ok=True)
        return path

    def keep(self, uri: str, product_type: str = "science", release_type: str = "data") -> Item:
        """Take a file that was written to `path(uri)` into the inventory."""
        path = self.path(uri)
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, "md5").hexdigest()
        item = Item(
            uri,
            product_type,
            release_type,
            _TYPES.get(path.suffix, "text/plain"),
            path.stat().st_size,
            f"md5:{digest}",
        )
        self._items[uri] = item
        return item

    def write_inventory(self) -> None:
        """Write down what is stored."""
        rows = [
            (item.uri, item.length, item.content_type, None, item.checksum, MODIFIED)
            for item in self._items.values()
        ]
        with closing(sqlite3.connect(self._archive.inventory)) as inventory, inventory:
            inventory.execute(
                "CREATE TABLE Artifact (uri TEXT PRIMARY KEY, contentLength INTEGER,"
                " contentType TEXT, contentEncoding TEXT, contentChecksum TEXT,"
                " contentLastModified TEXT)"
            )
            inventory.executemany("INSERT INTO Artifact VALUES (?, ?, ?, ?, ?, ?)", rows)
