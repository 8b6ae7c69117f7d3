"""Mount points: fit for mounting, mounted by us, dead; and how to get rid of a mount."""

from __future__ import annotations

import errno
import os
import re
import subprocess
from pathlib import Path

from cadcfs.errors import UserError

TYPE = "fuse.cadcfs"
DEVICE = Path("/dev/fuse")


def mounted_type(path: Path) -> str | None:
    """The file system type mounted exactly at *path*, None for none (proc(5), mountinfo)."""
    wanted = str(Path(os.path.realpath(path.parent)) / path.name)
    found = None
    for line in Path("/proc/self/mountinfo").read_text().splitlines():
        fields = line.split(" ")
        if _unescaped(fields[4]) == wanted:
            # The last one covers the others.
            found = fields[fields.index("-") + 1]
    return found


def all_of_ours() -> list[Path]:
    """Where cadcfs is mounted, by anybody."""
    lines = (line.split(" ") for line in Path("/proc/self/mountinfo").read_text().splitlines())
    found = {fields[4] for fields in lines if fields[fields.index("-") + 1] == TYPE}
    return sorted(Path(_unescaped(field)) for field in found)


def mounted() -> list[Path]:
    """Where this user's mounts of cadcfs are."""
    user = f"user_id={os.geteuid()}"
    found = []
    for line in Path("/proc/self/mountinfo").read_text().splitlines():
        fields = line.split(" ")
        if fields[fields.index("-") + 1] == TYPE and user in fields[-1].split(","):
            found.append(Path(_unescaped(fields[4])))
    return found


def prepare(path: Path) -> None:
    """Make sure that *path* can be mounted on; a dead mount of ours is cleaned away.

    Raises
    ------
    UserError
        What is wrong and what to do.
    """
    if not DEVICE.exists():
        raise UserError("there is no /dev/fuse; load it with `modprobe fuse`; in a container: "
                        "--device /dev/fuse --cap-add SYS_ADMIN")  # fmt: skip
    if not os.access(DEVICE, os.R_OK | os.W_OK):
        raise UserError("you may not use /dev/fuse; as root: chmod 666 /dev/fuse, or join the "
                        "group that owns it")  # fmt: skip
    if mounted_type(path) == TYPE and is_dead(path):
        unmount(path, lazy=True)
    try:
        path.stat()
    except FileNotFoundError:
        raise UserError(f"{path} does not exist; make it with: mkdir -p {path}") from None
    except OSError as exc:
        raise UserError(f"{path} cannot be used: {exc.strerror}") from exc
    if (kind := mounted_type(path)) is not None:
        hint = f"; unmount it with: cadcfs umount {path}" if kind == TYPE else ""
        raise UserError(f"{path} is mounted already ({kind}){hint}")
    if not path.is_dir():
        raise UserError(f"{path} is not a directory; name an empty one")
    if any(path.iterdir()):
        raise UserError(f"{path} is not empty; name an empty directory")


def is_dead(path: Path) -> bool:
    """True where a mount's daemon is gone.

    Asked by statvfs, which the kernel always hands on: what stat shows may be remembered.
    """
    try:
        os.statvfs(path)
    except OSError as exc:
        return exc.errno in (errno.ENOTCONN, errno.ECONNABORTED)
    return False


def unmount(path: Path, *, lazy: bool = False) -> None:
    """Unmount what is mounted at *path*; *lazy* detaches it also while it is in use."""
    if os.geteuid() == 0:
        command = ["umount", *(["-l"] if lazy else []), str(path)]
    else:
        command = ["fusermount3", "-u", *(["-z"] if lazy else []), str(path)]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
    except FileNotFoundError as exc:
        raise UserError(f"{command[0]} is missing; install the package fuse3") from exc
    except subprocess.TimeoutExpired as exc:
        raise UserError(f"{path} does not unmount within 30 s; try: {' '.join(command)}") from exc
    if done.returncode:
        hint = "" if lazy else "; close what uses it, or detach it with --lazy"
        raise UserError(f"cannot unmount {path}: {done.stderr.strip()}{hint}")


def _unescaped(field: str) -> str:
    return re.sub(r"\\([0-7]{3})", lambda m: chr(int(m[1], 8)), field)
