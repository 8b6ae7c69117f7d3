"""Runs the embedded archive on a local port, within the caller's own trio program."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import trio
from hypercorn.config import Config
from hypercorn.trio import serve as hypercorn_serve

from cadcfs.demo.app import Keys, make_app
from cadcfs.demo.auth.certificates import Certificates
from cadcfs.demo.auth.tokens import LIFE
from cadcfs.demo.faults.control import FaultControl
from cadcfs.demo.faults.rules import Fault
from cadcfs.demo.faults.versions import served_copy
from cadcfs.demo.registry import REGISTRY_PATH
from cadcfs.demo.requestlog import RequestLog
from cadcfs.demo.tap.service import QUERY_SECONDS, TapService

if TYPE_CHECKING:
    from cadcfs.demo.archive import Archive

_GRACE_SECONDS = 0.3
_IDLE_SECONDS = 75.0


@dataclass(frozen=True, slots=True)
class Served:
    """A running archive: where it listens and what it was asked."""

    base_url: str
    registry_url: str
    secure_registry_url: str
    certificates: Certificates
    log: RequestLog


async def serve(
    archive: Archive,
    *,
    host: str = "127.0.0.1",
    port: int = 0,
    tls_port: int = 0,
    log_path: Path | None = None,
    token_life: float = LIFE,
    query_seconds: float = QUERY_SECONDS,
    faults: Iterable[Fault] = (),
    task_status: trio.TaskStatus[Served] = trio.TASK_STATUS_IGNORED,
) -> None:
    """Serve an archive until cancelled; `nursery.start` returns once it answers."""
    _quieten_libraries()
    log = RequestLog(log_path)
    with ExitStack() as stack:
        stack.callback(log.close)
        versions = await trio.to_thread.run_sync(stack.enter_context, served_copy(archive))
        control = FaultControl(versions)
        for fault in faults:
            await control.add(fault)
        live = versions.archive
        keys = await trio.to_thread.run_sync(partial(Keys.of, archive, life=token_life))
        tap = await trio.to_thread.run_sync(
            TapService.over, live.database, archive.root.parent, query_seconds
        )
        app = await trio.to_thread.run_sync(make_app, live, tap, log, keys, control)
        context = await trio.to_thread.run_sync(keys.certificates.server_context)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(tap.run)
            binds = await nursery.start(hypercorn_serve, app, _configuration(host, port))
            base = str(binds[0]).rstrip("/")
            inside = (host, int(base.rpartition(":")[2]))
            tls = await nursery.start(keys.door.serve, context, host, tls_port, inside)
            secure = f"https://{base.removeprefix('http://').rpartition(':')[0]}:{tls}"
            task_status.started(
                Served(base, base + REGISTRY_PATH, secure + REGISTRY_PATH, keys.certificates, log)
            )


def _quieten_libraries() -> None:
    # They tell on the terminal what clients did wrong, which the clients hear from the answer.
    for name in ("sqlglot", "python_multipart"):
        logging.getLogger(name).setLevel(logging.ERROR)


def _configuration(host: str, port: int) -> Config:
    config = Config()
    config.bind = [f"[{host}]:{port}" if ":" in host else f"{host}:{port}"]
    # The request log tells what was asked; nothing goes to the terminal.
    config.accesslog = None
    config.errorlog = logging.getLogger("cadcfs.demo.server")
    config.graceful_timeout = _GRACE_SECONDS
    config.shutdown_timeout = _GRACE_SECONDS
    config.keep_alive_timeout = _IDLE_SECONDS
    config.include_server_header = False
    return config
