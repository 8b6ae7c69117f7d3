"""The files of a view, put together: for a mount, and for programs that come without one."""

from __future__ import annotations

import time
from collections.abc import Callable

from cadcfs.accounts import View
from cadcfs.archive.tables import Schema
from cadcfs.archive.tap import Tap
from cadcfs.config import Settings
from cadcfs.engine import Engine
from cadcfs.tree.control import Controls
from cadcfs.tree.jobs import JobsDirectory
from cadcfs.tree.node import Directory
from cadcfs.tree.root import Told, root
from cadcfs.tree.tables import TablesDirectory


class Trees:
    """Makes the tree of each view that is shown.

    Parameters
    ----------
    told
        What `.cadcfs/` tells; without it there is none.
    failure
        What went wrong last in a directory, by its key.
    """

    def __init__(
        self, settings: Settings, told: Told | None, failure: Callable[[str], str]
    ) -> None:
        self._settings = settings
        self._told = told
        self._failure = failure
        self._now = time.time_ns()
        self._public_jobs: JobsDirectory | None = None

    def of(self, view: View) -> tuple[Directory, Controls]:
        """The root of *view*, and the control files of its directories."""
        catalogue, desks = view.engine.catalogue, view.desks
        jobs = self._public_jobs
        if jobs is None or view.name:
            parts = (desks.jobs, desks.results, desks.short_forms)
            jobs = JobsDirectory(*parts, others=jobs, owner=view.name)
            self._public_jobs = self._public_jobs or jobs
        tables = _tables(view.engine, self._settings, self._now)
        controls = Controls(catalogue, self._failure, self._now)
        return root(catalogue, jobs, tables, self._told, self._now), controls


def _tables(engine: Engine, settings: Settings, now: int) -> TablesDirectory:
    schema = Schema(Tap(engine.client, engine.services), settings.listing_time)
    origin = engine.catalogue.origin
    return TablesDirectory(schema, engine.listings, origin, settings.names, now)
