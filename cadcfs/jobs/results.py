"""The result of a job in one of its formats: made when it is first wanted, once for all."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path

import trio

from cadcfs.archive.conversion import Format, convert
from cadcfs.jobs.engine import Jobs
from cadcfs.jobs.folder import settle
from cadcfs.tasks import guarded

WORKERS = 2
"""Conversions at once: each is a process that holds astropy and some thousand rows."""


@dataclass
class _Making:
    done: trio.Event = field(default_factory=trio.Event)
    error: Exception | None = None


class Results:
    """Files of results. A making goes on when its first asker is gone."""

    def __init__(self, jobs: Jobs, nursery: trio.Nursery) -> None:
        self._jobs = jobs
        self._nursery = nursery
        self._makings: dict[Path, _Making] = {}
        self._turns = trio.CapacityLimiter(WORKERS)

    def place(self, key: int, form: Format) -> Path:
        """Where it lies once it is made."""
        return self._jobs.desk.folder(key).result(form.value)

    async def whole(self, key: int, form: Format) -> Path:
        """The result of the job *key* as *form*.

        Raises
        ------
        NotFound
            The job has none.
        Corrupt, Unavailable, OSError
        """
        place = self.place(key, form)
        making = self._makings.get(place)
        if making is None:
            if await self._jobs.desk.in_thread(place.exists):
                return place
            making = self._makings.setdefault(place, _Making())
            if not making.done.is_set():
                self._nursery.start_soon(guarded, self._make, key, form, making)
        await making.done.wait()
        if making.error is not None:
            raise making.error
        return place

    async def _make(self, key: int, form: Format, making: _Making) -> None:
        place = self.place(key, form)
        try:
            source = await self._jobs.result(key)
            if form is not Format.VOT:
                async with self._turns:
                    await self._converted(source, place, form)
        except Exception as exc:  # noqa: BLE001  (whoever waits gets it)
            making.error = exc
        finally:
            self._makings.pop(place, None)
            making.done.set()

    async def _converted(self, source: Path, place: Path, form: Format) -> None:
        part = place.with_name(f"{place.name}.{os.getpid()}.part")
        try:
            await convert(source, part, form)
            await self._jobs.desk.in_thread(settle, part)
            await self._jobs.desk.in_thread(part.replace, place)
        finally:
            part.unlink(missing_ok=True)
