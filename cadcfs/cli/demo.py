"""`cadcfs demo`: the embedded archive, and a mount of it."""

from __future__ import annotations

import os
import select
import signal
import socket
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated
from urllib.parse import urlsplit

import typer
from platformdirs import user_cache_path

from cadcfs.cli.demo_faults import faults_of, short_forms
from cadcfs.cli.session import cause
from cadcfs.errors import UserError

if TYPE_CHECKING:
    from cadcfs.demo.archive import Archive
    from cadcfs.demo.faults.rules import Fault
    from cadcfs.demo.server import Served

PID_FILE = "demo.pid"
PORT_FILE = "port"
REQUEST_LOG = "requests.log"
STOP_TIME = 15.0
"""Seconds for a running demo to end."""


@dataclass(frozen=True, slots=True)
class Serving:
    """How to serve: the archive, where, and what is to go wrong."""

    archive: Archive
    data_dir: Path
    port: int
    tls_port: int
    request_log: Path
    token_life: float
    faults: tuple[Fault, ...]


Where = Annotated[Path, typer.Argument(help="Where to mount it.")]
Port = Annotated[
    int,
    typer.Option(help="Port on 127.0.0.1; 0 takes the one that a mount had last, or a free one."),
]
TlsPort = Annotated[
    int, typer.Option(help="Port with TLS, for client certificates; 0 takes a free one.")
]
DataDir = Annotated[
    Path | None,
    typer.Option(help="Where the archive is built and kept; by default in the user's cache."),
]
ServeOnly = Annotated[bool, typer.Option("--serve-only", help="Mount nothing.")]
Small = Annotated[bool, typer.Option("--small", help="Build small images (seconds, not a minute).")]
Seed = Annotated[int, typer.Option(help="Another one makes other noise in the images.")]
Background = Annotated[bool, typer.Option("--background", help="Return when the mount answers.")]
Stop = Annotated[bool, typer.Option("--stop", help="End the one that runs behind.")]
Faults = Annotated[
    list[str] | None,
    typer.Option(help="Something that goes wrong, see below; can be given several times."),
]
LikeCadc = Annotated[
    bool, typer.Option("--like-cadc", help="Be as slow as CADC: the fault like-cadc.")
]
Latency = Annotated[float, typer.Option(help="Seconds before each answer: the fault latency.")]
Bandwidth = Annotated[
    float, typer.Option(help="Bytes per second for all together: the fault bandwidth.")
]
TokenLife = Annotated[float, typer.Option(help="Seconds that a login lasts.")]
RequestLog = Annotated[
    Path | None,
    typer.Option(help="Text file, a line a request; by default requests.log in the data-dir."),
]


def demo(
    mountpoint: Where = Path("sky"),
    port: Port = 0,
    tls_port: TlsPort = 0,
    data_dir: DataDir = None,
    serve_only: ServeOnly = False,
    small: Small = False,
    seed: Seed = 0,
    background: Background = False,
    stop: Stop = False,
    fault: Faults = None,
    like_cadc: LikeCadc = False,
    latency: Latency = 0.0,
    bandwidth: Bandwidth = 0.0,
    token_life: TokenLife = 48 * 3600.0,
    request_log: RequestLog = None,
) -> None:
    """Serve a small archive of simulated data on this machine, and mount it.

    Prints the registry's URL on a line of its own, then what else there is to know: people and
    their passwords, certificates, and the addresses of the request log and of the faults. Ends on
    SIGTERM or ^C. docs/demo.md tells more.
    """
    data_dir = (data_dir or user_cache_path("cadcfs") / "demo").absolute()
    if stop:
        _stop(data_dir / PID_FILE, mountpoint.absolute())
        return
    wrong = [*(fault or ()), *short_forms(like_cadc, latency, bandwidth)]
    faults = faults_of(wrong)
    archive = _built(data_dir, small=small, seed=seed)
    where = None if serve_only else mountpoint.absolute()
    if where is not None:
        _prepare(where, data_dir)
        port = port or port_of_last_time(data_dir / PORT_FILE)
    log = (request_log or data_dir / REQUEST_LOG).absolute()
    _run(Serving(archive, data_dir, port, tls_port, log, token_life, faults), where, background)


def _prepare(where: Path, data_dir: Path) -> None:
    """Have an empty directory to mount on."""
    from cadcfs.kernel import mountpoints

    _clean_up_after_a_crash(data_dir / PID_FILE, where)
    # What is below a dead mount cannot be asked whether it is there.
    if mountpoints.mounted_type(where) is None and not os.path.lexists(where):
        where.mkdir(parents=True)
    mountpoints.prepare(where)


def port_of_last_time(file: Path) -> int:
    """The port of the last mount if it is free, else 0: jobs and answers go by the address."""
    try:
        port = int(file.read_text())
        with socket.socket() as tried:
            tried.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            tried.bind(("127.0.0.1", port))
    except (OSError, ValueError, OverflowError):
        return 0
    return port


