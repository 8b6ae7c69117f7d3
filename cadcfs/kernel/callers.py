"""Who asks: programs that only look at attributes, told by the name of their process."""

from __future__ import annotations

from pathlib import Path

LOOKERS = frozenset(
    [
        "ls",
        "find",
        "tree",
        "eza",
        "exa",
        "lsd",
        "du",
        "bash",
        "zsh",
        "fish",
        "sh",
        "dash",
        "tcsh",
        "ksh",
        "mc",
        "nautilus",
        "dolphin",
        "thunar",
        "nemo",
        "caja",
        "pcmanfm",
        "ranger",
        "ds9",
        "jupyter-lab",
        "jupyter-noteboo",
    ]
)
"""Process names as the kernel shows them: 15 bytes at most."""


def only_looks(pid: int) -> bool:
    """True for a program known to stat everything that it shows; unseen callers see the truth."""
    try:
        return Path(f"/proc/{pid}/comm").read_text().strip() in LOOKERS
    except OSError:
        return False
