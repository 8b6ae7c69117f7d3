"""The jobs of an archive, as the settings say: for the mount and for the command."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import trio

from cadcfs.archive.services import Services
from cadcfs.archive.uws import Uws
from cadcfs.config import Settings
from cadcfs.jobs.engine import Jobs
from cadcfs.jobs.registry import Registry
from cadcfs.jobs.results import Results
from cadcfs.network.client import Client

ANONYMOUS = "anonymous"
"""Owner of jobs that were made without a login."""
DIRECTORY = "jobs-v1"
"""Not a cache: it holds the only list of the user's jobs."""


@dataclass(frozen=True)
class Desks:
    """What works on jobs, and where queries of the short form lie."""

    jobs: Jobs
    results: Results
    short_forms: Path


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
    try:
        async with trio.open_nursery() as nursery:
            uws = Uws(client, services, settings.metadata_time)
            jobs = Jobs(registry, uws, root, nursery, polled=settings.jobs_polled)
            yield Desks(jobs, Results(jobs, nursery), root / "queries")
            nursery.cancel_scope.cancel()
    finally:
        registry.close()
