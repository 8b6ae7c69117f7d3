"""`cadcfs offline`: leave the network alone, or use it again."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from cadcfs.errors import UserError


class Turn(StrEnum):
    """Which way to turn it."""

    on = "on"
    off = "off"


def offline(
    turn: Annotated[Turn, typer.Argument(help="Whether the mounts leave the network alone.")],
    mountpoint: Annotated[
        Path | None, typer.Argument(help="One mount; without it, all of yours.")
    ] = None,
) -> None:
    """Show what was seen and ask nothing (on), or use the network again (off)."""
    from cadcfs.kernel import mountpoints

    places = [mountpoint] if mountpoint else mountpoints.mounted()
    if not places:
        raise UserError("nothing is mounted; mount the archive with: cadcfs mount DIR")
    for place in places:
        try:
            (place / ".cadcfs" / "offline").write_text(f"{turn.value}\n")
        except OSError as exc:
            raise UserError(f"{place} cannot be switched: {exc.strerror}") from exc
        typer.echo(f"{place}: offline {turn.value}")
