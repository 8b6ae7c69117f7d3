"""Composition root: builds every object, owns the nursery, runs and ends the daemon."""

from __future__ import annotations

import logging
import os
import resource
import signal
import sys
from collections.abc import Callable
from pathlib import Path

import pyfuse3
import trio

from cadcfs import arenas, supervision, taskdump
from cadcfs.accounts import Accounts, View, Window
from cadcfs.archive.services import Services
from cadcfs.config import Settings
from cadcfs.engine import Engine, running
from cadcfs.errors import CadcfsError, UserError
from cadcfs.jobs.opening import ANONYMOUS, opened
from cadcfs.kernel import watchdog
from cadcfs.kernel.allowance import StatAllowance
from cadcfs.kernel.attaching import attach
from cadcfs.kernel.background import widen
from cadcfs.kernel.callers import Lookers
from cadcfs.kernel.failures import Failures
from cadcfs.kernel.forgetting import Forgetting
from cadcfs.kernel.operations import Operations
from cadcfs.kernel.sizes import Sizes
from cadcfs.kernel.walks import Walks
from cadcfs.kernel.xattrs import OperationsWithXattrs
from cadcfs.logs import RecentLines
from cadcfs.metrics import serving
from cadcfs.network.hosts import Hosts
from cadcfs.reports import Reports
from cadcfs.status import Status
from cadcfs.tasks import guarded, lasting
from cadcfs.tree.control import Controls
from cadcfs.tree.node import Directory
from cadcfs.trees import Trees

log = logging.getLogger(__name__)

MAX_TASKS = 4096
"""Handlers at once: with pyfuse3's default of 99, so many stuck calls would block `df`."""
SWITCH_INTERVAL = 0.0005
"""Seconds after which a thread lets the event loop in; Python's 5 ms are a long time for a read."""
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
    _allow_descriptors()
    arenas.keep_few()
    watched = watchdog.start(mountpoint)
    try:
        trio.run(_serve, settings, mountpoint, recent, ready)
    except BaseExceptionGroup as group:
        mistakes, others = group.split(UserError)
        if mistakes is None or others is not None:
            raise
        raise _first(mistakes) from None
    finally:
        os.close(watched)


def _allow_descriptors() -> None:
    """As many as may be: each open file of each program needs one."""
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


async def _serve(
    settings: Settings, mountpoint: Path, recent: RecentLines, ready: Callable[[], None]
) -> None:
    """The daemon from its beginning to its end."""
    async with (
        running(settings) as engine,
        opened(settings, engine.client, engine.services, ANONYMOUS, engine.root) as desks,
    ):
        await _check(engine.services)
        public = View(engine, desks)
        status = Status(settings, mountpoint, engine, recent)
        told = Reports(settings, status, engine.client.hosts, recent).told()
        failures = Failures()
        trees = Trees(settings, told, failures.text)
        operations = _operations(settings, trees.of(public), failures)
        forgetting = Forgetting()
        window = Window(lambda v: operations.show(*trees.of(v)), operations.leave, forgetting)
        async with trio.open_nursery() as nursery:
            accounts = Accounts(settings, public, window, nursery)
            status.operations, status.accounts = operations, accounts
            await nursery.start(accounts.session.watch)
            if settings.metrics_port:
                await nursery.start(serving, settings.metrics_port, status.snapshot)
            _attach(operations, mountpoint, settings)
            try:
                forgetting.is_mounted = True
                nursery.start_soon(lasting, operations.interrupts.watch)
                nursery.start_soon(guarded, desks.start)
                nursery.start_soon(_end_on_signal, nursery.cancel_scope)
                nursery.start_soon(lasting, _tell_tasks_on_signal)
                nursery.start_soon(guarded, _announce, mountpoint, engine, ready)
                await pyfuse3.main(max_tasks=MAX_TASKS)
                nursery.cancel_scope.cancel()
            finally:
                supervision.tell("STOPPING=1")
                forgetting.is_mounted = False
                pyfuse3.close(unmount=True)
                log.info("unmounted %s", mountpoint)


def _operations(
    settings: Settings, shown: tuple[Directory, Controls], failures: Failures
) -> Operations:
    kind = OperationsWithXattrs if settings.xattr else Operations
    walks = Walks(settings.walk_allowance, settings.indexers.split(), settings.listing_time)
    return kind(
        *shown, failures, settings.cache_dir, _sizes(settings), walks,
        settings.listing_time,
    )  # fmt: skip


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
    attach(operations, mountpoint, options)


async def _announce(mountpoint: Path, engine: Engine, ready: Callable[[], None]) -> None:
    """Say that the mount answers, once it does."""
    await _know_collections(engine)
    await trio.to_thread.run_sync(widen, mountpoint)
    log.info("mounted on %s", mountpoint)
    supervision.tell_ready(mountpoint)
    ready()
    await supervision.reassure(mountpoint)


async def _know_collections(engine: Engine) -> None:
    """Have the list of collections at hand (once a day): every path begins with one of them.

    So that a listing costs its own question only, also by a path that nobody listed before. An
    archive that does not answer is not waited for.
    """
    async with trio.open_nursery() as nursery:
        nursery.start_soon(_leave_at_failure, engine.client.hosts, nursery.cancel_scope)
        try:
            with trio.move_on_after(COLLECTIONS_TIME):
                await engine.catalogue.collections().get()
        except CadcfsError as exc:
            log.info("the collections are not known yet: %s", exc)
        nursery.cancel_scope.cancel()


async def _leave_at_failure(hosts: Hosts, scope: trio.CancelScope) -> None:
    await hosts.first_failure.wait()
    scope.cancel()


async def _end_on_signal(scope: trio.CancelScope) -> None:
    with trio.open_signal_receiver(signal.SIGTERM, signal.SIGINT) as signals:
        async for number in signals:
            log.info("%s: ending", signal.Signals(number).name)
            scope.cancel()
            return


async def _tell_tasks_on_signal() -> None:
    with trio.open_signal_receiver(signal.SIGUSR1) as signals:
        async for _ in signals:
            log.info("SIGUSR1: what is under way\n%s", taskdump.text())


def _first(group: BaseExceptionGroup[UserError]) -> UserError:
    found: BaseException = group
    while isinstance(found, BaseExceptionGroup):
        found = found.exceptions[0]
    assert isinstance(found, UserError)
    return found
