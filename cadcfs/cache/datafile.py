"""The bytes of one cached version: a sparse file shared by processes, or memory without a disk."""

from __future__ import annotations

import ctypes
import fcntl
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path
from typing import Self

_KEEP_SIZE_PUNCH_HOLE = 0x01 | 0x02


class Memory:
    """What files without a disk may keep in memory, all together and each."""

    def __init__(self, total: int = 64 << 20, least: int = 1 << 20) -> None:
        self.files = 0
        self._total = total
        self._least = least

    @property
    def share(self) -> int:
        """Bytes for one file."""
        return max(self._least, self._total // max(1, self.files))


class DataFile:
    """An open data file. The descriptor's number stays the same, also when it moves to memory.

    A shared lock says that the file is in use. Holes may be punched under an exclusive one alone,
    so never under the eyes of another process; who has the file open notices other changes by its
    modification time.
    """

    def __init__(self, fd: int, path: Path | None, distrust: Callable[[], None]) -> None:
        self.fd = fd
        self._distrust = distrust
        self.path = path
        self._writing = False
        self._left = self._modified() if path else 0

    @classmethod
    def on_disk(cls, path: Path, distrust: Callable[[], None]) -> Self:
        """Open or make the file *path*; waits while it is being evicted.

        *distrust* is called when somebody else has changed the file.
        """
        while True:
            fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            try:
                with suppress(OSError):  # no locks on this disk: then nobody evicts, either
                    fcntl.flock(fd, fcntl.LOCK_SH)
                if os.fstat(fd).st_nlink:
                    return cls(fd, path, distrust)
            except BaseException:
                os.close(fd)
                raise
            os.close(fd)

    @classmethod
    def in_memory(cls) -> Self:
        return cls(os.memfd_create("cadcfs", os.MFD_CLOEXEC), None, lambda: None)

    def move_to_memory(self) -> None:
        """Go on with nothing, in memory."""
        memory = os.memfd_create("cadcfs", os.MFD_CLOEXEC)
        # In one step, for the event loop may be reading from this number right now.
        os.dup2(memory, self.fd, inheritable=False)
        os.close(memory)
        self.path = None

    def taken(self) -> int:
        """Bytes on disk."""
        return os.fstat(self.fd).st_blocks * 512

    def was_touched(self) -> bool:
        """True after somebody else has changed the file, once that was told."""
        if self._writing or self.path is None:
            return False
        seen = self._modified()
        if seen == self._left:
            return False
        # First told, then taken as it is: another thread may look at any moment.
        self._distrust()
        self._left = seen
        return True

    def write(self, offset: int, content: bytes | memoryview) -> None:
        """Write all of *content*."""
        self.was_touched()
        with self._changing():
            done = 0
            while done < len(content):
                done += os.pwrite(self.fd, content[done:] if done else content, offset + done)

    def punch(self, offset: int, size: int) -> None:
        """Give the bytes of a range back to the disk."""
        with self._changing():
            if _libc().fallocate64(self.fd, _KEEP_SIZE_PUNCH_HOLE, offset, size):
                number = ctypes.get_errno()
                raise OSError(number, os.strerror(number))

    @contextmanager
    def alone(self) -> Iterator[bool]:
        """Keep other processes out meanwhile; False if one has the file open already."""
        if self.path is None:
            yield True
            return
        try:
            fcntl.flock(self.fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            alone = True
        except OSError:
            alone = False
        try:
            yield alone
        finally:
            # Also after a failure: the attempt has given up the shared lock.
            with suppress(OSError):
                fcntl.flock(self.fd, fcntl.LOCK_SH)

    def close(self) -> None:
        os.close(self.fd)
        self.fd = -1

    @contextmanager
    def _changing(self) -> Iterator[None]:
        self._writing = True
        try:
            yield
        finally:
            if self.path is not None:
                self._left = self._modified()
            self._writing = False

    def _modified(self) -> int:
        return os.fstat(self.fd).st_mtime_ns


@cache
def _libc() -> ctypes.CDLL:
    libc = ctypes.CDLL(None, use_errno=True)
    libc.fallocate64.argtypes = (ctypes.c_int, ctypes.c_int, ctypes.c_int64, ctypes.c_int64)
    return libc
