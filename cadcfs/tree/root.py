"""The root of the mount."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass

from cadcfs.archive.constraints import Question
from cadcfs.tree.catalogue import Catalogue
from cadcfs.tree.collections import CollectionsDirectory
from cadcfs.tree.control import InodesDirectory
from cadcfs.tree.endless import NamesDirectory, RegionsDirectory
from cadcfs.tree.hints import README, hint
from cadcfs.tree.node import Directory, Node
from cadcfs.tree.plain import ControlFile, FixedDirectory
from cadcfs.tree.switch import SwitchFile


@dataclass(frozen=True)
class Told:
    """What `.cadcfs/` tells of the mount, and what can be chosen there.

    Parameters
    ----------
    texts
        By file name; each is made when its file is opened.
    choices
        By file name: the word in force, and what chooses another.
    describe
        What is known of a file, by its inode number.
    login
        Who it is, after another look.
    """

    texts: Mapping[str, Callable[[], Awaitable[str]]]
    choices: Mapping[str, tuple[Callable[[], str], Callable[[str], None]]]
    describe: Callable[[int], Awaitable[str]]
    login: Callable[[], Awaitable[str]]


def root(
    catalogue: Catalogue, jobs: Directory, tables: Directory, told: Told | None, mtime_ns: int
) -> FixedDirectory:
    """The root directory; `.cadcfs/` opens but is not listed. Without *told* there is none."""
    unlisted = {} if told is None else {".cadcfs": _control(told, mtime_ns)}
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
        unlisted=unlisted,
    )


def _control(told: Told, mtime_ns: int) -> FixedDirectory:
    files: dict[str, Node] = {}
    for name, text in told.texts.items():
        files[name] = ControlFile(f"/.cadcfs/{name}", text, mtime_ns)
    for name, (now, choose) in told.choices.items():
        files[name] = SwitchFile(f"/.cadcfs/{name}", now, choose, mtime_ns)
    return FixedDirectory(
        "/.cadcfs",
        files,
        unlisted={
            "inode": InodesDirectory(told.describe, mtime_ns),
            "login": ControlFile("/.cadcfs/login", told.login, mtime_ns),
        },
        permissions=0o500,
    )
