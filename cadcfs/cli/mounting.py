"""`cadcfs mount` and `cadcfs umount`."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cadcfs.cli.output import note
from cadcfs.errors import UserError

if TYPE_CHECKING:
    from cadcfs.config import Settings
    from cadcfs.logs import RecentLines

GENERIC = (
    "ro rw defaults auto noauto nofail _netdev user nouser users owner group comment "
    "dev nodev suid nosuid exec noexec sync async dirsync mand nomand silent loud "
    "atime noatime diratime nodiratime relatime norelatime strictatime nostrictatime "
    "lazytime nolazytime iversion noiversion default_permissions "
    "context fscontext defcontext rootcontext"
)
"""Generic mount options that say nothing to a read-only mount of ours."""


def mount(
    mountpoint: Annotated[Path, typer.Argument(help="An empty directory.")],
    registry_url: Annotated[str | None, typer.Option(help="Where the services are listed.")] = None,
    cache_dir: Annotated[Path | None, typer.Option(help="Where to keep what was read.")] = None,
    foreground: Annotated[bool, typer.Option(help="Stay, and log to standard error.")] = False,
    options: Annotated[
        list[str] | None,
        typer.Option("-o", help="Mount options, parted by commas: KEY=VALUE or KEY."),
    ] = None,
    share_identity: Annotated[
        bool,
        typer.Option(
            "--share-identity", help="With allow_other: others see the names that you may see."
        ),
    ] = False,
) -> None:
    """Mount the archive; returns when the mount answers."""
    from cadcfs import config
    from cadcfs.cli.background import in_background
    from cadcfs.kernel import mountpoints

    mounting = _mounting()
    flags = flags_of(options, registry_url, cache_dir)
    settings = config.load(flags | ({"share_identity": True} if share_identity else {}))
    mountpoint = mountpoint.absolute()
    mountpoints.prepare(mountpoint)
    if foreground:
        mounting.run(settings, mountpoint, _log(settings, None), lambda: None)
        return

    def work(tell: Any) -> None:  # noqa: ANN401
        # Not to hold the file system that the command was called in.
        os.chdir("/")
        recent = _log(settings, settings.cache_dir / "cadcfs.log")
        mounting.run(settings, mountpoint, recent, lambda: tell(""))

    in_background(work)
    if not settings.allow_other:
        _tell_who(mountpoint)


def _mounting() -> ModuleType:
    """What mounts; it needs pyfuse3, which needs libfuse3."""
    try:
        from cadcfs import mount as mounting
    except ImportError as exc:
        if (exc.name or "").partition(".")[0] != "pyfuse3":
            raise
        raise UserError(
            f"pyfuse3 cannot be loaded ({exc}); install the package libfuse3-3, then pip install "
            "pyfuse3; the addresses cadc:// of fsspec need neither"
        ) from exc
    return mounting


def _tell_who(mountpoint: Path) -> None:
    """Say why it is nobody, where somebody was to be expected: an expired certificate."""
    try:
        told = json.loads((mountpoint / ".cadcfs" / "status.json").read_text())
    except OSError:
        # A mount for another user, who is told by `cadcfs status`.
        return
    if told["identity"]["note"]:
        note(f"mounted, but as nobody: {told['identity']['note']}")


def umount(
    mountpoint: Annotated[Path, typer.Argument(help="Where the archive is mounted.")],
    lazy: Annotated[bool, typer.Option(help="Detach it also while it is in use.")] = False,
) -> None:
    """Unmount the archive."""
    from cadcfs.kernel import mountpoints

    mountpoint = mountpoint.absolute()
    if mountpoints.mounted_type(mountpoint) is None:
        raise UserError(f"nothing is mounted on {mountpoint}")
    mountpoints.unmount(mountpoint, lazy=lazy)


def _log(settings: Settings, file: Path | None) -> RecentLines:
    from cadcfs import logs

    return logs.start(file, level=settings.log_level, form=logs.LogFormat(settings.log_format))


def flags_of(
    options: Iterable[str] | None, registry_url: str | None, cache_dir: Path | None
) -> dict[str, Any]:
    """What was set on the command line; the flags of their own win over `-o`."""
    flags: dict[str, Any] = dict(parsed_options(options or ()))
    own = {"registry_url": registry_url, "cache_dir": cache_dir}
    return flags | {key: value for key, value in own.items() if value is not None}


def parsed_options(options: Iterable[str]) -> dict[str, str]:
    """Mount options as settings; generic ones are dropped."""
    flags = {}
    for option in filter(None, ",".join(options).split(",")):
        key, equals, value = option.partition("=")
        if key in GENERIC.split() or key.lower().startswith("x-"):
            continue
        flags[key] = value if equals else "true"
    return flags
