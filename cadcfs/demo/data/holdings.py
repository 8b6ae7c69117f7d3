"""What the storage knows of a file, and whether anybody may read it."""

from __future__ import annotations

import re
import sqlite3
import uuid
from base64 import b64encode
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import format_datetime
from pathlib import Path
from urllib.parse import quote

from cadcfs.demo.archive import Archive
from cadcfs.demo.auth.access import file_condition, now_text
from cadcfs.demo.auth.caller import Caller

# A path without a slash is legal: `noao:tu636792.fits.fz` is known, though it is not stored.
_URI = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:[^/\s\\\x00-\x1f](?:[^\\\x00-\x1f]*[^/\\\x00-\x1f])?")

_READABLE = """
    SELECT 1 FROM Artifact a JOIN Plane p ON a.planeID = p.planeID WHERE a.uri = ? AND {}
"""


@dataclass(frozen=True, slots=True)
class Holding:
    """A stored file."""

    uri: str
    path: Path
    length: int
    content_type: str | None
    encoding: str | None
    md5: str | None
    modified: datetime

    @property
    def name(self) -> str:
        """What follows the last slash of the URI."""
        return (self.uri if "/" in self.uri else self.uri.partition(":")[2]).rpartition("/")[2]

    @property
    def number(self) -> str:
        """A UUID that changes when the file is replaced (x-artifact-id)."""
        return str(uuid.uuid5(uuid.NAMESPACE_URL, f"{self.uri} {self.md5} {self.modified}"))

    def headers(self, name: str | None = None) -> dict[str, str]:
        """Return the headers of every answer about this file; there is no ETag, as at CADC."""
        name = name or self.name
        headers = {
            "Content-Length": str(self.length),
            "Last-Modified": format_datetime(self.modified, usegmt=True),
            "Content-Disposition": f'inline; filename="{quote(name, safe=_IN_NAMES)}"',
            "Accept-Ranges": "bytes",
        }
        if self.content_type:
            headers["Content-Type"] = self.content_type
        if self.encoding:
            headers["Content-Encoding"] = self.encoding
        if self.md5:
            # The digest is of the 16 bytes, not of their hexadecimal text (RFC 3230).
            headers["Digest"] = "md5=" + b64encode(bytes.fromhex(self.md5)).decode()
        return headers


_IN_NAMES = " !#$&'()*+,:;=?@[]^`{}~"


class Holdings:
    """Looks files up in the archive's inventory."""

    def __init__(self, archive: Archive) -> None:
        """Serve the files of an archive."""
        self._archive = archive

    def find(self, uri: str) -> Holding | None:
        """Return what is known of a file (blocking)."""
        with _open(self._archive.inventory) as inventory:
            row = inventory.execute(
                "SELECT contentLength, contentType, contentEncoding, contentChecksum,"
                " contentLastModified FROM Artifact WHERE uri = ?",
                (uri,),
            ).fetchone()
        if row is None:
            return None
        length, content_type, encoding, checksum, modified = row
        digest = str(checksum).removeprefix("md5:") if checksum else None
        moment = datetime.fromisoformat(str(modified)).replace(microsecond=0, tzinfo=UTC)
        path = self._archive.path_of(uri, digest)
        return Holding(uri, path, int(length), content_type, encoding, digest, moment)

    def may_read(self, uri: str, caller: Caller) -> bool:
        """Say whether a caller may read a file: any plane that holds it suffices (blocking)."""
        query = _READABLE.format(file_condition(caller, now_text()))
        with _open(self._archive.database) as database:
            return database.execute(query, (uri,)).fetchone() is not None


@contextmanager
def _open(path: Path) -> Iterator[sqlite3.Connection]:
    connection = sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro&immutable=1", uri=True)
    try:
        yield connection
    finally:
        connection.close()


def is_legal(uri: str) -> bool:
    """Say whether a text is an artifact URI, `scheme:path/name`."""
    return _URI.fullmatch(uri) is not None
