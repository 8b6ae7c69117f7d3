"""What is known of made files: size, checksum and generation of each, or why it cannot be made.

One small file of JSON beside each made one, renamed into place after the content is on disk.
Blocking, but for `peek`. A record that cannot be read is a miss.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import logging
import os
import tempfile
import time
from collections import OrderedDict
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Self, TypeAlias

from cadcfs.cache.presence import replace_file
from cadcfs.errors import NoContent, NotFound

log = logging.getLogger(__name__)

IN_MEMORY = 200_000
"""Records at hand; the least recently made go first and are read again when they are asked for."""
LASTING = 86400.0
"""Seconds that a refusal is believed which follows from the file itself."""
PASSING = 60.0
"""Seconds for any other: a file may be on its way."""
NEW = "new"
"""Where files lie while they are made."""
ABANDONED = 3600.0
"""Seconds without a byte after which nobody makes a file any more."""
CHUNK = 1 << 20


@dataclass(frozen=True, slots=True)
class Made:
    """A made file.

    Parameters
    ----------
    size
        Bytes.
    checksum
        XXH3, 128 bits, in hexadecimal.
    generation
        How often it was made again with another content.
    """

    size: int
    checksum: str
    generation: int = 0


@dataclass(frozen=True, slots=True)
class Refused:
    """Something that cannot be made; *until* in seconds since 1970."""

    reason: str
    until: float
    lasting: bool

    @classmethod
    def of(cls, exc: NotFound, *, lasting: bool) -> Self:
        return cls(str(exc), time.time() + (LASTING if lasting else PASSING), lasting)

    def is_fresh(self) -> bool:
        return time.time() < self.until

    def error(self) -> NotFound:
        return NoContent(self.reason) if self.lasting else NotFound(self.reason)


Record: TypeAlias = Made | Refused


class Records:
    """The records under one directory, by key."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._known: OrderedDict[str, Record] = OrderedDict()

    def peek(self, key: str) -> Record | None:
        """What memory holds; never waits."""
        return self._known.get(key)

    def path(self, key: str) -> Path:
        """Where the made file lies."""
        digest = hashlib.sha256(key.encode("utf-8", "surrogateescape")).hexdigest()
        return self._root / digest[:2] / digest

    def new_path(self, key: str) -> Path:
        """A name of an empty new file on the same disk."""
        self.path(key).parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        directory = self._root / NEW
        directory.mkdir(mode=0o700, exist_ok=True)
        fd, name = tempfile.mkstemp(dir=directory)
        os.close(fd)
        return Path(name)

    def sweep(self) -> None:
        """Remove what makings of an earlier process left half-written."""
        with contextlib.suppress(OSError):
            for path in (self._root / NEW).iterdir():
                if time.time() - path.stat().st_mtime > ABANDONED:
                    path.unlink(missing_ok=True)

    def load(self, keys: Iterable[str]) -> None:
        """Read the records of *keys* into memory."""
        for key in keys:
            found = self._read(key)
            if found is not None:
                self._known.setdefault(key, found)
        self._forget()

    def is_sound(self, key: str, made: Made) -> bool:
        """True if the content is here and is what was made."""
        try:
            sound = _measured(self.path(key)) == (made.size, made.checksum)
        except FileNotFoundError:
            return False
        except OSError as exc:
            log.warning("%s cannot be read back (%s); it is made again", key, exc)
            return False
        if not sound:
            log.warning("%s is damaged in the cache; it is made again", key)
        return sound

    def keep(self, key: str, path: Path) -> None:
        """Take the new file at *path* in."""
        made = self._version(key, path)
        with path.open("rb") as file:
            os.fsync(file.fileno())
        path.replace(self.path(key))
        self._write(key, made)
        self._known[key] = made

    def measure(self, key: str, path: Path) -> None:
        """Know the new file at *path*, which no disk keeps."""
        self._known[key] = self._version(key, path)

    def refuse(self, key: str, refusal: Refused) -> None:
        self._known[key] = refusal
        try:
            self.path(key).parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._write(key, refusal)
        except OSError as exc:
            log.info("a refusal is not kept on disk: %s", exc)

    def _version(self, key: str, path: Path) -> Made:
        size, checksum = _measured(path)
        before = self._known.get(key)
        if not isinstance(before, Made):
            return Made(size, checksum)
        changed = before.checksum != checksum
        return Made(size, checksum, before.generation + changed)

    def _write(self, key: str, record: Record) -> None:
        text = json.dumps({"key": key, **asdict(record)})
        replace_file(self.path(key).with_suffix(".json"), text.encode())

    def _read(self, key: str) -> Record | None:
        path = self.path(key).with_suffix(".json")
        try:
            fields = json.loads(path.read_bytes())
            if fields.pop("key") != key:
                return None
            return Refused(**fields) if "reason" in fields else Made(**fields)
        except FileNotFoundError:
            return None
        except (OSError, ValueError, TypeError, KeyError, AttributeError) as exc:
            log.warning("%s cannot be read (%s); its file is made again", path, exc)
            return None

    def _forget(self) -> None:
        while len(self._known) > IN_MEMORY:
            self._known.popitem(last=False)


def _measured(path: Path) -> tuple[int, str]:
    import xxhash

    digest, size = xxhash.xxh3_128(), 0
    with path.open("rb", buffering=0) as file:
        while chunk := file.read(CHUNK):
            digest.update(chunk)
            size += len(chunk)
    return size, digest.hexdigest()
