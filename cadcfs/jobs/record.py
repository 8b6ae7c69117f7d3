"""One job, as the registry keeps it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum

ARCHIVE_FORM = re.compile(r"[a-z0-9]{16}")
"""What CADC calls its jobs: names of this form are the archive's, never ours."""


class Phase(StrEnum):
    """Phases of a job (UWS 1.1, 2.1.3); those that only a server's inside knows are left out."""

    PENDING = "PENDING"
    QUEUED = "QUEUED"
    EXECUTING = "EXECUTING"
    HELD = "HELD"
    SUSPENDED = "SUSPENDED"
    UNKNOWN = "UNKNOWN"
    COMPLETED = "COMPLETED"
    ERROR = "ERROR"
    ABORTED = "ABORTED"
    ARCHIVED = "ARCHIVED"

    @property
    def has_ended(self) -> bool:
        return self in ENDED


ENDED = frozenset({Phase.COMPLETED, Phase.ERROR, Phase.ABORTED, Phase.ARCHIVED})


class Wish(StrEnum):
    """What the user told the job to do and the archive has not heard yet."""

    RUN = "RUN"
    ABORT = "ABORT"
    DELETE = "DELETE"


@dataclass(frozen=True)
class Job:
    """One job.

    Parameters
    ----------
    key
        Number in the registry; never used again.
    name
        What the user calls it; the archive's id for a job made elsewhere.
    is_ours
        False for a job made elsewhere and opened here by the archive's id.
    archive_id
        None as long as the archive does not know the job.
    phase
        As shown; COMPLETED only once the result is here, or could not be fetched.
    wish
        None when the archive knows everything that the user wants.
    adql
        The query as of the last time that it was written; None without one.
    maxrec
        Rows; None for the service's own limit.
    document
        The last UWS document of the archive.
    error
        For error.txt; None without one.
    created, changed
        Seconds since 1970.
    """

    key: int
    name: str
    is_ours: bool
    archive_id: str | None
    phase: Phase
    wish: Wish | None
    adql: str | None
    maxrec: int | None
    document: str | None
    error: str | None
    created: float
    changed: float

    @property
    def may_change(self) -> bool:
        """True until it is run: the query, the row limit and the uploads may be edited."""
        return self.phase is Phase.PENDING and self.wish is None and self.is_ours

    @property
    def needs_care(self) -> bool:
        """True while there is something to tell the archive or to learn from it."""
        is_under_way = self.phase not in ENDED and self.phase is not Phase.PENDING
        return self.wish is not None or is_under_way
