"""The jobs of an archive, as the settings say: for the mount and for the command."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

import trio

from cadcfs.archive.services import Services
from cadcfs.archive.uws import Uws
from cadcfs.config import Settings
from cadcfs.errors import CadcfsError
from cadcfs.jobs.engine import Jobs
from cadcfs.jobs.folder import SHORT, drop_leftovers, mark_run, not_run
from cadcfs.jobs.registry import Registry
from cadcfs.jobs.results import Results
from cadcfs.network.client import Client

ANONYMOUS = "anonymous"
"""Owner of jobs that were made without a login."""
log = logging.getLogger(__name__)

LONGEST = 200
"""Characters of an archive's address that tell it from others in a file name."""
DIRECTORY = "jobs-v1"
"""Not a cache: it holds the only list of the user's jobs."""


@dataclass(frozen=True)
class Desks:
    """What works on jobs, where queries of the short form lie, and where everything does."""

    jobs: Jobs
    results: Results
    short_forms: Path
    root: Path

    async def start(self) -> None:
        """Go on with what was under way when the last process ended."""
        await self.jobs.start()
        for name in await trio.to_thread.run_sync(not_run, self.short_forms):
            job = await self.jobs.find(name)
            if job is None or not job.may_change:
                continue
            log.info("running job %s, whose query was written before the end", name)
            try:
                await self.jobs.run(job)
            except CadcfsError as exc:
                log.warning("job %s is not run: %s", name, exc)
            else:
                await trio.to_thread.run_sync(mark_run, self.short_forms / f"{name}{SHORT}")


@asynccontextmanager
async def opened(
    settings: Settings, client: Client, services: Services, owner: str, place: Path
) -> AsyncIterator[Desks]:
    """The jobs of *owner*, below *place*.

    What is under way goes on meanwhile, and waits on disk afterwards.
    """
    root = place / DIRECTORY
    registry = await trio.to_thread.run_sync(
        Registry, root / "jobs.sqlite", settings.archive, owner
    )
    await trio.to_thread.run_sync(drop_leftovers, root)
    try:
        async with trio.open_nursery() as nursery:
            uws = Uws(client, services, settings.metadata_time)
            jobs = Jobs(registry, uws, root, nursery, polled=settings.jobs_polled)
            # By archive, as the registry's rows are.
            short_forms = root / "queries" / quote(settings.archive, safe="")[-LONGEST:]
            yield Desks(jobs, Results(jobs, nursery), short_forms, root)
            nursery.cancel_scope.cancel()
    finally:
        registry.close()
