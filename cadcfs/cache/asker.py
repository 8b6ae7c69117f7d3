"""On whose behalf an answer is asked.

Who asks for a new answer may have to wait for its turn (the kernel's side knows when). What runs
behind, and the command, ask on nobody's behalf and wait for nothing.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Protocol


class Asker(Protocol):
    """Somebody who has only so many questions."""

    async def turn(self) -> None:
        """Return when a new question may be asked; `Busy` if that is too late or never."""

    def turn_nowait(self) -> bool:
        """True if a question that nobody waits for may be asked at once."""


# A variable of the task, so that nodes and catalogue need not hand it through.
_asker: ContextVar[Asker | None] = ContextVar("asker", default=None)


def current_asker() -> Asker | None:
    return _asker.get()


@contextmanager
def on_behalf_of(asker: Asker | None) -> Iterator[None]:
    """Ask for *asker* inside."""
    token = _asker.set(asker)
    try:
        yield
    finally:
        _asker.reset(token)
