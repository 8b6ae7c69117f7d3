"""The machine: FUSE, its permissions, AppArmor, kernel and library versions, who can be seen."""

from __future__ import annotations

import os
import platform
import re
import shutil
import sys
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path

from cadcfs.doctor.finding import Finding, ok, problem, warning
from cadcfs.kernel import confinement

LISTING_BUG = ((6, 9), (6, 13))
"""Kernels, from the first on and before the second, that keep FUSE listings beyond their time."""
PYTHONS = ((3, 11), (3, 14))
"""The first and the last that are supported."""
CAP_SYS_ADMIN = 1 << 21
LIBRARIES = ("pyfuse3", "trio", "httpx", "astropy", "pyvo")


def look(*, allow_other: bool, root: Path = Path("/")) -> Iterator[Finding]:
    """All findings; *root* is where dev, etc, proc and sys are."""
    yield _device(root)
    yield _fusermount()
    yield _privilege(root)
    yield _allow_other(root, wanted=allow_other)
    yield _apparmor(root)
    yield _kernel(platform.release())
    yield _libraries()
    yield _callers(root)


def _device(root: Path) -> Finding:
    device = root / "dev/fuse"
    if not device.exists():
        return problem("fuse", "there is no /dev/fuse",
                       "load it with `modprobe fuse`; in a container: --device /dev/fuse "
                       "--cap-add SYS_ADMIN")  # fmt: skip
    if not os.access(device, os.R_OK | os.W_OK):
        return problem("fuse", "you may not use /dev/fuse",
                       "as root: chmod 666 /dev/fuse, or join the group that owns it")  # fmt: skip
    return ok("fuse", "/dev/fuse can be used")


def _fusermount() -> Finding:
    place = shutil.which("fusermount3")
    if place is not None:
        return ok("fuse3", place)
    if os.geteuid() == 0:
        return warning("fuse3", "fusermount3 is missing, which only root can do without",
                       "install the package fuse3")  # fmt: skip
    return problem("fuse3", "fusermount3 is missing", "install the package fuse3")


def _privilege(root: Path) -> Finding:
    """Root without the capability, as in most containers, cannot mount; nor can fusermount3."""
    try:
        status = (root / "proc/self/status").read_text()
    except OSError:
        return warning("privilege", "/proc cannot be read", "mount it: mount -t proc proc /proc")
    bounding = int(next(re.finditer(r"^CapBnd:\s*(\w+)", status, re.MULTILINE))[1], 16)
    if bounding & CAP_SYS_ADMIN:
        return ok("privilege", "mounting is not withheld from this process")
    return problem(
        "privilege", "this process may not mount: CAP_SYS_ADMIN is withheld", confinement.PRIVILEGE
    )


def _allow_other(root: Path, *, wanted: bool) -> Finding:
    try:
        lines = (root / "etc/fuse.conf").read_text().splitlines()
    except OSError:
        lines = []
    if "user_allow_other" in (line.strip() for line in lines):
        return ok("allow_other", "users may let others in")
    if wanted and os.geteuid() != 0:
        return problem("allow_other", "allow_other is set, and /etc/fuse.conf does not allow it",
                       "uncomment user_allow_other in /etc/fuse.conf, as root")  # fmt: skip
    return ok("allow_other", "only root may let others in (user_allow_other is not set)")


def _apparmor(root: Path) -> Finding:
    if confinement.is_enforced(root):
        return ok("AppArmor", "fusermount3 may mount below home, /mnt, /media, /tmp only")
    return ok("AppArmor", "does not confine fusermount3")


def _kernel(release: str) -> Finding:
    numbers = re.match(r"(\d+)\.(\d+)", release)
    version = (int(numbers[1]), int(numbers[2])) if numbers else (0, 0)
    if LISTING_BUG[0] <= version < LISTING_BUG[1]:
        return warning("kernel", f"Linux {release} may keep a listing beyond its time",
                       "use Linux 6.13 or later, or `cadcfs refresh DIR`")  # fmt: skip
    return ok("kernel", f"Linux {release}")


def _libraries() -> Finding:
    try:
        import pyfuse3  # noqa: F401
    except ImportError as exc:
        return problem("libraries", f"pyfuse3 cannot be loaded ({exc})",
                       "install the package libfuse3-3, then pip install pyfuse3")  # fmt: skip
    told = ", ".join(f"{name} {metadata.version(name)}" for name in LIBRARIES)
    python = sys.version_info[:2]
    if not PYTHONS[0] <= python <= PYTHONS[1]:
        return warning("libraries", f"Python {platform.python_version()} was not tried",
                       "use Python 3.11 to 3.14")  # fmt: skip
    return ok("libraries", f"Python {platform.python_version()}, {told}")


def _callers(root: Path) -> Finding:
    """Whether the programs that read can be told apart (lookers, the walk guard, ^C)."""
    if len(_namespaces(root)) > 1:
        return warning("callers", "this process is in a pid namespace of its own, so that it does "
                       "not see who reads", "run the container with --pid=host")  # fmt: skip
    mounts = (root / "proc/self/mountinfo").read_text()
    if re.search(r" /proc .* hidepid=(?!0|off)", mounts) and os.geteuid() != 0:
        return warning("callers", "/proc hides other users' processes (hidepid)",
                       "as root: mount -o remount,hidepid=0 /proc")  # fmt: skip
    return ok("callers", "programs that read can be seen")


def _namespaces(root: Path) -> list[str]:
    """This process's number in each pid namespace that it is in."""
    status = (root / "proc/self/status").read_text()
    found = re.search(r"^NSpid:\s*(.*)$", status, re.MULTILINE)
    return found[1].split() if found else []
