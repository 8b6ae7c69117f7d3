"""Runs `cadcfs.fits.unpack` and feeds it, so that unpacking goes on while bytes arrive."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import trio

from cadcfs.errors import CadcfsError, Corrupt, Unavailable
from cadcfs.fits.unpack import DISK_FAILS
from cadcfs.fits.walk import Read

CHUNK = 1 << 20


async def feed(read: Read, path: Path, name: str) -> None:
    """Write the file that *read* gives, unpacked, to *path*; *name* is for errors.

    Raises
    ------
    Corrupt
        It is no such file, or damaged.
    OSError
        The disk of *path*.
    """
    # Temporary files go where the new one goes: /tmp may be small, or memory.
    spool = path.parent if path.parent.name != "fd" else Path("/dev/shm")  # noqa: S108
    environ = os.environ | {"TMPDIR": str(spool), "OPENBLAS_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "cadcfs.fits.unpack", str(path)]
    ended: list[subprocess.CompletedProcess[bytes]] = []
    failure: CadcfsError | None = None

    async def run(task_status: trio.TaskStatus[trio.Process]) -> None:
        ended.append(await trio.run_process(
            command, stdin=subprocess.PIPE, capture_stderr=True, check=False, env=environ,
            task_status=task_status,
        ))  # fmt: skip

    async with trio.open_nursery() as nursery:
        process = await nursery.start(run)
        try:
            await _pump(read, process)
        except CadcfsError as exc:
            # Not out of the nursery, which would wrap it.
            failure = exc
            process.kill()
    if failure is not None:
        raise failure
    _check(ended[0], name)


def _check(ended: subprocess.CompletedProcess[bytes], name: str) -> None:
    if ended.returncode == 0:
        return
    said = ended.stderr.decode("utf-8", "replace").strip().rpartition("\n")[2]
    if ended.returncode == DISK_FAILS:
        number = int(said)
        raise OSError(number, os.strerror(number))
    if ended.returncode < 0:
        raise Unavailable(f"{name}: unpacking was ended by signal {-ended.returncode}")
    raise Corrupt(f"{name} cannot be unpacked: {said}")


async def _pump(read: Read, process: trio.Process) -> None:
    assert process.stdin is not None
    offset = 0
    try:
        while chunk := await read(offset, CHUNK):
            await process.stdin.send_all(chunk)
            offset += len(chunk)
        await process.stdin.aclose()
    except (trio.BrokenResourceError, trio.ClosedResourceError):
        # It has ended; its exit code says why.
        return
