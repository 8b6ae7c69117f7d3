"""What the storage knows of a file, and whether anybody may read it."""

from __future__ import annotations

import re
import sqlite3
from base64 import b64encode, urlsafe_b64encode
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import format_datetime
from hashlib import sha256
from pathlib import Path
from urllib.parse import quote

from cadcfs.demo.archive import Archive

# A path without a slash is legal: `noao:tu636792.fits.fz` is known, though it is not stored.
_URI = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:[^/\s\\\x00-\x1f](?:[^\\\x00-\x1f]*[^/\\\x00-\x1f])?")

# contentRelease overrides what the plane says (CAOM 2.4, Artifact).
_RELEASES = """
    SELECT coalesce(a.contentRelease,
                    CASE a.releaseType WHEN 'meta' THEN p.metaRelease ELSE p.dataRelease END)
    FROM Artifact a JOIN Plane p ON a.planeID = p.planeID WHERE a.uri = ?
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

    def headers(self) -> dict[str, str]:
        """Return the headers of every answer about this file; there is no ETag, as at CADC."""
        name = self.uri.rpartition("/")[2]
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
        path = self._archive.path_of(uri)
        return Holding(uri, path, int(length), content_type, encoding, digest, moment)

    def is_public(self, uri: str) -> bool:
        """Say whether anybody may read a file: any plane that holds it suffices (blocking)."""
        now = f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%S}.000"
        with _open(self._archive.database) as database:
            releases = [release for (release,) in database.execute(_RELEASES, (uri,))]
        return not releases or any(release and release <= now for release in releases)


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


def token_for(uri: str) -> str:
    """Make the token of a pre-authorised address: bound to one URI, without an end.

    It has the shape of CADC's (two parts of base64 around `~`) and is the same every time.
    """
    grant = f"uri={uri}&gnt=ReadGrant".encode()
    signature = sha256(b"embedded archive:" + grant).digest()
    return f"{_url_text(grant)}~{_url_text(signature)}"


def _url_text(data: bytes) -> str:
    return urlsafe_b64encode(data).decode().rstrip("=")
