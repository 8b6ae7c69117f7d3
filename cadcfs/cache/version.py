"""Which version of which file is kept, and where."""

from __future__ import annotations

from concurrent.futures import Executor
from dataclasses import dataclass
from pathlib import Path

from cadcfs.cache.datafile import Memory
from cadcfs.cache.room import Room


@dataclass(frozen=True)
class Version:
    """One version of one remote file.

    Parameters
    ----------
    key
        What tells it from all other files and versions.
    size
        Bytes.
    md5
        Of the whole file, in hexadecimal; None where the archive does not tell.
    """

    key: str
    size: int
    md5: str | None


@dataclass(frozen=True)
class Means:
    """What all open files of one process share: threads for digests, and memory without a disk."""

    executor: Executor
    memory: Memory


@dataclass(frozen=True)
class Place:
    """Where a file is kept: path without suffix, and the room that it shares."""

    path: Path
    room: Room

    @property
    def name(self) -> str:
        return self.path.name
