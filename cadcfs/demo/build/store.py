"""The archive's files while it is built, and their inventory."""

from __future__ import annotations

import hashlib
import sqlite3
from contextlib import closing
from dataclasses import replace
from pathlib import Path

from cadcfs.demo.archive import Archive
from cadcfs.demo.build.chunks import Part, parts_of
from cadcfs.demo.build.records import MODIFIED, Item

_FITS = "application/fits"
_TYPES = {
    ".fits": _FITS,
    ".fits.gz": _FITS,
    ".fz": _FITS,
    ".jpg": "image/jpeg",
    ".gif": "image/gif",
    ".png": "image/png",
}


def content_type(name: str) -> str:
    """The media type of a file, by its name."""
    return next((kind for end, kind in _TYPES.items() if name.endswith(end)), "text/plain")


class Store:
    """Takes files in and remembers their size and checksum."""

    def __init__(self, archive: Archive) -> None:
        """Fill an archive that is being built."""
        self._archive = archive
        self._items: dict[str, Item] = {}
        self._parts: dict[str, tuple[Part, ...]] = {}

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
            content_type(path.name),
            path.stat().st_size,
            f"md5:{digest}",
            self._parts_of(path, digest),
        )
        self._items[uri] = item
        return item

    def share(self, item: Item, uri: str) -> Item:
        """Let the bytes of a kept file lie under another URI, too."""
        path = self.path(uri)
        if uri != item.uri:
            path.hardlink_to(self.path(item.uri))
        shared = replace(item, uri=uri)
        self._items[uri] = shared
        return shared

    def _parts_of(self, path: Path, digest: str) -> tuple[Part, ...]:
        """The parts of a FITS file; equal files are read once."""
        if content_type(path.name) != _FITS:
            return ()
        if digest not in self._parts:
            self._parts[digest] = parts_of(path)
        return self._parts[digest]

    def write_inventory(self) -> None:
        """Write down what is stored."""
        rows = [
            (
                item.uri,
                item.length,
                item.content_type,
                "gzip" if item.uri.endswith(".gz") else None,
                item.checksum,
                MODIFIED,
            )
            for item in self._items.values()
        ]
        with closing(sqlite3.connect(self._archive.inventory)) as inventory, inventory:
            inventory.execute(
                "CREATE TABLE Artifact (uri TEXT PRIMARY KEY, contentLength INTEGER,"
                " contentType TEXT, contentEncoding TEXT, contentChecksum TEXT,"
                " contentLastModified TEXT)"
            )
            inventory.executemany("INSERT INTO Artifact VALUES (?, ?, ?, ?, ?, ?)", rows)
