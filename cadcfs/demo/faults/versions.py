"""Files that are replaced while the archive runs: new bytes, and everything that tells of them.

A build is never changed. What is served is a directory of links to it; a replaced file lies beside
them, and the databases that tell of it are copies that replace the links at once. So whoever is
in the middle of an answer ends it with the version that it began with.
"""

from __future__ import annotations

import fcntl
import gzip
import hashlib
import io
import os
import shutil
import sqlite3
import tempfile
import threading
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from datetime import UTC, datetime, timedelta
from itertools import count
from pathlib import Path

from cadcfs.demo.archive import Archive
from cadcfs.demo.faults.kinds import FaultError

_PREFIX = "serving-"
_LOCK = "lock"
# Whoever has read of a version may still come for its bytes.
_KEPT = 4


@contextmanager
def served_copy(archive: Archive) -> Iterator[Versions]:
    """Make what one server serves, and remove it at the end (blocking)."""
    with ExitStack() as stack:
        root = _claimed_directory(archive.root.parent, stack)
        for entry in archive.root.iterdir():
            (root / entry.name).symlink_to(entry)
        yield Versions(archive, Archive(root))


def _claimed_directory(parent: Path, stack: ExitStack) -> Path:
    """Make a directory that is locked for as long as it is in use; remove what others left."""
    with (parent / f"{_PREFIX}{_LOCK}").open("w") as making:
        fcntl.flock(making, fcntl.LOCK_EX)
        for left in parent.glob(f"{_PREFIX}*/"):
            _remove_if_abandoned(left)
        made = tempfile.TemporaryDirectory(prefix=_PREFIX, dir=parent)
        root = Path(stack.enter_context(made))
        lock = stack.enter_context((root / _LOCK).open("w"))
        fcntl.flock(lock, fcntl.LOCK_EX)
    return root


def _remove_if_abandoned(directory: Path) -> None:
    try:
        with (directory / _LOCK).open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(directory, ignore_errors=True)
    except OSError:
        return  # In use.


class Versions:
    """Replaces files of an archive, and restores them."""

    def __init__(self, build: Archive, archive: Archive) -> None:
        """Serve *archive*, which links to *build*."""
        self.archive = archive
        self._build = build
        self._numbers = count(2)
        self._superseded: dict[Path, Path] = {}
        self._versions: dict[str, deque[Path]] = {}
        self._lock = threading.Lock()

    def replace(self, uri: str) -> None:
        """Give a file another version (blocking).

        Raises
        ------
        FaultError
            There is no such file.
        """
        with self._lock:
            current = self._stored(uri)
            number = next(self._numbers)
            data = another_version(current.read_bytes(), number)
            digest = hashlib.md5(data, usedforsecurity=False).hexdigest()
            place = self.archive.replaced
            place.mkdir(exist_ok=True)
            (place / digest).write_bytes(data)
            _link(place / self.archive.replaced_name(uri), Path(digest))
            self._tell(uri, len(data), f"md5:{digest}", _now())
            versions = self._versions.setdefault(uri, deque())
            versions.append(place / digest)
            while len(versions) > _KEPT:
                versions.popleft().unlink()

    def restore(self, uri: str) -> None:
        """Give a file its first version back (blocking)."""
        with self._lock:
            (self.archive.replaced / self.archive.replaced_name(uri)).unlink(missing_ok=True)
            with closing(sqlite3.connect(self._build.inventory)) as inventory:
                length, checksum = inventory.execute(
                    "SELECT contentLength, contentChecksum FROM Artifact WHERE uri = ?", (uri,)
                ).fetchone()
            self._tell(uri, length, checksum, _now())

    def embargo(self, uri: str, seconds: float) -> None:
        """Let the data of a file's planes be public only in so many seconds (blocking).

        Raises
        ------
        FaultError
            There is no such file.
        """
        with self._lock:
            self._stored(uri)
            release = _time(datetime.now(UTC) + timedelta(seconds=seconds))
            self._set_release(uri, lambda _: release)

    def lift(self, uri: str) -> None:
        """Give the planes of a file their own release dates back (blocking)."""
        with self._lock, closing(sqlite3.connect(self._build.database)) as build:
            own = dict(build.execute("SELECT planeID, dataRelease FROM Plane"))
            self._set_release(uri, own.get)

    def _set_release(self, uri: str, release_of: Callable[[str], str | None]) -> None:
        def described(caom2: sqlite3.Connection) -> None:
            planes = caom2.execute("SELECT planeID FROM Artifact WHERE uri = ?", (uri,)).fetchall()
            caom2.executemany(
                "UPDATE Plane SET dataRelease = ?, maxLastModified = ? WHERE planeID = ?",
                [(release_of(plane), _now(), plane) for (plane,) in planes],
            )

        self._change(self.archive.database, described)

    def _stored(self, uri: str) -> Path:
        try:
            path = self.archive.path_of(uri)
        except ValueError as error:
            raise FaultError(str(error)) from error
        with closing(sqlite3.connect(self._build.inventory)) as inventory:
            known = inventory.execute("SELECT 1 FROM Artifact WHERE uri = ?", (uri,)).fetchone()
        if known is None or not path.is_file():
            raise FaultError(f"there is no file {uri}")
        return path

    def _tell(self, uri: str, length: int, checksum: str, now: str) -> None:
        file = (length, checksum, now, uri)

        def stored(inventory: sqlite3.Connection) -> None:
            inventory.execute(
                "UPDATE Artifact SET contentLength = ?, contentChecksum = ?,"
                " contentLastModified = ? WHERE uri = ?",
                file,
            )

        def described(caom2: sqlite3.Connection) -> None:
            caom2.execute(
                "UPDATE Artifact SET contentLength = ?, contentChecksum = ?, lastModified = ?,"
                " maxLastModified = ? WHERE uri = ?",
                (length, checksum, now, now, uri),
            )
            planes = "SELECT planeID FROM Artifact WHERE uri = ?"
            caom2.execute(
                f"UPDATE Plane SET maxLastModified = ? WHERE planeID IN ({planes})", (now, uri)
            )
            caom2.execute(
                "UPDATE Observation SET maxLastModified = ? WHERE obsID IN"
                f" (SELECT obsID FROM Plane WHERE planeID IN ({planes}))",
                (now, uri),
            )

        self._change(self.archive.inventory, stored)
        self._change(self.archive.database, described)

    def _change(self, link: Path, change: Callable[[sqlite3.Connection], None]) -> None:
        """Change a copy of a database and put it in the place of the one that is there."""
        handle, name = tempfile.mkstemp(suffix=".sqlite", dir=link.parent)
        os.close(handle)
        shutil.copyfile(link, name)
        with closing(sqlite3.connect(name)) as database, database:
            change(database)
        superseded = link.resolve()
        _link(link, Path(name))
        # The last one stays a while: somebody may have read its name and be about to open it.
        if before := self._superseded.pop(link, None):
            before.unlink()
        if superseded.parent == self.archive.root.resolve():
            self._superseded[link] = superseded


