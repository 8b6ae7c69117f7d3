"""Open files and directories, by handle number."""

from __future__ import annotations

from itertools import count
from typing import Generic, TypeVar

T = TypeVar("T")


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
