"""What a mount is doing: one snapshot, from which the status, the metrics and `--json` are made."""

from __future__ import annotations

import os
import time
from collections.abc import Iterable
from dataclasses import astuple, dataclass
from pathlib import Path
from typing import TypeVar

from cadcfs import __version__, logs
from cadcfs.accounts import Accounts
from cadcfs.cache.listings import ListingStatistics
from cadcfs.cache.shared import StreamStatistics, Transferring
from cadcfs.cache.whole import WholeStatistics
from cadcfs.config import Settings
from cadcfs.engine import Engine
from cadcfs.errors import NotFound
from cadcfs.kernel.operations import Operations
from cadcfs.kernel.requests import OperationStatistics
from cadcfs.kernel.underway import UnderWay, under_way
from cadcfs.network.hosts import Health
from cadcfs.tree.node import is_described

R = TypeVar("R", StreamStatistics, ListingStatistics, WholeStatistics)


@dataclass(frozen=True)
class CacheUse:
    """Bytes on disk of file blocks; *used* is None while the index does not answer.

    *free* is what the file system has left, None where it cannot be asked.
    """

    directory: str
    used: int | None
    limit: int
    free: int | None


@dataclass(frozen=True)
class IdentityTold:
    """Who the archive is asked by; *until* in seconds since 1970, *note* why it is nobody."""

    name: str
    how: str
    until: float | None
    note: str
    text: str


@dataclass(frozen=True)
class Snapshot:
    """All that is told of a mount; times in seconds since 1970, sizes in bytes."""

    version: str
    mountpoint: str
    since: float
    process: int
    registry: str
    log_level: str
    identity: IdentityTold
    is_offline: bool
    services: tuple[Health, ...]
    cache: CacheUse
    reads: StreamStatistics
    transfers: tuple[Transferring, ...]
    answers: ListingStatistics
    made: WholeStatistics
    open_files: int
    inodes: int
    under_way: tuple[UnderWay, ...]
    last_errors: tuple[str, ...]
    operations: dict[str, OperationStatistics]
    errors: dict[str, int]
    log_lines: dict[str, int]


class Status:
    """Makes snapshots; waits for nothing but the cache's index, and for that a moment."""

    def __init__(
        self, settings: Settings, mountpoint: Path, public: Engine, recent: logs.RecentLines
    ) -> None:
        self._settings = settings
        self._mountpoint = mountpoint
        self._public = public
        self._recent = recent
        self._since = time.time()
        self.operations: Operations | None = None
        self.accounts: Accounts | None = None

    async def description(self, inode: int) -> str:
        """What is known of a file by its number, as lines of `name: value`."""
        node = self.operations.inodes.get(inode) if self.operations else None
        if node is None or not is_described(node):
            raise NotFound(f"inode {inode} is no file of the archive that the kernel knows")
        facts = await node.description()
        return "".join(f"{name}: {value}\n" for name, value in facts.items())

    async def login(self) -> str:
        """Who it is, after another look at what `cadcfs login` left."""
        identity = await self.accounts.session.now() if self.accounts else ""
        return f"{identity}\n"

    async def snapshot(self) -> Snapshot:
        used = await self._public.streams.used()
        engines = self._engines()
        operations, settings = self.operations, self._settings
        assert operations is not None
        return Snapshot(
            version=__version__,
            mountpoint=str(self._mountpoint),
            since=self._since,
            process=os.getpid(),
            registry=settings.registry_url,
            log_level=logs.level(),
            identity=self._identity(),
            is_offline=self._public.client.hosts.is_offline,
            services=tuple(self._public.client.hosts.health()),
            cache=CacheUse(
                str(settings.cache_dir), used, settings.cache_size, _free(settings.cache_dir)
            ),
            reads=_sum(e.streams.statistics() for e in engines),
            transfers=tuple(t for e in engines for t in e.streams.transferring()),
            answers=_sum(e.listings.statistics() for e in engines),
            made=_sum(e.wholes.statistics() for e in engines),
            open_files=len(operations.files),
            inodes=len(operations.inodes),
            under_way=tuple(under_way(operations, but=logs.run_id())),
            last_errors=tuple(self._recent.wrong()),
            operations=dict(operations.requests.statistics()),
            errors=dict(operations.requests.errors),
            log_lines=dict(self._recent.counts),
        )

    def _engines(self) -> list[Engine]:
        """The public one, and that of the account that has logged in, if any."""
        shown = self.accounts.view.engine if self.accounts else self._public
        return [self._public] if shown is self._public else [self._public, shown]

    def _identity(self) -> IdentityTold:
        if self.accounts is None:
            return IdentityTold("", "", None, "", "")
        found = self.accounts.session.identity
        return IdentityTold(found.name, found.how, found.until, found.note, str(found))


def _sum(records: Iterable[R]) -> R:
    """One record of counts for several; all are of one kind, and there is at least one."""
    each = list(records)
    return type(each[0])(*(sum(column) for column in zip(*map(astuple, each), strict=True)))


def _free(directory: Path) -> int | None:
    try:
        found = os.statvfs(directory)
    except OSError:
        return None
    return found.f_bavail * found.f_frsize
