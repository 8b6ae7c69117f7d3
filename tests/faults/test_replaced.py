"""A file that is replaced while it is read: every read is of one version, or ESTALE."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import random
import sys
import threading
import urllib.request
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Self

import pytest

from tests.mount.test_reading import file_of
from tests.rig import Mount, Server, until

READERS = 4
PIECE = 200_000
"""Bytes of one read."""


@pytest.fixture
def forgetful(server: Server, tmp_path: Path) -> Iterator[Mount]:
    """A mount that keeps less than the file."""
    path = tmp_path / "sky"
    path.mkdir()
    mounted = Mount(path, tmp_path / "cache", server.registry_url)
    mounted.start("-o", "cache_size=600K")
    yield mounted
    mounted.stop()


def read_anew(path: Path, choice: random.Random) -> str:
    """MD5 of the file, read in pieces in any order, and nothing of it from the kernel."""
    file = os.open(path, os.O_RDONLY)
    try:
        os.posix_fadvise(file, 0, 0, os.POSIX_FADV_DONTNEED)
        size = os.fstat(file).st_size
        starts = list(range(0, size, PIECE))
        choice.shuffle(starts)
        pieces = {start: whole(file, start, min(PIECE, size - start)) for start in starts}
    finally:
        os.close(file)
    return hashlib.md5(b"".join(pieces[start] for start in sorted(pieces))).hexdigest()


def not_from_the_kernel(path: Path) -> bytes:
    with path.open("rb") as file:
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
        return file.read()


def whole(file: int, start: int, size: int) -> bytes:
    """A read that is short met an error after its first pages; the next one tells it."""
    found = b""
    while len(found) < size:
        piece = os.pread(file, size - len(found), start + len(found))
        assert piece, "the file ends before its size"
        found += piece
    return found


class Readers:
    """Read one file again and again, and count what they see."""

    def __init__(self, path: Path) -> None:
        self.seen: Counter[str] = Counter()
        self.failed: Counter[int] = Counter()
        self.wrong: list[str] = []
        self._over = threading.Event()
        self._threads = [
            threading.Thread(target=self._read, args=(path, seed)) for seed in range(READERS)
        ]

    @property
    def count(self) -> int:
        return self.seen.total() + self.failed.total()

    def _read(self, path: Path, seed: int) -> None:
        choice = random.Random(seed)
        while not self._over.is_set():
            try:
                self.seen[read_anew(path, choice)] += 1
            except OSError as exc:
                self.failed[exc.errno or -1] += 1
            except AssertionError as exc:
                self.wrong.append(str(exc))

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        for thread in self._threads:
            thread.join(timeout=120)
            assert not thread.is_alive()


def of_the_archive(server: Server, uri: str) -> str:
    """MD5 of what the archive itself gives."""
    url = server.registry_url.replace("/reg/resource-caps", f"/raven/files/{uri}")
    with urllib.request.urlopen(url, timeout=120) as reply:
        return hashlib.file_digest(reply, "md5").hexdigest()


def replaced(mount: Mount, server: Server, times: int) -> Readers:
    """Read while the file is replaced again and again."""
    path, md5, size = file_of(
        mount, server, "i.contentLength BETWEEN 1000000 AND 2000000 AND a.uri LIKE 'cadc:%'"
    )
    assert size > 3 * PIECE
    uri = f"cadc:{path.parts[-4]}/{path.name}"
    versions, faults = {md5}, []
    try:
        with Readers(path) as readers:
            for _ in range(times):
                before = readers.count
                faults.append(server.fault("replaced", uri=uri))
                versions.add(of_the_archive(server, uri))
                # Some are in the middle of the last version, which nobody has whole.
                (path.parent / ".refresh").read_text()
                until(lambda before=before: readers.count > before)
    finally:
        for fault in faults[::-1]:
            with contextlib.suppress(OSError):
                server.mend(fault)
    assert len(versions) == times + 1
    assert readers.wrong == []
    assert set(readers.seen) <= versions
    assert set(readers.failed) <= {errno.ESTALE}
    return readers


def test_each_read_is_of_one_version(forgetful: Mount, server: Server) -> None:
    readers = replaced(forgetful, server, 6)
    assert len(readers.seen) > 1


def test_what_was_given_up_for_room_is_made_the_same(mount: Mount, server: Server) -> None:
    mount.stop()
    mount.start("-o", "cache_size=8M")
    place = mount.path / "collections/CFHT/by-target/M31"
    names = ("metadata.vot", "metadata.csv")
    seen = [(place / name).read_bytes() for name in names]
    assert b"QUERY_STATUS" in seen[0]
    server.forget()

    def is_made_again() -> bool:
        not_from_the_kernel(place / "2376828p.fits.fz")
        assert [not_from_the_kernel(place / name) for name in names] == seen
        return any("SELECT *" in query for query in server.queries())

    until(is_made_again)


@pytest.mark.soak
def test_each_read_is_of_one_version_200_times(forgetful: Mount, server: Server) -> None:
    readers = replaced(forgetful, server, 200)
    sys.stderr.write(f"{readers.seen.total()} reads, {readers.failed} failed\n")
    assert len(readers.seen) > 20
