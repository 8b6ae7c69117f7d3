"""Who asks: programs that only look at attributes, told by the name of their process."""

from __future__ import annotations

from pathlib import Path

SHELLS = ("bash", "zsh", "fish", "sh", "dash", "tcsh", "ksh")
LISTERS = ("ls", "find", "tree", "eza", "exa", "lsd", "du", "mc", "ranger")
WINDOWS = ("nautilus", "dolphin", "thunar", "nemo", "caja", "pcmanfm", "ds9")
# As the kernel shows it: 15 bytes.
NOTEBOOKS = ("jupyter-lab", "jupyter-noteboo")

LOOKERS = frozenset((*SHELLS, *LISTERS, *WINDOWS, *NOTEBOOKS))
"""Names of processes that stat everything they show."""


def only_looks(pid: int) -> bool:
    """True for a program known to stat everything that it shows; unseen callers see the truth."""
    try:
        return Path(f"/proc/{pid}/comm").read_text().strip() in LOOKERS
    except OSError:
        return False
