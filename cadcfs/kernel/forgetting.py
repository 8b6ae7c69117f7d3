"""Has the kernel forget what it keeps: names, attributes and pages.

All of it from worker threads, for the kernel may wait for locks that calls hold, or for reads to
end. When all names change their meaning they need not be forgotten: the next stat of one asks
here, hears ESTALE where it is another file now, and then the kernel looks the whole path up anew.
"""

from __future__ import annotations

import contextlib
import logging
import os
from collections.abc import Iterable, Sequence

import pyfuse3
import trio
from pyfuse3 import InodeT

log = logging.getLogger(__name__)


class Forgetting:
    """Has the kernel forget inodes altogether."""

    def __init__(self) -> None:
        self.is_mounted = False

    def __call__(self, numbers: Iterable[int]) -> None:
        """Forget what is kept of *numbers*; blocking."""
        for number in numbers:
            if not self.is_mounted:
                return
            try:
                pyfuse3.invalidate_inode(InodeT(number))
            except OSError as exc:
                # The kernel has forgotten it by itself.
                log.debug("inode %d is not kept: %s", number, exc)


async def forget_names(directory: int, names: Sequence[str]) -> None:
    """Let the kernel look *names* in the inode *directory* up again."""

    def invalidate() -> None:
        for name in names:
            with contextlib.suppress(OSError):
                pyfuse3.invalidate_entry(InodeT(directory), os.fsencode(name))

    if names:
        await trio.to_thread.run_sync(invalidate, abandon_on_cancel=True)


async def forget_attributes(number: int) -> None:
    """Let the kernel ask again for size and times; the pages stay, of the version the inode is."""
    with contextlib.suppress(OSError):
        await trio.to_thread.run_sync(
            pyfuse3.invalidate_inode, InodeT(number), True, abandon_on_cancel=True
        )
