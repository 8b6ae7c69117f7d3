"""`cadcfs demo`: the embedded archive, and a mount of it."""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeVar

import typer
from platformdirs import user_cache_path

from cadcfs.demo.faults.kinds import FILTERS, KINDS, Option
from cadcfs.errors import UserError

if TYPE_CHECKING:
    from cadcfs.demo.archive import Archive
    from cadcfs.demo.faults.rules import Fault
    from cadcfs.demo.server import Served

E = TypeVar("E", bound=Exception)

PID_FILE = "demo.pid"
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


def demo(
    mountpoint: Annotated[Path, typer.Argument(help="Where to mount it.")] = Path("sky"),
    port: Annotated[int, typer.Option(help="Port on 127.0.0.1; 0 takes a free one.")] = 0,
    tls_port: Annotated[
        int, typer.Option(help="Port with TLS, for client certificates; 0 takes a free one.")
    ] = 0,
    data_dir: Annotated[
        Path | None,
        typer.Option(help="Where the archive is built and kept; by default in the user's cache."),
    ] = None,
    serve_only: Annotated[bool, typer.Option("--serve-only", help="Mount nothing.")] = False,
    small: Annotated[
        bool, typer.Option("--small", help="Build small images (seconds, not a minute).")
    ] = False,
    seed: Annotated[int, typer.Option(help="Another one makes other noise in the images.")] = 0,
    background: Annotated[
        bool, typer.Option("--background", help="Return when the mount answers.")
    ] = False,
    stop: Annotated[bool, typer.Option("--stop", help="End the one that runs behind.")] = False,
    fault: Annotated[
        list[str] | None,
        typer.Option(help="Something that goes wrong, see below; can be given several times."),
    ] = None,
    like_cadc: Annotated[
        bool, typer.Option("--like-cadc", help="Be as slow as CADC: the fault like-cadc.")
    ] = False,
    latency: Annotated[
        float, typer.Option(help="Seconds before each answer: the fault latency.")
    ] = 0.0,
    bandwidth: Annotated[
        float, typer.Option(help="Bytes per second for all together: the fault bandwidth.")
    ] = 0.0,
    token_life: Annotated[float, typer.Option(help="Seconds that a login lasts.")] = 48 * 3600.0,
    request_log: Annotated[
        Path | None,
        typer.Option(help="Text file, a line a request; by default requests.log in the data-dir."),
    ] = None,
) -> None:
    """Serve a small archive of simulated data on this machine, and mount it.

    Prints the registry's URL on a line of its own, then what else there is to know: people and
    their passwords, certificates, and the addresses of the request log and of the faults. Ends on
    SIGTERM or ^C. docs/demo.md tells more.
    """
    from cadcfs.cli.background import in_background

    data_dir = (data_dir or user_cache_path("cadcfs") / "demo").absolute()
    if stop:
        _stop(data_dir / PID_FILE, mountpoint.absolute())
        return
    wrong = [*(fault or ()), *_short_forms(like_cadc, latency, bandwidth)]
    faults = _faults(wrong)
    archive = _built(data_dir, small=small, seed=seed)
    where = None if serve_only else mountpoint.absolute()
    if where is not None:
        from cadcfs.kernel import mountpoints

        _clean_up_after_a_crash(data_dir / PID_FILE, where)
        # What is below a dead mount cannot be asked whether it is there.
        if mountpoints.mounted_type(where) is None and not os.path.lexists(where):
            where.mkdir(parents=True)
        mountpoints.prepare(where)
    log = (request_log or data_dir / REQUEST_LOG).absolute()
    serving = Serving(archive, data_dir, port, tls_port, log, token_life, faults)

    def work(ready: Callable[[str], None]) -> None:
        import trio

        (data_dir / PID_FILE).write_text(f"{os.getpid()}\n")
        try:
            trio.run(_serve, serving, where, ready)
        except* UserError as group:
            # A nursery wraps even a single failure; what the user did wrong is one sentence.
            raise _first(group) from None

    if background:
        typer.echo(in_background(work), nl=False)
    else:
        work(_say)


def _first(group: BaseExceptionGroup[E]) -> E:
    inner = group.exceptions[0]
    return _first(inner) if isinstance(inner, BaseExceptionGroup) else inner


def _say(text: str) -> None:
    typer.echo(text, nl=False)
    sys.stdout.flush()


def _short_forms(like_cadc: bool, latency: float, bandwidth: float) -> Iterator[str]:
    if like_cadc:
        yield "like-cadc"
    if latency:
        yield f"latency seconds={latency}"
    if bandwidth:
        yield f"bandwidth rate={bandwidth}"


def _faults(texts: Sequence[str]) -> tuple[Fault, ...]:
    if not texts:
        return ()
    from cadcfs.demo.faults.kinds import FaultError
    from cadcfs.demo.faults.rules import Fault

    try:
        return tuple(Fault.from_text(text) for text in texts)
    except FaultError as exc:
        raise UserError(f"--fault: {exc}") from exc


def faults_help() -> str:
    """Tell in the help of the command what can go wrong, one paragraph a kind."""
    told = [_FAULTS_HEAD]
    for name, kind in KINDS.items():
        told.append(f"{name}: {kind.help}." + (f" {_told(kind.options)}." if kind.options else ""))
    told.append(f"Any of them also takes {_told(FILTERS)}.")
    return "\n\n".join(told)


_FAULTS_HEAD = (
    "Faults, as in --fault 'reset path=/minoc/ after=1000 count=1', or as JSON at /demo/faults"
    " while it runs (GET, POST, DELETE):"
)


def _told(options: Mapping[str, Option]) -> str:
    return "; ".join(f"{name}: {option.help}{_default(option)}" for name, option in options.items())


def _default(option: Option) -> str:
    if option.required or option.default == "":
        return ""
    value = option.default
    return f" ({value:g})" if isinstance(value, float) else f" ({value})"


def _stop(pid_file: Path, where: Path) -> None:
    """End the demo that *pid_file* names and wait for it; clean up after one that crashed."""
    if (process := _running(pid_file)) is not None:
        signal.pidfd_send_signal(process, signal.SIGTERM)
        if not select.select([process], [], [], STOP_TIME)[0]:
            raise UserError(f"{where} does not end; see {pid_file.parent}/cache/cadcfs.log")
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
            except* FaultError as group:
                raise UserError(f"--fault: {_first(group)}") from group
            except* OSError as group:
                words = os.strerror(_first(group).errno or 0)
                raise UserError(f"cannot serve on 127.0.0.1: {words}") from group
            if where is not None:
                await _mount(served.registry_url, where, serving.data_dir)
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
