"""What is known of made files: size, checksum and generation of each, or why it cannot be made.

One small file of JSON each. A record that cannot be read is a miss.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import logging
import os
import time
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Self, TypeAlias

from cadcfs.errors import NoContent, NotFound

log = logging.getLogger(__name__)

IN_MEMORY = 4096
"""Records at hand, or as many as the largest directory needs. Those that nobody asked for longest
go first, and are read again when they are wanted: each refresh of a result makes others useless.
"""
LASTING = 86400.0
"""Seconds that a refusal is believed which follows from the file itself."""
PASSING = 60.0
"""Seconds for any other: a file may be on its way."""
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
    """The records under one directory, by key. Blocking, but for `peek`."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._known: OrderedDict[bytes, Record] = OrderedDict()
        self._most = IN_MEMORY

    def peek(self, key: str) -> Record | None:
        """What memory holds; never waits."""
        short = _short(key)
        # A thread may be about to take it away.
        with contextlib.suppress(KeyError):
            self._known.move_to_end(short)
        return self._known.get(short)

    def load(self, keys: Sequence[str]) -> None:
        """Read the records of *keys*, all of one directory, into memory."""
        self._most = max(self._most, 2 * len(keys))
        for key in keys:
            found = self._read(key)
            if found is not None:
                self._known.setdefault(_short(key), found)
        self._trim()

    def keep(self, key: str, record: Record) -> None:
        """Know *record* from now on, also in a later process if the disk is willing."""
        self._known[_short(key)] = record
        self._trim()
        path = self._path(key)
        new = path.with_name(f"{path.name}.{os.getpid()}")
        try:
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            new.write_text(json.dumps({"key": key, **asdict(record)}))
            # Not synchronized: a record that a crash has cut is a miss.
            new.replace(path)
        except OSError as exc:
            log.info("%s is not written (%s)", path, exc)
            with contextlib.suppress(OSError):
                new.unlink(missing_ok=True)

    def _trim(self) -> None:
        while len(self._known) > self._most:
            self._known.popitem(last=False)

    def _path(self, key: str) -> Path:
        digest = hashlib.sha256(key.encode("utf-8", "surrogateescape")).hexdigest()
        return self._root / digest[:2] / f"{digest}.json"

    def _read(self, key: str) -> Record | None:
        path = self._path(key)
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


def _short(key: str) -> bytes:
    """What stands for *key* in memory: keys hold queries, and each refresh brings new ones."""
    return hashlib.blake2b(key.encode("utf-8", "surrogateescape"), digest_size=16).digest()


def measured(fd: int) -> tuple[int, str]:
    """Size and checksum of an open file; blocking."""
    import xxhash

    digest, size = xxhash.xxh3_128(), 0
    while chunk := os.pread(fd, CHUNK, size):
        digest.update(chunk)
        size += len(chunk)
    return size, digest.hexdigest()
