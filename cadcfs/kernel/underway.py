"""What waits for an answer, for people: which call, of which path, by whom, for how long."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from typing import Any

from pyfuse3 import RequestContext

from cadcfs.kernel.callers import caller_of
from cadcfs.kernel.operations import Operations
from cadcfs.kernel.requests import Request

NAMED = frozenset({"lookup", "create", "mknod", "mkdir", "unlink", "rmdir", "rename", "symlink"})
"""Calls about a name in a directory."""
NAMED_PROGRAMS = 50
"""Of so many calls, the oldest, is found out which program asked: a status must not take long."""


@dataclass(frozen=True)
class UnderWay:
    """One call of the kernel; *age* in seconds, *pid* 0 where nobody is known to have asked."""

    run_id: str
    operation: str
    path: str
    age: float
    pid: int
    program: str


def under_way(operations: Operations, *, but: str = "") -> list[UnderWay]:
    """All calls that wait for an answer, the oldest first, without the one with the id *but*."""
    waiting = [r for r in operations.requests.under_way() if str(r) != but]
    return [
        _told(operations, request, named=place < NAMED_PROGRAMS)
        for place, request in enumerate(waiting)
    ]


def _told(operations: Operations, request: Request, *, named: bool) -> UnderWay:
    pid = _pid(operations, request)
    return UnderWay(
        str(request), request.operation, _path(operations, request),
        round(time.monotonic() - request.began, 3), pid,
        str(caller_of(pid, 0)) if pid and named else "",
    )  # fmt: skip


def _path(operations: Operations, request: Request) -> str:
    if len(request.arguments) < 2:
        return ""
    inode = operations.concerned(request.operation, request.arguments[1])
    if inode is None:
        return ""
    path = operations.inodes.path(inode)
    if request.operation in NAMED:
        return f"{path.rstrip('/')}/{os.fsdecode(request.arguments[2])}"
    return path


def _pid(operations: Operations, request: Request) -> int:
    context: Any = request.arguments[-1]
    if isinstance(context, RequestContext):
        return int(context.pid)
    place = request.arguments[1] if len(request.arguments) > 1 else None
    return operations.opener(request.operation, place)
