"""Who asks the archive."""

from __future__ import annotations

import time
from dataclasses import dataclass

from cadcfs.network.redirects import NONE, Credentials


@dataclass(frozen=True)
class Identity:
    """An account of the archive, or nobody in particular.

    Parameters
    ----------
    name
        The account; "" for nobody.
    how
        Where the credentials come from, in one word.
    until
        When they end, in seconds since 1970; None where nobody knows.
    note
        Why it is nobody, where somebody was to be expected.
    """

    name: str = ""
    how: str = ""
    until: float | None = None
    note: str = ""
    credentials: Credentials = NONE

    @property
    def is_anonymous(self) -> bool:
        return not self.name

    def __str__(self) -> str:
        if self.is_anonymous:
            return f"anonymous ({self.note})" if self.note else "anonymous"
        end = f", until {date(self.until)}" if self.until is not None else ""
        return f"{self.name} ({self.how}{end})"


ANONYMOUS = Identity()


def date(seconds: float) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(seconds))
