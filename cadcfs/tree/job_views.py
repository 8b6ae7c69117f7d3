"""Files of a job that nobody writes: its phase, its end, its result, what the archive says."""

from __future__ import annotations

import math
import os
import stat
import time
from collections.abc import Awaitable, Callable

import trio

from cadcfs.archive.conversion import Format
from cadcfs.errors import BadRequest
from cadcfs.jobs.engine import Jobs
from cadcfs.jobs.results import Results
from cadcfs.tree.node import LONG, Attributes, Opened
from cadcfs.tree.plain import Snapshot


class PhaseFile:
    """`phase`: reading tells how far the job is, writing RUN or ABORT acts at once."""

    is_control = True

    def __init__(self, key: str, jobs: Jobs, job_key: int, changed: Callable[[], int]) -> None:
        self.key = key
        self._jobs = jobs
        self._job_key = job_key
        self._changed = changed

    def attributes_now(self) -> Attributes:
        return Attributes(stat.S_IFREG | 0o644, 0, self._changed(), valid=0)

    async def attributes(self) -> Attributes:
        return self.attributes_now()

    async def open(self) -> Opened:
        return await self._opened()

    async def open_to_write(self, *, truncate: bool) -> PhaseHandle:  # noqa: ARG002
        return await self._opened()

    async def truncate(self, size: int) -> None:
        """As a shell does before it writes."""

    async def act(self, word: str) -> None:
        job = await self._jobs.get(self._job_key)
        if word == "RUN":
            await self._jobs.run(job)
        elif word == "ABORT":
            await self._jobs.abort(job)
        else:
            raise BadRequest(f"{job.name}/phase: {word!r} is neither RUN nor ABORT")

    async def _opened(self) -> PhaseHandle:
        job = await self._jobs.get(self._job_key)
        return PhaseHandle(self, f"{job.phase}\n".encode())


class PhaseHandle(Snapshot):
    """One opening of `phase`."""

    def __init__(self, file: PhaseFile, content: bytes) -> None:
        super().__init__(content)
        self._file = file

    async def write(self, offset: int, data: bytes) -> int:  # noqa: ARG002
        await self._file.act(data.decode("ascii", "replace").strip().upper())
        return len(data)

    async def flush(self) -> None:
        return

    async def sync(self) -> None:
        return


class TextFile:
    """A text that may be another at each opening, whose size is known beforehand if it is here."""

    def __init__(
        self,
        key: str,
        make: Callable[[], Awaitable[str]],
        mtime_ns: int,
        known: str | None = None,
        patience: float | None = None,
    ) -> None:
        self.key = key
        self.is_control = known is None
        self._make = make
        self._mtime_ns = mtime_ns
        self._known = known
        if patience is not None:
            self.patience = patience

    def attributes_now(self) -> Attributes:
        size = len(self._known.encode()) if self._known is not None else 0
        return Attributes(stat.S_IFREG | 0o644, size, self._mtime_ns, valid=0)

    async def attributes(self) -> Attributes:
        return self.attributes_now()

    async def open(self) -> Opened:
        return Snapshot((await self._make()).encode())


def wait_file(key: str, jobs: Jobs, job_key: int) -> TextFile:
    """`.wait`: opens when the job has ended, and tells the phase then."""

    async def ended() -> str:
        return f"{(await jobs.ended(job_key)).phase}\n"

    return TextFile(key, ended, time.time_ns(), patience=math.inf)


class ResultFile:
    """The result in one format: made when it is opened, or looked at by more than a name."""

    is_control = False
    is_made = True
    # As all files of a job: rm asks about each that cannot be written.
    permissions = 0o644

    def __init__(
        self, key: str, results: Results, job_key: int, form: Format, changed_ns: int
    ) -> None:
        self.key = key
        self.changed_ns = changed_ns
        self._results = results
        self._job_key = job_key
        self._form = form

    def attributes_now(self) -> Attributes | None:
        try:
            # Inline: a stat of a local file costs less than the hop into a thread.
            found = self._results.place(self._job_key, self._form).stat()
        except OSError:
            return None
        return Attributes(stat.S_IFREG | 0o644, found.st_size, found.st_mtime_ns, LONG)

    async def attributes(self) -> Attributes:
        await self._results.whole(self._job_key, self._form)
        known = self.attributes_now()
        assert known is not None
        return known

    async def open(self) -> Opened:
        place = await self._results.whole(self._job_key, self._form)
        return LocalFile(await trio.to_thread.run_sync(os.open, place, os.O_RDONLY | os.O_CLOEXEC))


class LocalFile:
    """An open file on this machine's disk."""

    def __init__(self, number: int) -> None:
        self._number = number

    def read_now(self, offset: int, size: int) -> bytes | None:
        return os.pread(self._number, size, offset)

    async def read(self, offset: int, size: int) -> bytes:
        return os.pread(self._number, size, offset)

    async def aclose(self) -> None:
        await trio.to_thread.run_sync(os.close, self._number)
