"""What `.cadcfs/status` says of a mount."""

from __future__ import annotations

import os
import time
from pathlib import Path

from cadcfs import __version__
from cadcfs.accounts import Accounts
from cadcfs.cache.listings import Listings
from cadcfs.config import Settings
from cadcfs.errors import NotFound
from cadcfs.kernel.operations import Operations
from cadcfs.network.hosts import Hosts
from cadcfs.tree.node import is_described


class Status:
    """What `.cadcfs/status` says; never waits for anything."""

    def __init__(
        self, settings: Settings, mountpoint: Path, listings: Listings, hosts: Hosts
    ) -> None:
        self._settings = settings
        self.hosts = hosts
        self._mountpoint = mountpoint
        self._listings = listings
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

    def text(self) -> str:
        answers = self._listings.statistics()
        operations = self.operations
        lines = {
            "cadcfs": __version__,
            "mounted on": str(self._mountpoint),
            "since": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(self._since)),
            "process": str(os.getpid()),
            "registry": self._settings.registry_url,
            "cache": str(self._settings.cache_dir),
            "identity": str(self.accounts.session.identity) if self.accounts else "",
            "offline": "on, what was seen is shown" if self.hosts.is_offline else "off",
            "do not answer": "; ".join(self.hosts.report()) or "none",
            "stale answers": f"{answers.stale} shown, for the archive did not answer since",
            "answers in memory": f"{answers.known} ({answers.rows} rows)",
            "questions asked": f"{answers.loads} ({answers.failures} failed)",
            "questions under way": str(answers.in_flight),
            "open files": str(len(operations.files) if operations else 0),
            "inodes known to the kernel": str(len(operations.inodes) if operations else 0),
        }
        return "".join(f"{name + ':':28}{value}\n" for name, value in lines.items())
