"""Has the kernel forget what it keeps of inodes: attributes and pages.

Names need not be forgotten: the next stat of one asks here, hears ESTALE where it is another file
now, and then the kernel looks the whole path up anew.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable

import pyfuse3
from pyfuse3 import InodeT

log = logging.getLogger(__name__)


class Forgetting:
    """Notifications to the kernel; from a worker thread, for they may wait for reads to end."""

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
