"""One UWS job as a record, and its form on disk (UWS 1.1, section 2.1)."""

from __future__ import annotations

import json
import random
import string
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import trio

from cadcfs.demo.auth.caller import Caller
from cadcfs.demo.faults.pace import UNDISTURBED, Pace
from cadcfs.demo.tap.submission import Pairs, Submission

ACTIVE = frozenset({"PENDING", "QUEUED", "EXECUTING"})
PHASES = ACTIVE | {"COMPLETED", "ERROR", "ABORTED", "UNKNOWN", "HELD", "SUSPENDED", "ARCHIVED"}

MOST_SECONDS = 4 * 3600
"""How long a job may execute, and does if nothing less is asked."""

_LIFE = timedelta(days=7)
_QUOTE = timedelta(days=1)
_ALPHABET = string.ascii_lowercase + string.digits
_TIMES = ("quote", "created", "started", "ended", "destruction")
_random = random.SystemRandom()


def new_id() -> str:
    """Make a job's identifier: 16 letters and digits that nobody guesses."""
    return "".join(_random.choices(_ALPHABET, k=16))


def now() -> datetime:
    """Return the present, without a zone, in UTC; as exact as documents tell it."""
    present = datetime.now(UTC).replace(tzinfo=None)
    return present.replace(microsecond=present.microsecond // 1000 * 1000)


@dataclass(slots=True, eq=False)
class Job:
    """A request to be run, where it stands, and what came of it."""

    id: str
    submission: Submission
    caller: Caller
    base_url: str = ""
    run_id: str | None = None
    phase: str = "PENDING"
    quote: datetime = field(default_factory=lambda: now() + _QUOTE)
    created: datetime = field(default_factory=now)
    started: datetime | None = None
    ended: datetime | None = None
    seconds: int = MOST_SECONDS
    destruction: datetime = field(default_factory=lambda: now() + _LIFE)
    results: tuple[tuple[str, str], ...] = ()
    error: str | None = None
    file: str | None = None
    content_type: str = ""
    pace: Pace = UNDISTURBED
    changed: trio.Event = field(default_factory=trio.Event)

    @property
    def is_active(self) -> bool:
        """Whether the phase can still change by itself or by a client's wish."""
        return self.phase in ACTIVE

    def move(self, phase: str) -> None:
        """Enter another phase, and wake who waits for that."""
        self.phase = phase
        if phase == "EXECUTING":
            self.started = now()
        elif phase not in ACTIVE:
            self.ended = now()
        self.changed.set()
        self.changed = trio.Event()

    def fail(self, message: str) -> None:
        """End in ERROR."""
        self.error = message
        self.move("ERROR")

    def to_json(self) -> str:
        """Write everything but the uploaded files."""
        times = {name: _written(getattr(self, name)) for name in _TIMES}
        return json.dumps({
            "id": self.id, "parameters": self.submission.pairs, "owner": self.caller.name,
            "groups": sorted(self.caller.groups), "base_url": self.base_url,
            "run_id": self.run_id, "phase": self.phase, "seconds": self.seconds,
            "results": self.results, "error": self.error, "file": self.file,
            "content_type": self.content_type, **times,
        })  # fmt: skip

    @classmethod
    def from_json(cls, text: str, files: Mapping[str, bytes]) -> Job:
        """Read a job back; raise ValueError, KeyError or TypeError for what is none."""
        known: dict[str, Any] = json.loads(text)
        times: dict[str, Any] = {
            name: datetime.fromisoformat(known[name]) for name in _TIMES if known[name]
        }
        pairs: Pairs = tuple((str(key), str(value)) for key, value in known["parameters"])
        return cls(
            known["id"], Submission(pairs, files),
            Caller(known["owner"], frozenset(known["groups"])),
            known["base_url"], known["run_id"], known["phase"], seconds=known["seconds"],
            results=tuple((name, href) for name, href in known["results"]),
            error=known["error"], file=known["file"], content_type=known["content_type"], **times,
        )  # fmt: skip


def _written(moment: datetime | None) -> str | None:
    return None if moment is None else moment.isoformat(timespec="milliseconds")
