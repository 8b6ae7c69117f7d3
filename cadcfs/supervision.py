"""What systemd is told of a mount: that it answers, goes on answering, and ends (sd_notify(3)).

Without NOTIFY_SOCKET in the environment nothing is told.
"""

from __future__ import annotations

import logging
import os
import socket
from pathlib import Path

import trio

log = logging.getLogger(__name__)


def tell(*states: str) -> None:
    """Send *states*, as `READY=1`; never waits, and never fails."""
    address = os.environ.get("NOTIFY_SOCKET", "")
    if not address:
        return
    # An address of the abstract name space is written with an @.
    name = f"\0{address[1:]}" if address.startswith("@") else address
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as channel:
            channel.sendto("\n".join(states).encode(), socket.MSG_DONTWAIT, name)
    except OSError as exc:
        log.info("systemd was not told %s: %s", states, exc)


def tell_ready(mountpoint: Path) -> None:
    """The mount answers; the process may be another one than systemd started."""
    tell("READY=1", f"MAINPID={os.getpid()}", f"STATUS=mounted on {mountpoint}")


def watchdog_seconds() -> float | None:
    """How often systemd wants to hear of this process; None where it does not.

    See sd_watchdog_enabled(3).
    """
    if os.environ.get("WATCHDOG_PID") not in (None, str(os.getpid())):
        return None
    try:
        return int(os.environ["WATCHDOG_USEC"]) / 1_000_000 or None
    except (KeyError, ValueError):
        return None


async def reassure(mountpoint: Path) -> None:
    """Tell the watchdog that the mount answers, as long as it does; for ever.

    Asked by statvfs, which goes through the kernel to this daemon and back, and asks no network.
    """
    seconds = watchdog_seconds()
    if seconds is None:
        return
    while True:
        try:
            await trio.to_thread.run_sync(os.statvfs, mountpoint, abandon_on_cancel=True)
        except OSError as exc:
            log.warning("the mount does not answer, which the watchdog is to see: %s", exc)
        else:
            tell("WATCHDOG=1")
        await trio.sleep(seconds / 3)
