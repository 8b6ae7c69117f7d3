"""The TAP service as one: queries at once, jobs, and what can be queried."""

from __future__ import annotations

from pathlib import Path

import trio
from starlette.routing import Route

from cadcfs.demo.tap import examples
from cadcfs.demo.tap.engine import Engine
from cadcfs.demo.tap.job_store import JobStore
from cadcfs.demo.tap.jobs import Jobs
from cadcfs.demo.tap.sync import SyncEndpoint
from cadcfs.demo.tap.tables import TablesEndpoint
from cadcfs.demo.tap.uws import UwsEndpoint

QUERY_SECONDS = 600.0
"""How long a synchronous query may take, as at CADC."""

_QUERIES_AT_ONCE = 8


class TapService:
    """Everything below `/argus` but what it says of itself."""

    def __init__(self, engine: Engine, store: JobStore) -> None:
        """Answer from an engine, and keep jobs in a store (blocking)."""
        self._engine = engine
        self._jobs = Jobs(engine, store)

    @classmethod
    def over(cls, database: Path, data_dir: Path, seconds: float = QUERY_SECONDS) -> TapService:
        """Serve a database, for *seconds* a synchronous query; jobs lie below *data_dir*."""
        return cls(Engine.over(database, seconds=seconds), JobStore.open(data_dir))

    def routes(self) -> list[Route]:
        """Return the routes of all endpoints."""
        limiter = trio.CapacityLimiter(_QUERIES_AT_ONCE)
        return [
            *SyncEndpoint(self._engine, limiter).routes(),
            *UwsEndpoint(self._jobs).routes(),
            *TablesEndpoint(self._engine.catalogue).routes(),
            *examples.routes(),
        ]

    async def run(self) -> None:
        """Execute jobs until cancelled."""
        await self._jobs.run()
