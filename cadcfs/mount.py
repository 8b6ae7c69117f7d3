"""Composition root: builds every object, owns the nursery, runs and ends the daemon."""

from __future__ import annotations

import logging
import os
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pyfuse3
import trio

from cadcfs import __version__
from cadcfs.archive.services import Services
from cadcfs.archive.tables import Schema
from cadcfs.archive.tap import Tap
from cadcfs.cache.listings import Listings
from cadcfs.config import Settings
from cadcfs.engine import Engine, running
from cadcfs.errors import CadcfsError, NotFound, UserError
from cadcfs.jobs.opening import opened
from cadcfs.kernel.allowance import StatAllowance
from cadcfs.kernel.callers import Lookers
from cadcfs.kernel.failures import Failures
from cadcfs.kernel.operations import Operations
from cadcfs.kernel.sizes import Sizes
from cadcfs.kernel.walks import Walks
from cadcfs.kernel.xattrs import OperationsWithXattrs
from cadcfs.logs import RecentLines
from cadcfs.network.hosts import Hosts
from cadcfs.tree.catalogue import Catalogue
from cadcfs.tree.control import Controls
from cadcfs.tree.jobs import JobsDirectory
from cadcfs.tree.node import is_described
from cadcfs.tree.root import Told, root
from cadcfs.tree.tables import TablesDirectory

log = logging.getLogger(__name__)

MAX_TASKS = 4096
"""Handlers at once: with pyfuse3's default of 99, so many stuck calls would block `df`."""
SWITCH_INTERVAL = 0.0005
"""Seconds after which a thread lets the event loop in; Python's 5 ms are a long time for a read."""
MAX_BACKGROUND = 1024
"""Read-ahead requests under way: with the kernel's 12, stuck ones block the rest."""

COLLECTIONS_TIME = 0.5
"""Seconds that a mount waits for the list of collections, which goes on behind."""


def run(
    settings: Settings, mountpoint: Path, recent: RecentLines, ready: Callable[[], None]
) -> None:
    """Mount, serve until unmounted or told to end, and unmount; calls *ready* when it answers."""
    try:
        settings.cache_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as exc:
        raise UserError(
            f"cannot make the cache directory {settings.cache_dir}: {exc.strerror}; "
            "name another with --cache-dir"
        ) from exc
    sys.setswitchinterval(SWITCH_INTERVAL)
    try:
        trio.run(_serve, settings, mountpoint, recent, ready)
    except BaseExceptionGroup as group:
        mistakes, others = group.split(UserError)
        if mistakes is None or others is not None:
            raise
        raise _first(mistakes) from None


async def _serve(
    settings: Settings, mountpoint: Path, recent: RecentLines, ready: Callable[[], None]
) -> None:
    async with (
        running(settings) as engine,
        opened(settings, engine.client, engine.services, "anonymous") as desks,
    ):
        await _check(engine.services)
        jobs = JobsDirectory(desks.jobs, desks.results, desks.short_forms)
        hosts = engine.client.hosts
        status = Status(settings, mountpoint, engine.listings, hosts)
        told, now = _told(status, recent, hosts), time.time_ns()
        failures = Failures()
        kind = OperationsWithXattrs if settings.xattr else Operations
        operations = kind(
            root(engine.catalogue, jobs, _tables(engine, settings, now), told, now),
            Controls(engine.catalogue, failures.text, now),
            failures,
            settings.cache_dir,
            _sizes(settings),
            Walks(settings.walk_allowance, settings.indexers.split(), settings.listing_time),
            settings.listing_time,
        )
        status.operations = operations
        _attach(operations, mountpoint, settings)
        try:
            engine.nursery.start_soon(operations.interrupts.watch)
            engine.nursery.start_soon(desks.jobs.start)
            engine.nursery.start_soon(_end_on_signal, engine.nursery.cancel_scope)
            engine.nursery.start_soon(_announce, mountpoint, engine.catalogue, ready)
            await pyfuse3.main(max_tasks=MAX_TASKS)
        finally:
            pyfuse3.close(unmount=True)
            log.info("unmounted %s", mountpoint)


def _tables(engine: Engine, settings: Settings, now: int) -> TablesDirectory:
    schema = Schema(Tap(engine.client, engine.services), settings.listing_time)
    origin = engine.catalogue.origin
    return TablesDirectory(schema, engine.listings, origin, settings.names, now)


