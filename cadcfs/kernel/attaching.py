"""Attach the daemon to a mount point; where that is refused, say why and what to do.

libfuse and fusermount3 tell the reason on standard error alone, which a daemon does not have: so
it is caught while they work.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pyfuse3

from cadcfs.errors import UserError
from cadcfs.kernel import confinement

STDERR = 2
CURES = (
    ("user_allow_other", "allow_other is not allowed to users",
     "uncomment user_allow_other in /etc/fuse.conf, or mount without allow_other"),
    ("no write access to mountpoint", "the mount point is not yours",
     "name a directory of your own, or have it given to you with chown"),
    ("too many FUSE filesystems", "too many FUSE file systems are mounted",
     "unmount some, or raise mount_max in /etc/fuse.conf"),
    ("fusermount3: No such file", "fusermount3 is missing", "install the package fuse3"),
    ("fusermount3: not found", "fusermount3 is missing", "install the package fuse3"),
    ("Operation not permitted", "this process may not mount", confinement.PRIVILEGE),
    ("Device or resource busy", "the mount point is in use",
     "see what uses it with `fuser -m`, or name another directory"),
    ("Permission denied", "mounting is denied at this place",
     "name a directory below your home; see `cadcfs doctor`"),
)  # fmt: skip
"""What is said, what it means, and what to do."""


def attach(operations: pyfuse3.Operations, mountpoint: Path, options: set[str]) -> None:
    """Mount *operations* on *mountpoint*.

    Raises
    ------
    UserError
        The kernel or fusermount3 refuses; with cause and cure.
    """
    said: list[str] = []
    try:
        with _caught(said):
            pyfuse3.init(operations, str(mountpoint), options)
    except RuntimeError as exc:
        words = said[0] or str(exc)
        raise UserError(f"cannot mount on {mountpoint}: {explained(words, mountpoint)}") from exc


def explained(words: str, mountpoint: Path, root: Path = Path("/")) -> str:
    """Cause and cure in a sentence, for what fusermount3 and libfuse said."""
    if "Permission denied" in words and confinement.forbids(mountpoint, root):
        return f"AppArmor confines fusermount3 to other places; {confinement.CURE}"
    for part, cause, cure in CURES:
        if part in words:
            return f"{cause}; {cure}"
    line = " ".join(words.split())
    return f"{line}; see `cadcfs doctor {mountpoint}`"


@contextmanager
def _caught(said: list[str]) -> Iterator[None]:
    """What is written to standard error inside becomes the one entry of *said*."""
    before, memory = os.dup(STDERR), os.memfd_create("mount")
    os.dup2(memory, STDERR)
    try:
        yield
    finally:
        os.dup2(before, STDERR)
        said.append(os.pread(memory, 65536, 0).decode("utf-8", "replace").strip())
        os.close(before)
        os.close(memory)
