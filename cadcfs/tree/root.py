"""The root of the mount."""

from __future__ import annotations

from collections.abc import Callable

from cadcfs.archive.constraints import Question
from cadcfs.tree.catalogue import Catalogue
from cadcfs.tree.collections import CollectionsDirectory
from cadcfs.tree.endless import NamesDirectory, RegionsDirectory
from cadcfs.tree.hints import README, hint
from cadcfs.tree.node import Directory
from cadcfs.tree.plain import ControlFile, FixedDirectory


def root(catalogue: Catalogue, jobs: Directory, status: Callable[[], str], log: Callable[[], str],
         mtime_ns: int) -> FixedDirectory:  # fmt: skip
    """The root directory; `.cadcfs/` opens but is not listed."""
    control = FixedDirectory(
        "/.cadcfs",
        {
            "status": ControlFile("/.cadcfs/status", status, mtime_ns),
            "log": ControlFile("/.cadcfs/log", log, mtime_ns),
        },
    )
    return FixedDirectory(
        "/",
        {
            README: hint(""),
            "collections": CollectionsDirectory(catalogue),
            "region": RegionsDirectory(catalogue, Question(None), "/region"),
            "name": NamesDirectory(catalogue, Question(None), "/name"),
            "jobs": jobs,
        },
        unlisted={".cadcfs": control},
    )
