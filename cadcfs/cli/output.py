"""How commands print tables: for people on a terminal, for programs in a pipe."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from typing import Any

import typer


def table(heading: Sequence[str], rows: Sequence[Mapping[str, Any]], *, as_json: bool) -> None:
    """Print *rows*: ruled on a terminal, parted by tabs in a pipe, or as JSON."""
    if as_json:
        typer.echo(json.dumps(list(rows), indent=2, ensure_ascii=False))
    elif sys.stdout.isatty():
        _ruled(heading, rows)
    else:
        for row in rows:
            typer.echo("\t".join(_flat(row[name]) for name in heading))


def note(text: str) -> None:
    """Say something beside the result."""
    typer.echo(f"cadcfs: {text}", err=True)


def _ruled(heading: Sequence[str], rows: Sequence[Mapping[str, Any]]) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    shown = Table(box=None, pad_edge=False, header_style="bold")
    for name in heading:
        shown.add_column(name, overflow="fold")
    for row in rows:
        shown.add_row(*(Text(_flat(row[name])) for name in heading))
    Console().print(shown)


def _flat(value: object) -> str:
    if isinstance(value, list | tuple):
        return ", ".join(str(part) for part in value)
    return "" if value is None else " ".join(str(value).split())
