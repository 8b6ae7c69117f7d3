"""Open files and directories, by handle number."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import count
from typing import Generic, TypeVar

from cadcfs.tree.node import Entries, Opened

T = TypeVar("T")


@dataclass(slots=True)
class OpenFile:
    """A file that a process has open."""

    opened: Opened
    inode: int
    opener: int
    """The thread that opened it: a read does not say who asks."""
    lent_in: int | None = None
    """The generation in which it was opened; None for what is for everybody."""
    admitted: bool = False
    """Whether the opener was looked at: to look into /proc costs more than a read from the disk."""


@dataclass(frozen=True, slots=True)
class OpenDirectory:
    """A directory that a process lists, as it was in a generation of names."""

    inode: int
    entries: Entries
    generation: int


class HandleTable(Generic[T]):
    """Hands out numbers for what is open."""

    def __init__(self) -> None:
        self._numbers = count(1)
        self._open: dict[int, T] = {}

    def __len__(self) -> int:
        return len(self._open)

    def add(self, opened: T) -> int:
        number = next(self._numbers)
        self._open[number] = opened
        return number

    def __getitem__(self, number: int) -> T:
        return self._open[number]

    def get(self, number: int) -> T | None:
        return self._open.get(number)

    def remove(self, number: int) -> T:
        return self._open.pop(number)
