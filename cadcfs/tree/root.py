"""The root of the mount."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from cadcfs.archive.constraints import Question
from cadcfs.tree.catalogue import Catalogue
from cadcfs.tree.collections import CollectionsDirectory
from cadcfs.tree.control import InodesDirectory
from cadcfs.tree.endless import NamesDirectory, RegionsDirectory
from cadcfs.tree.hints import README, hint
from cadcfs.tree.node import Directory
from cadcfs.tree.plain import ControlFile, FixedDirectory
from cadcfs.tree.switch import SwitchFile


@dataclass(frozen=True)
class Told:
    """What `.cadcfs/` tells of the mount; each is asked when its file is opened."""

    status: Callable[[], str]
    log: Callable[[], str]
    describe: Callable[[int], Awaitable[str]]
    login: Callable[[], Awaitable[str]]
    is_offline: Callable[[], bool]
    switch_offline: Callable[[bool], None]


def root(
    catalogue: Catalogue, jobs: Directory, tables: Directory, told: Told, mtime_ns: int
) -> FixedDirectory:
    """The root directory; `.cadcfs/` opens but is not listed."""

    async def status() -> str:
        return told.status()

    async def log() -> str:
        return told.log()

    control = FixedDirectory(
        "/.cadcfs",
        {
            "status": ControlFile("/.cadcfs/status", status, mtime_ns),
            "log": ControlFile("/.cadcfs/log", log, mtime_ns),
            "offline": SwitchFile(
                "/.cadcfs/offline", told.is_offline, told.switch_offline, mtime_ns
            ),
        },
        unlisted={
            "inode": InodesDirectory(told.describe, mtime_ns),
            "login": ControlFile("/.cadcfs/login", told.login, mtime_ns),
        },
        permissions=0o500,
    )
    return FixedDirectory(
        "/",
        {
            README: hint(""),
            "collections": CollectionsDirectory(catalogue),
            "region": RegionsDirectory(catalogue, Question(None), "/region"),
            "name": NamesDirectory(catalogue, Question(None), "/name"),
            "jobs": jobs,
            "tables": tables,
        },
        unlisted={".cadcfs": control},
    )
