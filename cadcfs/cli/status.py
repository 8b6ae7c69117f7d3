"""`cadcfs status`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from cadcfs.errors import UserError


def status(
    mountpoint: Annotated[Path, typer.Argument(help="Where the archive is mounted.")],
) -> None:
    """Say what a mount is doing."""
    try:
        text = (mountpoint / ".cadcfs" / "status").read_text()
    except OSError as exc:
        raise UserError(
            f"{mountpoint} does not answer as a mount of cadcfs: {exc.strerror}; "
            f"mount one with: cadcfs mount {mountpoint}"
        ) from exc
    typer.echo(text, nl=False)
