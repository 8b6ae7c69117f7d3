"""Background tasks: what goes wrong in one of them costs that task, never the mount."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from typing import TypeVarTuple

import trio

log = logging.getLogger(__name__)

Ts = TypeVarTuple("Ts")

PAUSE = 1.0
"""Seconds until a task that should last is started again."""


async def guarded(work: Callable[[*Ts], Awaitable[object]], *args: *Ts) -> None:
    """Run *work* in a nursery that others live in: its failure is logged and ends there."""
    try:
        await work(*args)
    except Exception:
        log.exception("a background task failed in an unforeseen way: %s", _name(work))


async def lasting(work: Callable[[*Ts], Awaitable[object]], *args: *Ts) -> None:
    """Run *work*, which never ends by itself; start it again when it fails."""
    while True:
        await guarded(work, *args)
        await trio.sleep(PAUSE)


def _name(work: object) -> str:
    return getattr(work, "__qualname__", repr(work))
