"""Who asks: the process behind a request, and whether it is one that only looks.

`ctx.pid` is a thread. Its process gives the name and the group (proc(5): Tgid, comm, stat). A
process that cannot be seen (pid 0 from another pid namespace, hidepid) is an unknown program.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path, PurePath

NAME_BYTES = 15
"""What the kernel keeps of a process's name."""
INTERPRETERS = ("python", "pypy", "node", "perl", "ruby", "wish", "tclsh")
"""Programs whose name says nothing of what they run."""
MODULES = {"jupyterlab": "jupyter-lab", "jupyter_server": "jupyter-server"}
"""Modules that are started with `python -m` under another name than their command's."""


@dataclass(frozen=True, slots=True)
class Caller:
    """A process: its names (more than one for a script), and whose allowance it uses."""

    names: frozenset[str]
    group: str

    def __str__(self) -> str:
        return "/".join(sorted(self.names)) or "an unknown program"


def caller_of(pid: int, uid: int) -> Caller:
    """The process of thread *pid*; one that cannot be seen shares what its user has."""
    unseen = Caller(frozenset(), f"uid {uid}")
    if pid <= 0:
        return unseen
    try:
        process = _process_of(pid)
        names = {Path(f"/proc/{process}/comm").read_text().rstrip("\n")}
        # The name is in parentheses and may hold any character; the group is the third after it.
        group = Path(f"/proc/{process}/stat").read_text().rpartition(") ")[2].split()[2]
        if any(name.startswith(INTERPRETERS) for name in names):
            names |= _script_names(process)
    except (OSError, IndexError, ValueError):
        return unseen
    return Caller(frozenset(names), f"group {group}")


class Lookers:
    """The programs that stat everything they show, and must not have anything made by that."""

    def __init__(self, names: Iterable[str]) -> None:
        self._names = frozenset(name[:NAME_BYTES] for name in names)

    def has(self, caller: Caller) -> bool:
        return not self._names.isdisjoint(caller.names)


def _process_of(thread: int) -> int:
    for line in Path(f"/proc/{thread}/status").read_text().splitlines():
        if line.startswith("Tgid:"):
            return int(line[5:])
    raise ValueError(f"/proc/{thread}/status has no Tgid")


def _script_names(process: int) -> set[str]:
    """What an interpreter runs: its first argument that is no option, or the module after -m.

    Also without its suffix: Debian's ds9 is `wish -f .../ds9.tcl`.
    """
    words = Path(f"/proc/{process}/cmdline").read_text(errors="replace").split("\0")[1:]
    for number, word in enumerate(words):
        if word == "-m":
            module = words[number + 1]
            return {MODULES.get(module, module)[:NAME_BYTES]}
        if word and not word.startswith("-"):
            script = PurePath(word)
            return {script.name[:NAME_BYTES], script.stem[:NAME_BYTES]}
    return set()
