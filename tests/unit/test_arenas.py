"""The daemon keeps few pools of memory, however many threads it has."""

from __future__ import annotations

import os
import subprocess
import sys

THREADS = 12
COUNT = f"""
import ctypes, sys, threading
from cadcfs import arenas
if "keep" in sys.argv:
    arenas.keep_few()
at_once = threading.Barrier({THREADS})
def allocate():
    held = bytearray(10_000)
    at_once.wait()
threads = [threading.Thread(target=allocate) for _ in range({THREADS})]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
libc = ctypes.CDLL(None)
libc.fdopen.restype = ctypes.c_void_p
libc.malloc_info(0, ctypes.c_void_p(libc.fdopen(1, b"w")))
libc.fflush(None)
"""


def heaps(*args: str, most: str = "") -> int:
    """Arenas of a process that had many threads; *most* is what its environment says."""
    environment = {k: v for k, v in os.environ.items() if k != "MALLOC_ARENA_MAX"}
    if most:
        environment["MALLOC_ARENA_MAX"] = most
    told = subprocess.run(
        [sys.executable, "-c", COUNT, *args], capture_output=True, check=True, env=environment
    )
    return told.stdout.count(b"<heap nr=")


def test_threads_share_two_arenas() -> None:
    assert heaps() > 2
    assert heaps("keep") == 2


def test_the_environment_has_its_say() -> None:
    assert heaps("keep", most="3") == 3
