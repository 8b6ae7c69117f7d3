"""Results: from the archive to disk, read along, and shown only when they are whole."""

from __future__ import annotations

import logging
import os
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager
from pathlib import Path

import trio

from cadcfs.archive.scan import Scan, Summary
from cadcfs.jobs.folder import settle

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
    part = target.with_name(f"{target.name}.{os.getpid()}.part")
    scan = Scan(place)

    def take(piece: bytes) -> None:
        opened.write(piece)
        scan.feed(piece)

    def finish() -> Summary:
        summary = scan.close()
        opened.close()
        settle(part)
        part.replace(target)
        settle(target)
        return summary

    opened = await trio.to_thread.run_sync(part.open, "wb", limiter=threads)
    try:
        async with body as pieces:
            async for piece in pieces:
                await trio.to_thread.run_sync(take, piece, limiter=threads)
        return await trio.to_thread.run_sync(finish, limiter=threads)
    finally:
        with trio.CancelScope(shield=True):
            await trio.to_thread.run_sync(_drop, opened, part)


def _drop(opened: object, part: Path) -> None:
    close = getattr(opened, "close", None)
    try:
        if close is not None:
            close()
    except OSError as exc:
        log.info("a full disk also fails at closing: %s", exc)
    part.unlink(missing_ok=True)
