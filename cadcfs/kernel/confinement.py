"""What keeps a process from mounting: privilege, and AppArmor, which confines fusermount3.

Ubuntu 24.10 and later let it mount below a few places alone.
"""

from __future__ import annotations

import os
from pathlib import Path

PROFILE = "fusermount3"
ALLOWED = ("/mnt", "/media", "/tmp", "/cvmfs")  # noqa: S108  (what the profile names)
CURE = (
    "mount below your home directory, or allow the place in /etc/apparmor.d/local/fusermount3 "
    "(packaging/apparmor/fusermount3 is an example)"
)

PRIVILEGE = (
    "in a container add --device /dev/fuse --cap-add SYS_ADMIN (and --security-opt "
    "apparmor=unconfined where AppArmor is used); elsewhere mount as a user with fusermount3"
)


def is_enforced(root: Path = Path("/")) -> bool:
    """True where the profile is in force, as far as this user can see; *root* holds sys and etc."""
    try:
        enabled = (root / "sys/module/apparmor/parameters/enabled").read_text().strip() == "Y"
        lines = (root / "sys/kernel/security/apparmor/profiles").read_text().splitlines()
    except PermissionError:
        # Only root may read the list; a profile that is installed and not disabled is loaded.
        directory = root / "etc/apparmor.d"
        is_disabled = (directory / "disable" / PROFILE).exists()
        return enabled and (directory / PROFILE).exists() and not is_disabled
    except OSError:
        return False
    return enabled and any(
        line.startswith((f"{PROFILE} (enforce", f"/usr/bin/{PROFILE} (enforce")) for line in lines
    )


def forbids(mountpoint: Path, root: Path = Path("/")) -> bool:
    """True where the profile in force does not name a place above *mountpoint*."""
    if not is_enforced(root):
        return False
    runtime = os.environ.get("XDG_RUNTIME_DIR", f"/run/user/{os.geteuid()}")
    allowed = (*ALLOWED, str(Path.home()), runtime)
    if any(mountpoint.is_relative_to(place) for place in allowed):
        return False
    try:
        local = (root / "etc/apparmor.d/local" / PROFILE).read_text()
    except OSError:
        return True
    return f"-> {mountpoint}/" not in local
