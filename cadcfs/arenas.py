"""How many pools of memory the C library keeps for the threads of the daemon."""

from __future__ import annotations

import ctypes
import logging
import os

log = logging.getLogger(__name__)

M_ARENA_MAX = -8
"""mallopt(3), <malloc.h> of glibc."""
MOST = 2
SET_BY_USER = "MALLOC_ARENA_MAX"


def keep_few() -> None:
    """At most `MOST` pools; to be called before there are threads.

    glibc has up to eight for each processor, and what a thread of the worker pool gives back stays
    in its own: buffers of a few hundred kilobytes that came and went in each of them added up.
    Without effect under another C library, and where the environment says how many.
    """
    if SET_BY_USER in os.environ:
        return
    try:
        done = ctypes.CDLL(None).mallopt(M_ARENA_MAX, MOST)
    except AttributeError:
        return
    if not done:
        log.debug("the C library keeps its number of arenas")
