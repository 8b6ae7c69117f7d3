"""What the C library keeps of the memory that the daemon gives back."""

from __future__ import annotations

import ctypes
import logging
import os

log = logging.getLogger(__name__)

M_ARENA_MAX = -8
"""mallopt(3), <malloc.h> of glibc."""
MOST = 2
M_MMAP_THRESHOLD = -3
LARGE = 4 << 20
"""Bytes from which on a buffer is a mapping of its own, which goes when it is given back; libfuse
has one of a MiB for each request, which must not be mapped anew each time."""
M_TRIM_THRESHOLD = -1
SPARE = 8 << 20
"""Bytes that stay at the end of the heap for the next buffers."""
SET_BY_USER = "MALLOC_ARENA_MAX"


def keep_few() -> None:
    """At most `MOST` pools; to be called before there are threads.

    glibc has up to eight for each processor, and what a thread of the worker pool gives back stays
    in its own: buffers of a few hundred kilobytes that came and went in each of them added up.
    And it raises the size from which on a buffer is a mapping of its own to that of the largest one
    that was given back: the next long answer then lies in the heap, below what is kept of it, and
    the system never gets it back.
    Without effect under another C library, and where the environment says how many.
    """
    if SET_BY_USER in os.environ:
        return
    wanted = {M_ARENA_MAX: MOST, M_MMAP_THRESHOLD: LARGE, M_TRIM_THRESHOLD: SPARE}
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except AttributeError:
        return
    if not all(mallopt(name, value) for name, value in wanted.items()):
        log.debug("the C library keeps memory as it likes")
