"""`cadcfs status`: what a mount is doing, once or again and again."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import typer

from cadcfs.cli.session import AsJson
from cadcfs.errors import UserError

PERIOD = 1.0
"""Seconds between two looks."""


def status(
    mountpoint: Annotated[
        Path | None, typer.Argument(help="Where the archive is mounted; without it, all of yours.")
    ] = None,
    watch: Annotated[bool, typer.Option("--watch", help="Look every second, until ^C.")] = False,
    as_json: AsJson = False,
) -> None:
    """Say what a mount is doing: cache, reads, what waits, what failed, who asks."""
    places = [mountpoint] if mountpoint else _ours()
    try:
        if watch and not as_json and sys.stdout.isatty():
            _show(places)
            return
        for facts in _looks(places) if watch else (_facts(place) for place in places):
            typer.echo(json.dumps(facts, ensure_ascii=False) if as_json else _text(facts))
    except KeyboardInterrupt:
        sys.exit(130)


def _ours() -> list[Path]:
    from cadcfs.kernel import mountpoints

    found = mountpoints.mounted()
    if not found:
        raise UserError("nothing is mounted; mount the archive with: cadcfs mount DIR")
    return found


def _facts(mountpoint: Path) -> dict[str, Any]:
    try:
        text = (mountpoint / ".cadcfs" / "status.json").read_text()
    except OSError as exc:
        raise UserError(
            f"{mountpoint} does not answer as a mount of cadcfs: {exc.strerror}; "
            f"mount one with: cadcfs mount {mountpoint}"
        ) from exc
    facts: dict[str, Any] = json.loads(text)
    return facts


def _text(facts: dict[str, Any]) -> str:
    from cadcfs import summary

    return summary.text(facts).rstrip("\n")


def _looks(places: list[Path]) -> Iterator[dict[str, Any]]:
    while True:
        for place in places:
            yield _facts(place)
        sys.stdout.flush()
        time.sleep(PERIOD)


def _show(places: list[Path]) -> None:
    from rich.live import Live
    from rich.text import Text

    with Live(screen=True, auto_refresh=False) as live:
        while True:
            told = "\n\n".join(_text(_facts(place)) for place in places)
            # A terminal's lines are not folded: what is cut is the end of a path.
            live.update(Text(told, no_wrap=True, overflow="ellipsis"), refresh=True)
            time.sleep(PERIOD)
