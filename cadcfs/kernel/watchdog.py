"""A process that unmounts lazily when the daemon dies without doing so.

A mount point whose daemon is gone answers "Transport endpoint is not connected" to everybody until
somebody unmounts it.
"""

from __future__ import annotations

import os
import signal
from pathlib import Path

from cadcfs.errors import CadcfsError
from cadcfs.kernel import mountpoints

FIRST_FD = 3
PASSED = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT)
"""Signals that are meant for the daemon, which may take a while to end."""


def start(mountpoint: Path) -> int:
    """Watch this process from another one; to be called before there are threads.

    Returns a file descriptor that must stay open: the watchdog hears that it was closed, by
    whatever means this process ends.
    """
    read_end, write_end = os.pipe()
    first = os.fork()
    if first == 0:
        # The second one is nobody's child, and so nobody's zombie.
        if os.fork() == 0:
            _watch(read_end, mountpoint)
        os._exit(0)
    os.close(read_end)
    os.waitpid(first, 0)
    return write_end


def _watch(read_end: int, mountpoint: Path) -> None:
    try:
        os.setsid()
        for number in PASSED:
            signal.signal(number, signal.SIG_IGN)
        null = os.open(os.devnull, os.O_RDWR)
        for standard in range(FIRST_FD):
            os.dup2(null, standard)
        os.closerange(FIRST_FD, read_end)
        os.closerange(read_end + 1, os.sysconf("SC_OPEN_MAX"))
        os.chdir("/")
        os.read(read_end, 1)
        _clean(mountpoint)
    finally:
        os._exit(0)


def _clean(mountpoint: Path) -> None:
    if mountpoints.mounted_type(mountpoint) == mountpoints.TYPE and mountpoints.is_dead(mountpoint):
        try:
            mountpoints.unmount(mountpoint, lazy=True)
        except CadcfsError:
            # Somebody else was faster.
            return