def _run(serving: Serving, where: Path | None, background: bool) -> None:
    from cadcfs.cli.background import in_background

    def work(ready: Callable[[str], None]) -> None:
        import trio

        (serving.data_dir / PID_FILE).write_text(f"{os.getpid()}\n")
        try:
            trio.run(_serve, serving, where, ready)
        except BaseExceptionGroup as group:
            # A nursery wraps even a single failure; what the user did wrong is one sentence.
            raise cause(group) from None

    if background:
        typer.echo(in_background(work), nl=False)
    else:
        work(_say)


def _mistake(exc: Exception) -> Exception:
    """What the user did wrong, as one sentence; or *exc* itself."""
    from cadcfs.demo.faults.kinds import FaultError

    first: BaseException = exc
    while isinstance(first, BaseExceptionGroup):
        first = first.exceptions[0]
    if isinstance(first, FaultError):
        return UserError(f"--fault: {first}")
    if isinstance(first, OSError):
        return UserError(f"cannot serve on 127.0.0.1: {os.strerror(first.errno or 0)}")
    return exc


def _say(text: str) -> None:
    typer.echo(text, nl=False)
    sys.stdout.flush()


def _stop(pid_file: Path, where: Path) -> None:
    """End the demo that *pid_file* names and wait for it; clean up after one that crashed."""
    if (process := _running(pid_file)) is not None:
        signal.pidfd_send_signal(process, signal.SIGTERM)
        if not select.select([process], [], [], STOP_TIME)[0]:
            # Its server does not give up what a client, gone or stuck, does not take.
            signal.pidfd_send_signal(process, signal.SIGKILL)
            select.select([process], [], [], STOP_TIME)
    _unmount_ours(pid_file, where)


def _clean_up_after_a_crash(pid_file: Path, where: Path) -> None:
    """Unmount what a demo left that was killed: its mount has outlived the archive."""
    if pid_file.exists() and _running(pid_file) is None:
        _unmount_ours(pid_file, where)


def _running(pid_file: Path) -> int | None:
    """A pidfd of the demo that *pid_file* names; None if it is gone."""
    try:
        pid = int(pid_file.read_text())
        words = Path(f"/proc/{pid}/cmdline").read_bytes()
        return os.pidfd_open(pid) if b"cadcfs" in words and b"demo" in words else None
    except (FileNotFoundError, ProcessLookupError, ValueError):
        return None


def _unmount_ours(pid_file: Path, where: Path) -> None:
    from cadcfs.kernel import mountpoints

    pid_file.unlink(missing_ok=True)
    if mountpoints.mounted_type(where) == mountpoints.TYPE:
        mountpoints.unmount(where, lazy=True)


def _built(data_dir: Path, *, small: bool, seed: int) -> Archive:
    try:
        from cadcfs.demo.archive import open_or_build
    except ImportError as exc:
        raise UserError(
            f"the embedded archive needs {exc.name}; install it with: pip install 'cadcfs[demo]'"
        ) from exc
    report = (lambda text: typer.echo(text, err=True)) if sys.stderr.isatty() else (lambda _: None)
    return open_or_build(data_dir, small=small, seed=seed, report=report)


async def _serve(serving: Serving, where: Path | None, ready: Callable[[str], None]) -> None:
    import trio

    from cadcfs.demo.faults.kinds import FaultError
    from cadcfs.demo.server import serve

    start = partial(
        serve,
        serving.archive,
        port=serving.port,
        tls_port=serving.tls_port,
        log_path=serving.request_log,
        token_life=serving.token_life,
        faults=serving.faults,
    )
    with trio.open_signal_receiver(signal.SIGTERM, signal.SIGINT) as signals:
        async with trio.open_nursery() as nursery:
            try:
                served = await nursery.start(start)
            except (FaultError, OSError, ExceptionGroup) as exc:
                raise _mistake(exc) from None
            if where is not None:
                await _mount(served.registry_url, where, serving.data_dir)
                port = urlsplit(served.registry_url).port
                (serving.data_dir / PORT_FILE).write_text(f"{port}\n")
            ready(_welcome(serving, served, where))
            async for _ in signals:
                break
            if where is not None:
                await _unmount(where)
            nursery.cancel_scope.cancel()


def _welcome(serving: Serving, served: Served, where: Path | None) -> str:
    """Say what a newcomer needs; the first line is the registry's URL and nothing else."""
    certificates = served.certificates
    lines = [
        served.registry_url,
        f"  mounted on    {where}"
        if where
        else "  mounted       nowhere; give the line above to a client",
        "  people        demo (password demo) may read proprietary data, guest (guest) may not",
        f"  with TLS      {served.secure_registry_url}",
        f"                trust {certificates.authority}",
        f"                certificate {certificates.of_user('demo')}",
        f"  requests      {served.base_url}/demo/requests, {serving.request_log}",
        f"  faults        {served.base_url}/demo/faults, see cadcfs demo --help",
    ]
    return "".join(f"{line}\n" for line in lines)


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
