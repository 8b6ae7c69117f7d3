"""Names that are never listed but open in every directory: `.query`, `.error`, `.refresh`.

And `.cadcfs/` at the root, with the same for the whole mount.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Sequence
from typing import Protocol, TypeGuard

from cadcfs.errors import CadcfsError
from cadcfs.logs import redacted
from cadcfs.tree.catalogue import Catalogue
from cadcfs.tree.node import Child, Directory, Entries
from cadcfs.tree.plain import ControlFile

QUERY, ERROR, REFRESH = ".query", ".error", ".refresh"
CONTROL_NAMES = frozenset({QUERY, ERROR, REFRESH})


class Asking(Directory, Protocol):
    """A directory that is listed by asking the archive."""

    @property
    def adql(self) -> Sequence[str]:
        """The queries that its listing needs."""


def is_asking(directory: Directory) -> TypeGuard[Asking]:
    return hasattr(directory, "adql")


class Telling(Directory, Protocol):
    """A directory that knows itself what was asked for it, and what is in its way."""

    @property
    def trouble(self) -> str:
        """One line; "" without any."""

    async def told(self) -> str:
        """What was asked."""


def is_telling(directory: Directory) -> TypeGuard[Telling]:
    return hasattr(directory, "told")


Changed = Callable[[Directory, Sequence[str]], Awaitable[None]]


class Controls:
    """The control files of each directory.

    Parameters
    ----------
    failure
        What went wrong last in a directory, by its key.
    """

    def __init__(self, catalogue: Catalogue, failure: Callable[[str], str], mtime_ns: int) -> None:
        self._catalogue = catalogue
        self._failure = failure
        self._mtime_ns = mtime_ns
        self.changed: Changed = _nobody_keeps
        """Told of names that mean something else than before; set by who remembers names."""

    def child(self, directory: Directory, name: str) -> Child:
        """One of `CONTROL_NAMES` in *directory*."""

        async def query() -> str:
            if is_telling(directory):
                return await directory.told()
            asked = directory.adql if is_asking(directory) else ()
            return "".join([await self._told(adql) for adql in asked])

        async def error() -> str:
            trouble = directory.trouble if is_telling(directory) else ""
            return self._failure(directory.key) + (f"{trouble}\n" if trouble else "")

        async def refresh() -> str:
            before: dict[str, str] = {}
            for adql in directory.adql if is_asking(directory) else ():
                if (await self._catalogue.history(adql)).stored is not None:
                    before = before or await _nodes(directory)
                await self._catalogue.expire(adql)
            entries = await directory.entries()
            after = {name: node.key for name, node in entries}
            await self.changed(directory, [n for n, key in before.items() if after.get(n) != key])
            return f"asked again: {len(entries)} names\n{await query()}"

        make = {QUERY: query, ERROR: error, REFRESH: refresh}[name]
        return Child(ControlFile(f"{directory.key}/{name}", make, self._mtime_ns))

    async def _told(self, adql: str) -> str:
        answer = await self._catalogue.history(adql)
        lines = [adql]
        if answer.stored is None:
            lines.append("-- not asked yet")
        else:
            stale = " (stale: the archive did not answer since)" * answer.is_stale
            lines.append(f"-- asked {_date(answer.stored)}, {answer.rows} rows{stale}")
        if answer.since is not None:
            lines.append(f"-- being asked since {_date(answer.since)}")
        if answer.error:
            lines.append(f"-- failed: {redacted(answer.error)}")
        return "".join(f"{line}\n" for line in lines)


class InodesDirectory:
    """`.cadcfs/inode/<number>`: what is known of a file, by the number that stat tells."""

    key = "/.cadcfs/inode"
    permissions = 0o500

    def __init__(self, describe: Callable[[int], Awaitable[str]], mtime_ns: int) -> None:
        self._describe = describe
        self._mtime_ns = mtime_ns

    async def confirm(self) -> None:
        return

    async def entries(self) -> Entries:
        return Entries([], [])

    async def child(self, name: str) -> Child | None:
        if not name.isascii() or not name.isdigit():
            return None
        make = lambda: self._describe(int(name))  # noqa: E731
        return Child(ControlFile(f"{self.key}/{name}", make, self._mtime_ns))


async def _nodes(directory: Directory) -> dict[str, str]:
    """What the names in *directory* mean now; empty where nobody has looked, or could not."""
    try:
        return {name: node.key for name, node in await directory.entries()}
    except CadcfsError:
        return {}


async def _nobody_keeps(_directory: Directory, _names: Sequence[str]) -> None:
    return


def _date(seconds: float) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(seconds))
