"""`python -m tests.faults.broken mount ...`: the command, with parts that fail when they are told.

CADCFS_TEST_BREAK names a file; the part whose name stands in it raises RuntimeError.
"""

from __future__ import annotations

import importlib
import inspect
import os
from functools import wraps
from pathlib import Path
from typing import Any

from cadcfs.cli import main

PARTS = (
    "cadcfs.kernel.operations:Operations._child",
    "cadcfs.kernel.replies:Replies.entry",
    "cadcfs.kernel.operations:Operations._show",
    "cadcfs.kernel.inodes:InodeTable.node",
    "cadcfs.kernel.handles:HandleTable.add",
    "cadcfs.kernel.handles:HandleTable.__getitem__",
    "cadcfs.kernel.handles:HandleTable.remove",
    "cadcfs.tree.collections:CollectionsDirectory.entries",
    "cadcfs.tree.result:ResultDirectory.entries",
    "cadcfs.tree.artifact:ArtifactFile.open",
    "cadcfs.cache.shelf:Shelf.keep",
    "cadcfs.cache.shelf:Shelf.store",
    "cadcfs.cache.stream:Stream.read",
    "cadcfs.cache.shared:Tending._once",
    "cadcfs.cache.fetching:Filler.take",
    "cadcfs.cache.fetching:Transfer.wake",
    "cadcfs.cache.whole:Wholes._ensure",
    "cadcfs.network.client:Client._once",
    "cadcfs.network.carrier:Carrier._get",
    "cadcfs.archive.tap:parse_votable",
    "os:statvfs",
)  # fmt: skip


def break_on_request(part: str, file: Path) -> None:
    """Let *part* fail as long as its name stands in *file*."""
    module, _, path = part.partition(":")
    owner: Any = importlib.import_module(module)
    *classes, name = path.split(".")
    for each in classes:
        owner = getattr(owner, each)
    whole = getattr(owner, name)

    def check() -> None:
        if file.exists() and file.read_text() == part:
            raise RuntimeError(f"{part} was told to fail")

    @wraps(whole)
    def failing(*args: object, **kwargs: object) -> object:
        check()
        return whole(*args, **kwargs)

    @wraps(whole)
    async def failing_later(*args: object, **kwargs: object) -> object:
        check()
        return await whole(*args, **kwargs)

    setattr(owner, name, failing_later if inspect.iscoroutinefunction(whole) else failing)


if __name__ == "__main__":
    for part in PARTS:
        break_on_request(part, Path(os.environ["CADCFS_TEST_BREAK"]))
    main()
