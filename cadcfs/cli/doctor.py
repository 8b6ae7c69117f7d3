"""`cadcfs doctor`: what is in the way of a mount, and what to do."""

from __future__ import annotations

import json
import platform
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cadcfs import __version__
from cadcfs.cli.session import AsJson, CacheDir, Options, RegistryUrl

if TYPE_CHECKING:
    from cadcfs.config import Settings
    from cadcfs.doctor.finding import Finding

COLOURS = {"ok": "green", "warning": "yellow", "problem": "red"}


def doctor(
    mountpoint: Annotated[
        Path | None, typer.Argument(help="Where it is, or is to be, mounted.")
    ] = None,
    live: Annotated[
        bool, typer.Option("--live", help="Test the archive itself, with a few questions.")
    ] = False,
    registry_url: RegistryUrl = None,
    cache_dir: CacheDir = None,
    options: Options = None,
    as_json: AsJson = False,
) -> None:
    """Look for what is in the way of a mount: each finding names the cause and the cure.

    Looks at FUSE and its permissions, AppArmor, kernel and libraries, the mount point, the cache's
    disk, certificate and login, the clock, and each service of the archive. With --live it asks
    the archive a few questions as a mount would, and checks the answers; the report can be pasted
    into a bug. Code 1 where there is a problem.
    """
    from cadcfs import config
    from cadcfs.cli.mounting import flags_of

    settings = config.load(flags_of(options, registry_url, cache_dir))
    if as_json:
        found = [_record(each) for each in _findings(settings, mountpoint, live=live)]
        typer.echo(json.dumps(found, indent=2, ensure_ascii=False))
        sys.exit(any(each["level"] == "problem" for each in found))
    typer.echo(f"cadcfs {__version__}, {platform.platform()}")
    bad = False
    for finding in _findings(settings, mountpoint, live=live):
        _print(finding)
        bad = bad or finding.level == "problem"
    sys.exit(bad)


def _findings(settings: Settings, mountpoint: Path | None, *, live: bool) -> Iterator[Finding]:
    if live:
        from cadcfs.doctor import live as live_test

        yield from _asked(lambda: live_test.look(settings))
        return
    from cadcfs.doctor import accounts, machine, places, services

    yield from machine.look(allow_other=settings.allow_other)
    if mountpoint is not None:
        yield places.mount_point(mountpoint.absolute())
    else:
        yield from places.dead_mounts()
    yield from places.cache(settings)
    yield from accounts.look(settings)
    yield from _asked(lambda: services.look(settings))


def _asked(look: Callable[[], AsyncIterator[Finding]]) -> list[Finding]:
    import trio

    async def gather() -> list[Finding]:
        return [finding async for finding in look()]

    return trio.run(gather)


def _record(finding: Finding) -> dict[str, str]:
    return {
        "level": finding.level.value, "subject": finding.subject,
        "words": finding.words, "cure": finding.cure,
    }  # fmt: skip


def _print(finding: Finding) -> None:
    word = f"{finding.level.value:8}"
    if sys.stdout.isatty():
        word = typer.style(word, fg=COLOURS[finding.level.value])
    typer.echo(f"{word} {finding.subject:13} {finding}")