def _told(status: Status, recent: RecentLines, hosts: Hosts) -> Told:
    def switch(offline: bool) -> None:
        hosts.switch(offline=offline)

    return Told(status.text, recent.text, status.description, lambda: hosts.is_offline, switch)


def _sizes(settings: Settings) -> Sizes:
    allowance = StatAllowance(settings.stat_allowance, settings.listing_time)
    lookers = Lookers(f"{settings.lookers} {settings.indexers}".split())
    return Sizes(lookers, allowance)


async def _check(services: Services) -> None:
    try:
        await services.check()
    except CadcfsError as exc:
        raise UserError(
            f"{exc}; check the network, or name another registry with --registry-url"
        ) from exc


def _attach(operations: Operations, mountpoint: Path, settings: Settings) -> None:
    options = {"fsname=cadc:", "subtype=cadcfs", "default_permissions"}
    if settings.allow_other:
        options.add("allow_other")
    try:
        pyfuse3.init(operations, str(mountpoint), options)
    except RuntimeError as exc:
        hint = " (allow_other needs user_allow_other in /etc/fuse.conf)" * settings.allow_other
        raise UserError(f"cannot mount on {mountpoint}: {exc}; is fuse3 installed?{hint}") from exc


async def _announce(mountpoint: Path, catalogue: Catalogue, ready: Callable[[], None]) -> None:
    """Say that the mount answers, once it does."""
    await _know_collections(catalogue)
    device = (await trio.to_thread.run_sync(os.stat, mountpoint)).st_dev
    await trio.to_thread.run_sync(_widen, os.minor(device))
    log.info("mounted on %s", mountpoint)
    ready()


async def _know_collections(catalogue: Catalogue) -> None:
    """Have the list of collections at hand (once a day): every path begins with one of them.

    So that a listing costs its own question only, also by a path that nobody listed before.
    """
    try:
        with trio.move_on_after(COLLECTIONS_TIME):
            await catalogue.collections()
    except CadcfsError as exc:
        log.info("the collections are not known yet: %s", exc)


def _widen(connection: int) -> None:
    try:
        Path(f"/sys/fs/fuse/connections/{connection}/max_background").write_text(
            str(MAX_BACKGROUND)
        )
    except OSError as exc:
        log.info("max_background stays at the kernel's default: %s", exc)


async def _end_on_signal(scope: trio.CancelScope) -> None:
    with trio.open_signal_receiver(signal.SIGTERM, signal.SIGINT) as signals:
        async for number in signals:
            log.info("%s: ending", signal.Signals(number).name)
            scope.cancel()
            return


class Status:
    """What `.cadcfs/status` says; never waits for anything."""

    def __init__(
        self, settings: Settings, mountpoint: Path, listings: Listings, hosts: Hosts
    ) -> None:
        self._settings = settings
        self._hosts = hosts
        self._mountpoint = mountpoint
        self._listings = listings
        self._since = time.time()
        self.operations: Operations | None = None

    async def description(self, inode: int) -> str:
        """What is known of a file by its number, as lines of `name: value`."""
        node = self.operations.inodes.get(inode) if self.operations else None
        if node is None or not is_described(node):
            raise NotFound(f"inode {inode} is no file of the archive that the kernel knows")
        facts = await node.description()
        return "".join(f"{name}: {value}\n" for name, value in facts.items())

    def text(self) -> str:
        answers = self._listings.statistics()
        operations = self.operations
        lines = {
            "cadcfs": __version__,
            "mounted on": str(self._mountpoint),
            "since": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(self._since)),
            "process": str(os.getpid()),
            "registry": self._settings.registry_url,
            "cache": str(self._settings.cache_dir),
            "identity": "anonymous",
            "offline": "on, what was seen is shown" if self._hosts.is_offline else "off",
            "do not answer": "; ".join(self._hosts.report()) or "none",
            "stale answers": f"{answers.stale} shown, for the archive did not answer since",
            "answers in memory": f"{answers.known} ({answers.rows} rows)",
            "questions asked": f"{answers.loads} ({answers.failures} failed)",
            "questions under way": str(answers.in_flight),
            "open files": str(len(operations.files) if operations else 0),
            "inodes known to the kernel": str(len(operations.inodes) if operations else 0),
        }
        return "".join(f"{name + ':':28}{value}\n" for name, value in lines.items())


def _first(group: BaseExceptionGroup[UserError]) -> UserError:
    found: BaseException = group
    while isinstance(found, BaseExceptionGroup):
        found = found.exceptions[0]
    assert isinstance(found, UserError)
    return found
