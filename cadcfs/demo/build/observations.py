"""Builds a whole archive."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from cadcfs.demo.archive import Archive
from cadcfs.demo.build import (
    bulk,
    cfht,
    deep,
    documented,
    examples,
    others,
    special,
    targets,
)
from cadcfs.demo.build.database import write_database
from cadcfs.demo.build.plan import Plan
from cadcfs.demo.build.store import Store


def build(archive: Archive, *, small: bool, seed: int, report: Callable[[str], None]) -> None:
    """Fill an empty directory with files, their inventory and their metadata."""
    archive.files.mkdir(parents=True, exist_ok=True)
    store = Store(archive)
    plan = Plan(store, np.random.Generator(np.random.PCG64(seed)), small)
    report("building the archive: files")
    exposures = [*cfht.observations(plan), *others.observations(plan)]
    exposures += examples.observations(plan)
    exposures += targets.awkward(cfht.shared(plan))
    exposures += targets.survey(plan)
    exposures += deep.observations(plan)
    exposures += documented.observations(plan)
    exposures += special.observations(plan)
    exposures += bulk.epochs(plan)
    exposures += bulk.monitor(plan)
    report("building the archive: tables")
    store.write_inventory()
    write_database(archive.database, exposures)
