"""All that is known of the observations and planes behind a question, as a table on disk."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import trio

from cadcfs.archive import queries
from cadcfs.archive.conditions import Condition, test_of
from cadcfs.archive.constraints import Question
from cadcfs.archive.tap import Tap
from cadcfs.archive.votable_file import VOTableFile, as_tabledata, unique_names, write_csv
from cadcfs.errors import Incomplete

TIME = 600.0
"""Seconds without a byte of an answer that is fetched for as long as it takes."""

MEMORY = Path("/proc")
HEAD = 1 << 16
"""Bytes of a document in which it tells of itself."""
_ASKED_AT = re.compile(
    rb"""<INFO\s[^>]*name\s*=\s*["']QUERY_TIMESTAMP["'][^>]*(?:/>|>[^<]*</INFO>)"""
)


class Metadata:
    """Fetches tables; what is done with them runs in worker threads."""

    def __init__(self, tap: Tap) -> None:
        self._tap = tap
        self._threads = trio.CapacityLimiter(2)

    async def fetch(self, question: Question, planes: frozenset[str] | None, target: Path) -> None:
        """The whole answer to *question* as a VOTable with its rows in TABLEDATA.

        *planes* are the publisher IDs of what is meant, where the archive finds more.

        Raises
        ------
        Incomplete
            The answer broke off, or was cut.
        BadRequest, Unavailable
        """
        await self._tap.save(queries.metadata(question), target, seconds=TIME)
        await trio.to_thread.run_sync(_finish, target, question, planes, limiter=self._threads)

    async def select(self, table: Path, conditions: Sequence[Condition], target: Path) -> None:
        """The rows of *table* that fulfil *conditions*; raises `BadRequest`."""
        await trio.to_thread.run_sync(_select, table, conditions, target, limiter=self._threads)

    async def convert(self, table: Path, target: Path) -> None:
        """*table* as CSV."""
        await trio.to_thread.run_sync(_convert, table, target, limiter=self._threads)

    async def publishers(self, table: Path, conditions: Sequence[Condition]) -> tuple[str, ...]:
        """The publisher IDs of the planes in *table* that fulfil *conditions*."""
        return await trio.to_thread.run_sync(_publishers, table, conditions, limiter=self._threads)


def _finish(path: Path, question: Question, planes: frozenset[str] | None) -> None:
    with VOTableFile(path) as table:
        if table.cut:
            raise Incomplete(f"the archive cut its answer: {queries.metadata(question)}")
        is_tabledata = table.is_tabledata
    if not is_tabledata:
        as_tabledata(path)
    if planes is not None:
        _keep_planes(path, planes)
    _forget_when(path)


def _forget_when(path: Path) -> None:
    """Blank out when *path* was asked for: the same answer is the same file.

    What the cache has lost is asked for again while a program reads the rest.
    """
    with path.open("r+b") as file:
        found = _ASKED_AT.search(file.read(HEAD))
        if found:
            file.seek(found.start())
            file.write(b" " * len(found[0]))


def _keep_planes(path: Path, planes: frozenset[str]) -> None:
    with _rewriting(path) as narrowed, VOTableFile(path) as table:
        place = _place(table, "publisherID")
        table.write_rows(narrowed, lambda cells: cells[place] in planes)


@contextmanager
def _rewriting(path: Path) -> Iterator[Path]:
    """Where to write what takes the place of *path* at the end.

    Where the disk is full, *path* is in memory (`/proc/PID/fd/N`), and nothing can lie beside it.
    """
    if MEMORY in path.parents:
        with os.fdopen(os.memfd_create("cadcfs", os.MFD_CLOEXEC), "rb") as new:
            yield MEMORY / "self/fd" / str(new.fileno())
            with path.open("wb") as target:
                shutil.copyfileobj(new, target)
        return
    beside = path.with_name(f"{path.name}.narrowed")
    try:
        yield beside
        beside.replace(path)
    finally:
        beside.unlink(missing_ok=True)


def _select(source: Path, conditions: Sequence[Condition], target: Path) -> None:
    with VOTableFile(source) as table:
        table.write_rows(target, test_of(conditions, table.fields))


def _convert(source: Path, target: Path) -> None:
    with VOTableFile(source) as table:
        write_csv(table, target)


def _publishers(source: Path, conditions: Sequence[Condition]) -> tuple[str, ...]:
    with VOTableFile(source) as table:
        place, fulfils = _place(table, "publisherID"), test_of(conditions, table.fields)
        return tuple(cells[place] for cells in table.rows() if fulfils(cells))


def _place(table: VOTableFile, column: str) -> int:
    names = [name.lower() for name in unique_names(table.fields)]
    if column.lower() not in names:
        raise Incomplete(f"the archive's planes have no column {column}")
    return names.index(column.lower())
