"""Whether somebody waits for an answer, or it is asked behind and has time."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

_behind: ContextVar[bool] = ContextVar("behind", default=False)


def is_behind() -> bool:
    return _behind.get()


@contextmanager
def behind(yes: bool) -> Iterator[None]:
    """Ask behind inside, if *yes*."""
    token = _behind.set(yes)
    try:
        yield
    finally:
        _behind.reset(token)
