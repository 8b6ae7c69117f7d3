"""Names that shells, desktops and version control try everywhere, answered without a question.

No name of the tree starts with a dot (a leading one is encoded), so all of those are known not to
exist, save the control names, which each directory knows itself.
"""

from __future__ import annotations

_TRIED = frozenset(
    {
        "autorun.inf", "desktop.ini", "thumbs.db", "folder.jpg", "bdmv", "video_ts", "dcim",
        "head", "objects", "refs", "config", "4913", "lost+found", "system volume information",
        "$recycle.bin", "_darcs", "cvs", "rcs", "sccs", "makefile", "pyvenv.cfg",
    }
)  # fmt: skip


def is_junk(name: str) -> bool:
    """True for a name that nobody asks the archive for."""
    return name.startswith(".") or name.casefold() in _TRIED or name.endswith(("~", ".swp"))
