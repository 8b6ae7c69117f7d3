"""The registry and the folders of jobs, as the event loop uses them; and the news of changes."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import ParamSpec, TypeVar

import trio

from cadcfs.errors import NotFound
from cadcfs.jobs.folder import Folder
from cadcfs.jobs.record import Job
from cadcfs.jobs.registry import Registry

P = ParamSpec("P")
T = TypeVar("T")

LOOK = 1.0
"""Seconds between two looks at what another process may have changed."""


class Desk:
    """Rows and files of jobs. Disk work goes to threads."""

    def __init__(self, registry: Registry, root: Path) -> None:
        self.registry = registry
        self.threads = trio.CapacityLimiter(4)
        self._root = root
        self._news = trio.Event()

    def folder(self, key: int) -> Folder:
        return Folder(self._root, key)

    async def in_thread(self, work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        return await trio.to_thread.run_sync(lambda: work(*args, **kwargs), limiter=self.threads)

    async def row(self, key: int) -> Job | None:
        """The job, also one that is being removed; None once it is gone."""
        try:
            return await self.in_thread(self.registry.get, key)
        except NotFound:
            return None

    async def change(self, job: Job, **values: object) -> Job:
        changed = await self.in_thread(self.registry.change, job.key, **values)
        self.tell_news()
        return changed

    def tell_news(self) -> None:
        self._news.set()
        self._news = trio.Event()

    async def next_look(self) -> None:
        """Return when something has changed, or may have in another process."""
        news = self._news
        with trio.move_on_after(LOOK):
            await news.wait()
