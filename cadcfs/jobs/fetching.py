"""Results: from the archive to disk, read along, and shown only when they are whole."""

from __future__ import annotations

import logging
import os
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import BinaryIO

import trio

from cadcfs.archive.scan import Scan, Summary
from cadcfs.jobs.folder import settle
from cadcfs.jobs.record import Job

log = logging.getLogger(__name__)


async def receive(
    body: AbstractAsyncContextManager[AsyncIterator[bytes]],
    place: str,
    target: Path,
    threads: trio.CapacityLimiter,
) -> Summary:
    """Bring the VOTable *body* to *target*; nothing is left of what fails.

    *place* is what to call it in errors.

    Raises
    ------
    Incomplete
        It broke off, or is no VOTable.
    BadRequest
        The query failed while the archive wrote its result.
    OSError
        The disk.
    Unavailable, NotFound
    """
    part = _Part(target, place)
    try:
        async with body as pieces:
            async for piece in pieces:
                await trio.to_thread.run_sync(part.take, piece, limiter=threads)
        return await trio.to_thread.run_sync(part.finish, limiter=threads)
    finally:
        with trio.CancelScope(shield=True):
            await trio.to_thread.run_sync(part.drop)


class _Part:
    """A result on its way to its place; all that it does is blocking."""

    def __init__(self, target: Path, place: str) -> None:
        self._target = target
        self._path = target.with_name(f"{target.name}.{os.getpid()}.part")
        self._scan = Scan(place)
        self._file: BinaryIO | None = None

    def take(self, piece: bytes) -> None:
        if self._file is None:
            self._file = self._path.open("wb")
        self._file.write(piece)
        self._scan.feed(piece)

    def finish(self) -> Summary:
        """Put it in its place, if it is whole."""
        summary = self._scan.close()
        assert self._file is not None
        self._file.close()
        settle(self._path)
        self._path.replace(self._target)
        settle(self._target)
        return summary

    def drop(self) -> None:
        """Leave nothing of what was not finished."""
        try:
            if self._file is not None:
                self._file.close()
        except OSError as exc:
            log.info("a full disk also fails at closing: %s", exc)
        self._path.unlink(missing_ok=True)


def overflow(summary: Summary, job: Job) -> str:
    """What error.txt says of a result that the service cut."""
    # The rows of a binary serialization are not counted.
    after = f" after {summary.rows} rows" if summary.rows else ""
    cut = f"The result is not whole (OVERFLOW): it was cut{after}"
    if job.maxrec is not None and summary.rows in (0, job.maxrec):
        return f"{cut}, as maxrec says.\n"
    return (
        f"{cut}, the archive's limit for a result of {summary.columns} columns.\n"
        "Fewer columns allow more rows; a synchronous query (cadcfs query) has no such limit.\n"
    )
