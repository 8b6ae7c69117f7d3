"""What every task and thread is at, for a bug report: logged on SIGUSR1."""

from __future__ import annotations

import sys
import threading
import traceback
from collections import Counter
from collections.abc import Iterator

import trio

DEEPEST = 12
"""Frames of each stack that are told, the innermost ones."""


def text() -> str:
    """All tasks, with where they wait, those at the same place together; then all threads."""
    root = trio.lowlevel.current_root_task()
    places = Counter(_place(task) for task in _below(root)) if root else Counter()
    lines = [f"{sum(places.values())} tasks:"]
    for (name, stack), number in places.most_common():
        lines += [f"  {number} x {name}", *(f"      {frame}" for frame in stack)]
    names = {thread.ident: thread.name for thread in threading.enumerate()}
    frames = sys._current_frames()
    lines.append(f"{len(frames)} threads:")
    for ident, frame in frames.items():
        lines.append(f"  {names.get(ident, ident)}")
        summary = traceback.extract_stack(frame)[-DEEPEST:]
        lines += [f"      {each.filename}:{each.lineno} {each.name}" for each in summary]
    return "\n".join(lines)


def _below(task: trio.lowlevel.Task) -> Iterator[trio.lowlevel.Task]:
    yield task
    for nursery in task.child_nurseries:
        for child in nursery.child_tasks:
            yield from _below(child)


def _place(task: trio.lowlevel.Task) -> tuple[str, tuple[str, ...]]:
    """The task's name and its innermost frames."""
    stack = [
        f"{frame.f_code.co_filename}:{number} {frame.f_code.co_name}"
        for frame, number in task.iter_await_frames()
    ]
    return task.name, tuple(stack[-DEEPEST:])
