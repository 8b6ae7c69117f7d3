"""How many read-ahead requests the kernel lets wait at once.

With its 12, as many reads that wait for the network block every other read, also of what is here.
Where the file that says so is (fusectl) is not mounted, as in most containers, root mounts it in a
name space of a process that ends at once.
"""

from __future__ import annotations

import logging
import os
import subprocess
from pathlib import Path

log = logging.getLogger(__name__)

MAX_BACKGROUND = 1024
CONNECTIONS = Path("/sys/fs/fuse/connections")
APART = f"""
mount -t fusectl fusectl {CONNECTIONS} && echo {MAX_BACKGROUND} > {CONNECTIONS}/$1/max_background
"""
PATIENCE = 10.0
"""Seconds."""


def widen(mountpoint: Path) -> None:
    """Allow *mountpoint* `MAX_BACKGROUND` of them, where this process may; blocking."""
    try:
        connection = str(os.minor(mountpoint.stat().st_dev))
        try:
            (CONNECTIONS / connection / "max_background").write_text(str(MAX_BACKGROUND))
        except FileNotFoundError:
            _widen_apart(connection)
    except (OSError, subprocess.SubprocessError) as exc:
        log.info("max_background stays at the kernel's default: %s", exc)


def _widen_apart(connection: str) -> None:
    subprocess.run(
        ["unshare", "--mount", "sh", "-c", APART, "sh", connection],
        stdin=subprocess.DEVNULL, capture_output=True, timeout=PATIENCE, check=True,
    )  # fmt: skip
