"""The result of a job: from the archive to disk, read along, and shown only when it is whole."""

from __future__ import annotations

import logging
import os
from pathlib import Path

import trio

from cadcfs.archive.scan import Scan, Summary
from cadcfs.archive.uws import RemoteJob, Uws
from cadcfs.jobs.folder import settle

log = logging.getLogger(__name__)


async def fetch(
    uws: Uws, remote: RemoteJob, target: Path, threads: trio.CapacityLimiter
) -> Summary:
    """Bring the result of *remote* to *target*; nothing is left of what fails.

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
    scan = Scan(f"the result of job {remote.job_id}")

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
        async with await uws.result(remote) as pieces:
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
