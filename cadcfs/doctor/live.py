"""The self-test against a real archive: does it still behave as the code assumes?

Goes the ways that a mount goes, without the kernel: registry, capabilities, one region, one
listing, one header, one cutout, one job. Each step tells what it found and how long it took.
"""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory

import trio

from cadcfs.archive.constraints import Question
from cadcfs.archive.uws import Uws
from cadcfs.config import Settings
from cadcfs.doctor.finding import Finding, ok, problem
from cadcfs.engine import Engine, running
from cadcfs.errors import CadcfsError, Incomplete, NotFound
from cadcfs.tree.endless import RegionsDirectory
from cadcfs.tree.node import Directory, File, is_directory, is_file

REGION = "10.6847_41.2688_0.05"
"""M31, of which an archive of northern skies has something."""
COLLECTION = "CFHT"
CARD = 80
STEP_TIME = 180.0
"""Seconds for one step."""
JOB_WAIT = 30
REPORT_CURE = "report it with what is printed here"


@dataclass
class _Walk:
    """How far the test has come."""

    engine: Engine
    settings: Settings
    region: Directory | None = None
    result: Directory | None = None

    async def capabilities(self) -> str:
        services = self.engine.services
        urls = [await services.tap_url(), await services.files_url(),
                await services.locate_url(), await services.soda_url(),
                await services.datalink_url()]  # fmt: skip
        return f"TAP {urls[0]}, files {urls[1]}, SODA {urls[3]}"

    async def registry(self) -> str:
        await self.engine.services.check()
        return self.settings.registry_urls[0]

    async def one_region(self) -> str:
        regions = RegionsDirectory(self.engine.catalogue, Question(None), "/region")
        self.region = await _directory(regions, REGION)
        names = [name for name, node in await self.region.entries() if is_directory(node)]
        if COLLECTION not in names:
            raise NotFound(f"the region {REGION} has nothing of {COLLECTION}, but {names}")
        return f"{REGION}: {len(names)} collections"

    async def one_listing(self) -> str:
        assert self.region is not None
        self.result = await _directory(self.region, COLLECTION)
        files = [node for _, node in await self.result.entries() if is_file(node)]
        sized = [node for node in files if (known := node.attributes_now()) and known.size]
        if not sized:
            raise Incomplete(f"none of {len(files)} files of {COLLECTION} has a size")
        return f"{len(files)} files of {COLLECTION}, {len(sized)} with a size"

    async def one_header(self) -> str:
        return await self._first_of("headers", b"SIMPLE  =")

    async def one_cutout(self) -> str:
        return await self._first_of("cutouts", b"SIMPLE  =")

    async def one_job(self) -> str:
        uws = Uws(self.engine.client, self.engine.services, self.settings.metadata_time)
        adql = "SELECT TOP 1 collection FROM caom2.Observation"
        job = await uws.create(adql, None, {}, seconds=self.settings.metadata_time)
        try:
            job = await uws.run(job.job_id)
            while job.phase in ("PENDING", "QUEUED", "EXECUTING"):
                job = await uws.job(job.job_id, wait=JOB_WAIT, phase=job.phase)
            if job.phase != "COMPLETED":
                raise Incomplete(f"job {job.job_id} ended as {job.phase}: {job.error}")
            async with await uws.result(job) as pieces:
                size = sum([len(piece) async for piece in pieces])
        finally:
            with trio.move_on_after(self.settings.metadata_time) as scope:
                scope.shield = True
                await uws.delete(job.job_id)
        return f"job {job.job_id}: {size} bytes of result"

    async def _first_of(self, view: str, beginning: bytes) -> str:
        """Read the beginning of the first file of a view of the result."""
        assert self.result is not None
        directory = await _directory(self.result, view)
        entries = [(n, node) for n, node in await directory.entries() if is_file(node)]
        if not entries:
            raise NotFound(f"{view}/ is empty")
        name, node = entries[0]
        assert is_file(node)
        content = await _read(node, CARD)
        if not content.startswith(beginning):
            raise Incomplete(f"{view}/{name} begins with {content[:30]!r}")
        return f"{view}/{name}"


async def look(settings: Settings) -> AsyncIterator[Finding]:
    """One finding a step; what depends on a step that failed is not tried."""
    with TemporaryDirectory(prefix="cadcfs-live-") as directory:
        fresh = replace(settings, cache_dir=Path(directory), offline=False)
        async with running(fresh) as engine:
            walk = _Walk(engine, fresh)
            steps: dict[str, Callable[[], Awaitable[str]]] = {
                "registry": walk.registry,
                "capabilities": walk.capabilities,
                "region": walk.one_region,
                "listing": walk.one_listing,
                "header": walk.one_header,
                "cutout": walk.one_cutout,
                "job": walk.one_job,
            }
            for name, step in steps.items():
                needs_result = name in ("header", "cutout") and walk.result is None
                if needs_result or (name == "listing" and walk.region is None):
                    yield problem(name, "not tried, for an earlier step failed", REPORT_CURE)
                    continue
                yield await _taken(name, step)


async def _taken(name: str, step: Callable[[], Awaitable[str]]) -> Finding:
    began = time.monotonic()
    try:
        with trio.fail_after(STEP_TIME):
            words = await step()
    except trio.TooSlowError:
        return problem(name, f"did not end within {STEP_TIME:g} s", REPORT_CURE)
    except CadcfsError as exc:
        return problem(name, f"{type(exc).__name__}: {exc}", REPORT_CURE)
    return ok(name, f"{words} ({time.monotonic() - began:.2f} s)")


async def _directory(parent: Directory, name: str) -> Directory:
    child = await parent.child(name)
    if child is None or not is_directory(child.node):
        raise NotFound(f"{parent.key}/{name} is not there")
    await child.node.confirm()
    return child.node


async def _read(node: File, size: int) -> bytes:
    opened = await node.open()
    try:
        return await opened.read(0, size)
    finally:
        await opened.aclose()