def _link(link: Path, target: Path) -> None:
    temporary = link.with_name(f".{link.name}.new")
    temporary.symlink_to(target)
    temporary.replace(link)


def _now() -> str:
    return _time(datetime.now(UTC))


def _time(moment: datetime) -> str:
    return f"{moment:%Y-%m-%dT%H:%M:%S}.{moment.microsecond // 1000:03}"


def another_version(data: bytes, number: int) -> bytes:
    """Make other bytes of the same kind: FITS stays FITS, gzip stays gzip; the rest gets a tail."""
    if data[:2] == b"\x1f\x8b":
        return gzip.compress(another_version(gzip.decompress(data), number), mtime=0)
    if data[:6] == b"SIMPLE":
        return _other_fits(data, number)
    return data + f"\ncadcfs-synth: version {number}\n".encode()


def _other_fits(data: bytes, number: int) -> bytes:
    from astropy.io import fits

    with fits.open(
        io.BytesIO(_turned(data, number)), disable_image_compression=True, memmap=False
    ) as hdus:
        hdus[0].header.add_history(f"cadcfs-synth: version {number}")
        written = io.BytesIO()
        hdus.writeto(written, checksum=True, output_verify="silentfix")
    return written.getvalue()


def _turned(data: bytes, number: int) -> bytes:
    """Put the rows of every array and table in another order, so that versions differ much."""
    from astropy.io import fits

    turned = bytearray(data)
    with fits.open(io.BytesIO(data), disable_image_compression=True, memmap=False) as hdus:
        for place, hdu in enumerate(hdus):
            row = abs(hdu.header["BITPIX"]) // 8 * hdu.header.get("NAXIS1", 0)
            rows = 1
            for axis in range(2, hdu.header["NAXIS"] + 1):
                rows *= hdu.header[f"NAXIS{axis}"]
            start = hdus.fileinfo(place)["datLoc"]
            if row and rows > 1:
                lines = [turned[start + i * row : start + (i + 1) * row] for i in range(rows)]
                shift = number % rows
                lines.reverse()
                turned[start : start + rows * row] = b"".join(lines[shift:] + lines[:shift])
    return bytes(turned)
