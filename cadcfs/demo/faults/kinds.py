"""The kinds of faults and what each may be told: one table for parser, help and docs."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any


class FaultError(ValueError):
    """A fault that cannot be understood, in one sentence."""


RANDOM = "random"
"""Stands for a place anywhere in a body, drawn from the fault's seed."""
NOTHING = "nothing"
"""Stands for a place before the headers: the client gets no answer at all."""


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError(value)
    return value


def _seconds(value: object) -> float:
    number = float(str(value))
    if not 0 <= number < 1e9:
        raise ValueError(value)
    return number


def _whole(value: object) -> int:
    number = int(str(value))
    if number < 0:
        raise ValueError(value)
    return number


def _rate(value: object) -> float:
    number = float(str(value))
    if not 0 < number < 1e12:
        raise ValueError(value)
    return number


def _status(value: object) -> int:
    number = int(str(value))
    if not 400 <= number <= 599:
        raise ValueError(value)
    return number


def _probability(value: object) -> float:
    number = float(str(value))
    if not 0 <= number <= 1:
        raise ValueError(value)
    return number


def _any_whole(value: object) -> int:
    return int(str(value))


def _place(value: object) -> int | str:
    return RANDOM if value == RANDOM else _whole(value)


def _place_or_none(value: object) -> int | str:
    return NOTHING if value == NOTHING else _place(value)


@dataclass(frozen=True, slots=True)
class Option:
    """Something a fault may be told; without a default it must be told."""

    read: Callable[[object], Any]
    help: str
    default: Any = None
    required: bool = False


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of fault."""

    help: str
    options: Mapping[str, Option] = field(default_factory=dict)


_AFTER = Option(
    _place_or_none,
    "bytes of the body that still get out, or random, or nothing (not even headers)",
    0,
)

KINDS: Mapping[str, Kind] = {
    "latency": Kind(
        "answers come later",
        {
            "seconds": Option(_seconds, "how much", 1.0),
            "jitter": Option(_seconds, "up to so much more, at random", 0.0),
        },
    ),
    "bandwidth": Kind(
        "all bodies together share a line",
        {"rate": Option(_rate, "bytes per second", required=True)},
    ),
    "busy": Kind(
        "an error status instead of an answer",
        {
            "status": Option(_status, "HTTP status", 503),
            "retry_after": Option(_whole, "seconds in Retry-After; 0 leaves it out", 2),
        },
    ),
    "reset": Kind("the connection is reset (TCP RST) within the body", {"after": _AFTER}),
    "short": Kind("the connection ends (TCP FIN) before the body does", {"after": _AFTER}),
    "stall": Kind(
        "the connection stays open and nothing comes any more",
        {
            "after": _AFTER,
            "seconds": Option(_seconds, "then it goes on; 0 means never", 0.0),
        },
    ),
    "wrong": Kind(
        "one byte of the body is another, under the same headers",
        {"after": Option(_place, "bytes of the body before it, or random", RANDOM)},
    ),
    "expired": Kind("logins from before this fault have ended (401); new ones are good"),
    "replaced": Kind(
        "a file has another version from now on: bytes, checksum, date, rows of the tables",
        {"uri": Option(_text, "artifact URI", required=True)},
    ),
    "embargo": Kind(
        "the data of a file's planes are public only so many seconds from now",
        {
            "uri": Option(_text, "artifact URI", required=True),
            "seconds": Option(_seconds, "until its release", 60.0),
        },
    ),
    "unavailable": Kind(
        "availability says false; all else in that service is 503",
        {"note": Option(_text, "the note in the document", "System is offline for maintainence")},
    ),
    "empty-registry": Kind("the registry answers 200 and nothing"),
    "row-cap": Kind(
        "answers of TAP are cut, as if MAXREC were smaller",
        {"rows": Option(_whole, "at so many rows", required=True)},
    ),
    "like-cadc": Kind(
        "queries that CADC has no index for, SELECT * and ORDER BY on the big tables are slow;"
        " DataLink takes its time for each ID",
        {
            "seconds": Option(_seconds, "for such a query", 30.0),
            "per_id": Option(_seconds, "for each ID of DataLink", 0.26),
        },
    ),
}

FILTERS: Mapping[str, Option] = {
    "path": Option(_text, "regular expression found in the request's path", ""),
    "method": Option(_text, "GET, HEAD, POST, ...", ""),
    "count": Option(_whole, "how many times at most; 0 is without limit", 0),
    "probability": Option(_probability, "0 to 1, drawn from the seed and the request", 1.0),
    "seed": Option(_any_whole, "another one hits other requests", 0),
}
"""What narrows a fault of any kind."""
