"""Bring one file: into the cache by reading it, or to a place of its own; whole, or not at all."""

from __future__ import annotations

import errno
import fcntl
import hashlib
import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from io import FileIO
from pathlib import Path

from cadcfs.cli.fetch_plan import Wanted
from cadcfs.cli.info import facts_of
from cadcfs.errors import UserError

PIECE = 1 << 20
"""Bytes read at once."""
PAUSES = (1.0, 5.0, 15.0)
"""Seconds before a file that failed is tried again."""
PASSING = frozenset({errno.EIO, errno.EAGAIN, errno.EBUSY, errno.ESTALE, errno.EHOSTUNREACH})
"""What may be better the next time."""

ERROR = ".error"
"""What a directory of the mount tells of its last failures."""

Told = Callable[[int, int], None]
"""(bytes that came, size of the file)."""


@dataclass(frozen=True)
class Version:
    """What tells one version of a file: size, time, and MD5 where the archive knows it."""

    size: int
    mtime_ns: int
    md5: str | None

    @property
    def tag(self) -> str:
        """Part of the name of what has come so far."""
        return (self.md5 or f"{self.size}-{self.mtime_ns}")[:12]


class _Furthest:
    """Tells of bytes once, also when a try begins again."""

    def __init__(self, told: Told) -> None:
        self._told = told
        self._here = self._furthest = 0

    def begin(self) -> None:
        self._here = 0

    def told(self, came: int, size: int) -> None:
        self._here += came
        if self._here > self._furthest:
            self._told(self._here - self._furthest, size)
            self._furthest = self._here


def bring(file: Wanted, destination: Path | None, told: Told, again: Callable[[str], None]) -> bool:
    """Bring *file* whole and verified; False if it was there already. Blocking.

    *again* hears why it is tried another time, and when.

    Raises
    ------
    OSError
        As reading or writing says, after some tries.
    UserError
        Its bytes do not match their checksum, or another command is at it.
    """
    furthest = _Furthest(told)
    for pause in (*PAUSES, None):
        try:
            furthest.begin()
            if destination is None:
                return _warm(file.path, furthest.told)
            return _copy(file.path, destination / file.target, furthest.told)
        except OSError as exc:
            if pause is None or exc.errno not in PASSING:
                raise
            again(f"{exc.strerror or exc}; again in {pause:g} s")
            time.sleep(pause)
    raise AssertionError("unreachable")


def words_of(exc: OSError | UserError, path: Path) -> str:
    """What went wrong with *path*, and where more is told of it."""
    if isinstance(exc, UserError) or not exc.strerror:
        return str(exc)
    is_told = os.access(path.with_name(ERROR), os.R_OK)
    return f"{exc.strerror}; {ERROR} beside it tells why" if is_told else exc.strerror


def _warm(path: Path, told: Told) -> bool:
    """Read all of it; the mount checks it as a whole before its last bytes are served."""
    with path.open("rb", buffering=0) as source:
        size = os.fstat(source.fileno()).st_size
        if _cached(path) == size:
            told(size, size)
            return False
        # What the kernel still has would be read past the cache, which may have been cleared.
        os.posix_fadvise(source.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
        while piece := source.read(PIECE):
            told(len(piece), size)
    return True


def _copy(path: Path, target: Path, told: Told) -> bool:
    with path.open("rb", buffering=0) as source:
        found = os.fstat(source.fileno())
        version = Version(found.st_size, found.st_mtime_ns, _md5(path))
        if _is_there(target, version):
            told(version.size, version.size)
            return False
        target.parent.mkdir(parents=True, exist_ok=True)
        part = target.with_name(f".{target.name}.{version.tag}.part")
        with part.open("a+b", buffering=0) as sink:
            _lock(sink.fileno(), part)
            digest = _go_on(source, sink, version, told)
            if version.md5 and digest != version.md5:
                part.unlink()
                raise UserError("the bytes that came do not match its checksum")
            os.fsync(sink.fileno())
            os.utime(sink.fileno(), ns=(version.mtime_ns, version.mtime_ns))
            part.replace(target)
    return True


def _go_on(source: FileIO, sink: FileIO, version: Version, told: Told) -> str:
    """Append what lacks to *sink*; returns the MD5 of the whole, what was there included."""
    digest = hashlib.md5(usedforsecurity=False)
    sink.seek(0)
    while piece := sink.read(PIECE):
        digest.update(piece)
    here = sink.tell()
    if here > version.size:
        sink.truncate(0)
        return _go_on(source, sink, version, told)
    told(here, version.size)
    source.seek(here)
    while piece := source.read(PIECE):
        digest.update(piece)
        view = memoryview(piece)
        while view:
            view = view[sink.write(view) :]
        told(len(piece), version.size)
    if sink.tell() != version.size:
        raise OSError(errno.EIO, f"{sink.tell()} bytes came, {version.size} were expected")
    return digest.hexdigest()


def _lock(fd: int, part: Path) -> None:
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as exc:
        raise UserError(f"another command writes {part}") from exc


def _is_there(target: Path, version: Version) -> bool:
    """As rsync sees it: the same size and time. What is left here is always whole."""
    try:
        found = target.stat()
    except FileNotFoundError:
        return False
    return (found.st_size, found.st_mtime_ns) == (version.size, version.mtime_ns)


def _md5(path: Path) -> str | None:
    algorithm, _, digest = _facts(path).get("checksum", "").partition(":")
    return digest if algorithm == "md5" else None


def _cached(path: Path) -> int:
    return int(_facts(path).get("cached", "-1"))


def _facts(path: Path) -> dict[str, str]:
    try:
        return facts_of(path)
    except UserError:
        # What is made here is known by its size alone.
        return {}
