"""`cadcfs demo`: the embedded archive, and a mount of it."""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from platformdirs import user_cache_path

from cadcfs.errors import UserError

if TYPE_CHECKING:
    from cadcfs.demo.archive import Archive

PID_FILE = "demo.pid"
STOP_TIME = 15.0
"""Seconds for a running demo to end."""


def demo(
    mountpoint: Annotated[Path, typer.Argument(help="Where to mount it.")] = Path("sky"),
    port: Annotated[int, typer.Option(help="Port on 127.0.0.1; 0 takes a free one.")] = 0,
    data_dir: Annotated[
        Path | None, typer.Option(help="Where the archive is built and kept.")
    ] = None,
    serve_only: Annotated[bool, typer.Option(help="Serve, but mount nothing.")] = False,
    small: Annotated[
        bool, typer.Option(help="Build small images (seconds, not a minute).")
    ] = False,
    stop: Annotated[bool, typer.Option(help="End the one that runs behind.")] = False,
    background: Annotated[bool, typer.Option(help="Return when the mount answers.")] = False,
) -> None:
    """Serve a small archive of simulated data on this machine, and mount it.

    Prints the registry's URL on a line of its own; ends on SIGTERM or ^C.
    """
    from cadcfs.cli.background import in_background

    data_dir = (data_dir or user_cache_path("cadcfs") / "demo").absolute()
    if stop:
        _stop(data_dir / PID_FILE, mountpoint.absolute())
        return
    archive = _built(data_dir, small=small)
    where = None if serve_only else mountpoint.absolute()
    if where is not None:
        from cadcfs.kernel import mountpoints

        if not os.path.lexists(where):
            where.mkdir(parents=True)
        mountpoints.prepare(where)

    def work(ready: Callable[[str], None]) -> None:
        import trio

        (data_dir / PID_FILE).write_text(f"{os.getpid()}\n")
        trio.run(_serve, archive, port, where, data_dir, ready)

    if background:
        typer.echo(in_background(work), nl=False)
    else:
        work(lambda text: typer.echo(text, nl=False))
        sys.stdout.flush()


def _stop(pid_file: Path, where: Path) -> None:
    """End the demo that *pid_file* names and wait for it; clean up after one that crashed."""
    from cadcfs.kernel import mountpoints

    try:
        pid = int(pid_file.read_text())
        words = Path(f"/proc/{pid}/cmdline").read_bytes()
        if b"cadcfs" in words and b"demo" in words:
            process = os.pidfd_open(pid)
            signal.pidfd_send_signal(process, signal.SIGTERM)
            if not select.select([process], [], [], STOP_TIME)[0]:
                raise UserError(f"process {pid} does not end; see {pid_file.parent}/cadcfs.log")
    except (FileNotFoundError, ProcessLookupError, ValueError):
        pass
    pid_file.unlink(missing_ok=True)
    if mountpoints.mounted_type(where) == mountpoints.TYPE:
        mountpoints.unmount(where, lazy=True)


def _built(data_dir: Path, *, small: bool) -> Archive:
    try:
        from cadcfs.demo.archive import open_or_build
    except ImportError as exc:
        raise UserError(
            f"the embedded archive needs {exc.name}; install it with: pip install 'cadcfs[demo]'"
        ) from exc
    report = (lambda text: typer.echo(text, err=True)) if sys.stderr.isatty() else (lambda _: None)
    return open_or_build(data_dir, small=small, report=report)


async def _serve(
    archive: Archive, port: int, where: Path | None, data_dir: Path, ready: Callable[[str], None]
) -> None:
    import trio

    from cadcfs.demo.server import serve

    with trio.open_signal_receiver(signal.SIGTERM, signal.SIGINT) as signals:
        async with trio.open_nursery() as nursery:
            served = await nursery.start(partial(serve, archive, port=port))
            if where is not None:
                await _mount(served.registry_url, where, data_dir)
            ready(f"{served.registry_url}\n")
            async for _ in signals:
                break
            if where is not None:
                await _unmount(where)
            nursery.cancel_scope.cancel()


async def _mount(registry_url: str, where: Path, data_dir: Path) -> None:
    import trio

    command = [sys.executable, "-m", "cadcfs", "mount", "--registry-url", registry_url]
    command += ["--cache-dir", str(data_dir / "cache"), str(where)]
    done = await trio.run_process(command, capture_stderr=True, check=False)
    if done.returncode:
        raise UserError(done.stderr.decode().strip().removeprefix("cadcfs: "))


async def _unmount(where: Path) -> None:
    import trio

    command = [sys.executable, "-m", "cadcfs", "umount", "--lazy", str(where)]
    await trio.run_process(command, stderr=subprocess.DEVNULL, check=False)
