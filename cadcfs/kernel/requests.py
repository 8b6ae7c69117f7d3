"""What the kernel asks: each request's id, what is under way, how many there were, how long."""

from __future__ import annotations

import errno
import logging
import secrets
import time
from bisect import bisect_left
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import count
from typing import Any

from cadcfs.logs import set_cause

log = logging.getLogger(__name__)

BUCKETS = (0.0001, 0.001, 0.01, 0.1, 0.5, 1.0, 5.0, 10.0, 30.0, 60.0, 120.0)
"""Upper ends in seconds; the last bucket has none."""
LONGEST_NAME = 255
"""Bytes (NAME_MAX)."""


class Request:
    """One call of the kernel; its text is its id."""

    __slots__ = ("arguments", "began", "number", "operation", "process")

    def __init__(
        self, process: str, number: int, operation: str, arguments: tuple[Any, ...]
    ) -> None:
        self.process = process
        self.number = number
        self.operation = operation
        self.arguments = arguments
        self.began = time.monotonic()

    def __str__(self) -> str:
        return f"cadcfs-{self.process}-{self.number}"


@dataclass(frozen=True)
class OperationStatistics:
    """Counts since the start: by bucket of `BUCKETS`, and one more for what took longer."""

    count: int
    seconds: float
    buckets: tuple[int, ...]


class Requests:
    """All requests of one mount. For the event loop only."""

    def __init__(self) -> None:
        self._process = secrets.token_hex(4)
        self._numbers = count(1)
        self._under_way: dict[int, Request] = {}
        self._buckets: dict[str, list[int]] = {}
        self._seconds: dict[str, float] = {}
        self.errors: dict[str, int] = {}
        """Answers by name of their errno."""

    def begin(self, operation: str, arguments: tuple[Any, ...]) -> Request:
        """A request came; what its task does from now on is because of it."""
        request = Request(self._process, next(self._numbers), operation, arguments)
        self._under_way[request.number] = request
        set_cause(request)
        return request

    def end(self, request: Request) -> None:
        """It was answered."""
        del self._under_way[request.number]
        seconds = time.monotonic() - request.began
        operation = request.operation
        buckets = self._buckets.get(operation)
        if buckets is None:
            buckets = self._buckets[operation] = [0] * (len(BUCKETS) + 1)
            self._seconds[operation] = 0.0
        buckets[bisect_left(BUCKETS, seconds)] += 1
        self._seconds[operation] += seconds
        if log.isEnabledFor(logging.DEBUG):
            log.debug("%s %s: %.1f ms", operation, _told(request.arguments), seconds * 1000)

    def failed(self, number: int) -> None:
        """One was answered with errno *number*."""
        name = errno.errorcode.get(number, str(number))
        self.errors[name] = self.errors.get(name, 0) + 1

    def under_way(self) -> list[Request]:
        """What waits for an answer, the oldest first."""
        return list(self._under_way.values())

    def statistics(self) -> Iterator[tuple[str, OperationStatistics]]:
        for operation, buckets in self._buckets.items():
            yield (
                operation,
                OperationStatistics(sum(buckets), self._seconds[operation], tuple(buckets)),
            )


def _told(arguments: tuple[Any, ...]) -> str:
    """The inode or handle, and the name or offset; never content."""
    words = [repr(a) for a in arguments[1:3] if isinstance(a, int) or _is_name(a)]
    return " ".join(words) or "-"


def _is_name(argument: object) -> bool:
    return isinstance(argument, bytes) and len(argument) <= LONGEST_NAME
