"""Where it is mounted, and where the cache is."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from cadcfs import summary
from cadcfs.config import Settings
from cadcfs.doctor.finding import Finding, ok, problem, warning
from cadcfs.kernel import confinement, mountpoints

REMOTE = frozenset({"nfs", "nfs4", "cifs", "smb3", "fuse.sshfs", "9p", "lustre", "ceph", "afs"})
"""File systems on which locks and sparse files are slow, or are none."""
LEAST = 16 << 20
"""Bytes without which not even what was asked can be written down."""


def mount_point(path: Path, root: Path = Path("/")) -> Finding:
    """Whether *path* can be mounted on."""
    kind = mountpoints.mounted_type(path)
    if kind == mountpoints.TYPE:
        if mountpoints.is_dead(path):
            return dead(path)
        return ok("mount point", f"cadcfs is mounted on {path} and answers")
    if kind is not None:
        return problem("mount point", f"{path} is busy: {kind} is mounted there",
                       "unmount that, or name another directory")  # fmt: skip
    if not path.exists():
        return problem("mount point", f"{path} does not exist", f"make it: mkdir -p {path}")
    if not path.is_dir():
        return problem("mount point", f"{path} is not a directory", "name an empty one")
    if any(path.iterdir()):
        return problem("mount point", f"{path} is busy: there are files in it",
                       "name an empty directory")  # fmt: skip
    if os.geteuid() != 0 and not os.access(path, os.W_OK):
        return problem("mount point", f"{path} is not yours", "name a directory of your own")
    if os.geteuid() != 0 and confinement.forbids(path, root):
        return problem("mount point", f"AppArmor does not let fusermount3 mount on {path}",
                       confinement.CURE)  # fmt: skip
    return ok("mount point", f"{path} can be mounted on")


def dead(path: Path) -> Finding:
    return problem("mount point", f"the daemon of the mount on {path} is gone",
                   f"mount it again, which cleans up, or: cadcfs umount --lazy {path}")  # fmt: skip


def dead_mounts() -> Iterator[Finding]:
    """What is left of this user's mounts whose daemon died."""
    for path in mountpoints.mounted():
        if mountpoints.is_dead(path):
            yield dead(path)


def cache(settings: Settings) -> Iterator[Finding]:
    """Whether what is read can be kept."""
    directory = settings.cache_dir
    there = next(p for p in (directory, *directory.parents) if p.exists())
    if not os.access(there, os.R_OK | os.W_OK | os.X_OK):
        yield problem("cache", f"{there} cannot be written",
                      "name another directory with --cache-dir")  # fmt: skip
        return
    if directory.exists() and directory.stat().st_uid != os.geteuid():
        yield problem("cache", f"{directory} belongs to another user",
                      "name one of your own with --cache-dir")  # fmt: skip
    yield _space(directory, there, settings)
    kind = file_system(there)
    if kind in REMOTE:
        yield warning("cache", f"{directory} is on {kind}, which is slow for it",
                      "name a directory on a local disk with --cache-dir")  # fmt: skip


def _space(directory: Path, there: Path, settings: Settings) -> Finding:
    disk = os.statvfs(there)
    free = disk.f_bavail * disk.f_frsize
    cure = "make room there, or name another directory with --cache-dir"
    if free < LEAST:
        return problem("cache", f"the disk of {directory} is full", cure)
    if free <= settings.cache_free:
        words = f"only {summary.size(free)} are free on the disk of {directory}: nothing is kept"
        return problem("cache", words, f"{cure}, or set cache_free lower")
    return ok("cache", f"{directory} on {file_system(there)}, {summary.size(free)} free")


def file_system(path: Path) -> str:
    """The type of the file system that holds *path* (proc(5), mountinfo)."""
    device, found = path.stat().st_dev, "unknown"
    wanted = f"{os.major(device)}:{os.minor(device)}"
    for line in Path("/proc/self/mountinfo").read_text().splitlines():
        fields = line.split(" ")
        if fields[2] == wanted:
            found = fields[fields.index("-") + 1]
    return found
