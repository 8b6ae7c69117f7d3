"""Where a result goes and in which form: a file, a pipe, or a table on a terminal."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

import typer

from cadcfs.archive.conversion import Format, convert
from cadcfs.errors import UserError

SHOWN = 100
"""Rows that a terminal gets to see."""
_FORMS = {form.value: form for form in Format} | {
    "votable": Format.VOT, "xml": Format.VOT, "fit": Format.FITS, "pq": Format.PARQUET,
}  # fmt: skip
BINARY = frozenset({Format.FITS, Format.PARQUET})


def chosen(form: str | None, target: Path | None) -> Format:
    """The form that was asked for, or that the file's name says; CSV otherwise."""
    if form is not None:
        found = _FORMS.get(form.lower())
        if found is None:
            raise UserError(f"no such format: {form}; there are {', '.join(Format)}")
    elif target is not None:
        found = _FORMS.get(target.suffix.lstrip(".").lower())
        if found is None:
            raise UserError(f"what {target.name} should be is not clear; add --format")
    else:
        found = Format.CSV
    if target is None and found in BINARY and sys.stdout.isatty():
        raise UserError(f"{found} is nothing for a terminal; name a file with -o")
    return found


def file_of(target: Path | None) -> Path | None:
    """Where to; None for standard output, which `-` means, too."""
    return None if target == Path("-") else target


async def put(source: Path, form: Format, target: Path | None, *, is_chosen: bool) -> None:
    """Give the VOTable *source* to *target* as *form*; without one, to standard output."""
    import trio

    if target is not None:
        try:
            await _into(target, source, form)
        except OSError as exc:
            raise UserError(f"{target} cannot be written: {exc.strerror}") from exc
    elif sys.stdout.isatty() and not is_chosen:
        await trio.to_thread.run_sync(_show, source)
    else:
        made = source.with_name(f"output.{form}")
        await _made(source, form, made)
        await trio.to_thread.run_sync(_copy_out, made)


async def _into(target: Path, source: Path, form: Format) -> None:
    """Have all of it in *target*, or nothing."""
    import trio

    place = _beside(target)
    if place is None:
        made = source.with_name(f"output.{form}")
        await _made(source, form, made)
        await trio.to_thread.run_sync(_copy, made, target)
        return
    part = place.with_name(f".{place.name}.{os.getpid()}.part")
    try:
        await _made(source, form, part)
        await trio.to_thread.run_sync(part.replace, place)
    finally:
        part.unlink(missing_ok=True)


def _beside(target: Path) -> Path | None:
    """The file that is to be replaced; None for a device or a pipe, which never is."""
    is_special = target.exists() and not target.is_file() and not target.is_dir()
    return None if is_special else target.resolve()


def _copy(made: Path, target: Path) -> None:
    with made.open("rb") as opened, target.open("wb") as out:
        shutil.copyfileobj(opened, out)


async def _made(source: Path, form: Format, target: Path) -> None:
    import trio

    if form is Format.VOT:
        await trio.to_thread.run_sync(shutil.copyfile, source, target)
    else:
        await convert(source, target, form)


def _copy_out(made: Path) -> None:
    try:
        with made.open("rb") as opened:
            shutil.copyfileobj(opened, sys.stdout.buffer)
        sys.stdout.buffer.flush()
    except BrokenPipeError:
        # As by `| head`: whoever reads has had enough. Python would complain again at its end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _show(source: Path) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    from cadcfs.archive.conversion import unique
    from cadcfs.archive.scan import in_parts
    from cadcfs.archive.votable import parse_votable

    answer = parse_votable(next(in_parts(source, SHOWN + 1)), source.name)
    shown = Table(box=None, pad_edge=False, header_style="bold")
    for name, field in zip(unique([f.name for f in answer.fields]), answer.fields, strict=True):
        shown.add_column(f"{name}\n{field.unit}" if field.unit else name, overflow="fold")
    for row in answer.rows[:SHOWN]:
        shown.add_row(*(Text(cell) for cell in row))
    Console().print(shown)
    if len(answer.rows) > SHOWN:
        typer.echo(f"cadcfs: the first {SHOWN} rows; -o FILE takes them all", err=True)
