"""`cadcfs info` and `cadcfs refresh`: what is known of a file, and asking again."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Annotated

import typer

from cadcfs.errors import UserError

REFRESH = ".refresh"


def info(
    paths: Annotated[list[Path], typer.Argument(help="Files below a mount.")],
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object a line.")] = False,
) -> None:
    """Say all that is known of files: artifact, observation, checksum, how much is here."""
    for path in paths:
        facts = facts_of(path)
        if as_json:
            typer.echo(json.dumps({"path": str(path), **facts}))
            continue
        if len(paths) > 1:
            typer.echo(f"{path}:")
        for name, value in facts.items():
            typer.echo(f"{name:<14} {value}")


def refresh(
    paths: Annotated[list[Path], typer.Argument(help="Directories or files below a mount.")],
) -> None:
    """Ask the archive again for directories (of files: for the directory that they are in)."""
    for path in paths:
        directory = path if path.is_dir() else path.parent
        try:
            typer.echo((directory / REFRESH).read_text().partition("\n")[0])
        except OSError as exc:
            raise UserError(
                f"{directory} cannot be asked again: {exc.strerror}; is it below a mount of cadcfs?"
            ) from exc


def mount_of(path: Path) -> Path:
    """The mount of cadcfs that *path* is below."""
    from cadcfs.kernel import mountpoints

    where = path.absolute()
    for candidate in (where, *where.parents):
        if mountpoints.mounted_type(candidate) == mountpoints.TYPE:
            return candidate
    raise UserError(f"{path} is not below a mount of cadcfs; mount one with: cadcfs mount DIR")


def facts_of(path: Path) -> dict[str, str]:
    """What the mount knows of the file *path*, by name."""
    mountpoint = mount_of(path)
    try:
        number = path.stat().st_ino
        text = (mountpoint / ".cadcfs" / "inode" / str(number)).read_text()
    except FileNotFoundError as exc:
        what = "is not there" if not os.path.lexists(path) else "is no file of the archive"
        raise UserError(f"{path} {what}") from exc
    except OSError as exc:
        raise UserError(f"{path} cannot be told of: {exc.strerror}") from exc
    lines = (line.partition(": ") for line in text.splitlines())
    return {name: value for name, _, value in lines}
