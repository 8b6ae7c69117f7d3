"""Go on in the background once the work says that it is ready."""

from __future__ import annotations

import os
import sys
import traceback
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from cadcfs.errors import CadcfsError
from cadcfs.logs import redacted

READY = b"ready\n"
STANDARD_ERROR = 2


def in_background(work: Callable[[Callable[[str], None]], None]) -> str:
    """Run *work* in a daemon; returns what it says when it is ready.

    *work* is called with a function that it calls, with a text to show, when it is ready.

    Raises
    ------
    CadcfsError
        *work* ended before it was ready; with its reason.
    """
    read_end, write_end = os.pipe()
    if os.fork() == 0:
        os.close(read_end)
        _daemon(work, write_end)
    os.close(write_end)
    with os.fdopen(read_end, "rb") as pipe:
        said = pipe.read()
    if said.startswith(READY):
        return said.removeprefix(READY).decode()
    raise CadcfsError(said.decode() or "the daemon ended without a word; see its log")


def _daemon(work: Callable[[Callable[[str], None]], None], write_end: int) -> None:
    os.setsid()
    null = os.open(os.devnull, os.O_RDWR)
    for standard in (0, 1, 2):
        os.dup2(null, standard)
    _leave_inherited()
    told = False

    def tell(words: bytes) -> None:
        nonlocal told
        if not told:
            told = True
            os.write(write_end, words)
            os.close(write_end)

    code = 1
    try:
        work(lambda text: tell(READY + text.encode()))
        code = 0
    except CadcfsError as exc:
        tell(redacted(str(exc)).encode())
    except BaseException:  # noqa: BLE001  (the last words of a daemon without a terminal)
        tell(redacted(traceback.format_exc()).encode())
    finally:
        sys.stdout.flush()
        os._exit(code)


def _leave_inherited() -> None:
    """Close what the caller left open: a lock or a pipe is not for a daemon to hold (daemon(7)).

    What Python opened itself is not inheritable (PEP 446), and stays.
    """
    for descriptor in [int(place.name) for place in Path("/proc/self/fd").iterdir()]:
        # The listing's own is closed by now.
        with suppress(OSError):
            if descriptor > STANDARD_ERROR and os.get_inheritable(descriptor):
                os.close(descriptor)
