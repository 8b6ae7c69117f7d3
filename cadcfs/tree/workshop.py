"""What files are made with: the store of made files, the services that make them, and limits."""

from __future__ import annotations

from functools import partial

import trio

from cadcfs.archive.addresses import Addresses
from cadcfs.archive.files import Files
from cadcfs.archive.metadata import Metadata
from cadcfs.archive.outlines import Outlines
from cadcfs.archive.records import Artifact
from cadcfs.archive.soda import Soda
from cadcfs.cache.whole import Maker, Wholes
from cadcfs.tree.made import Recipe
from cadcfs.tree.reader import Reader

UNPACKERS = 2
"""Images unpacked at once: each takes a processor and reads a whole file."""


class Workshop:
    """Collaborators of `headers/`, `unpacked/`, `cutouts/`, and of the texts of a result."""

    def __init__(
        self, wholes: Wholes, files: Files, soda: Soda, metadata: Metadata, outlines: Outlines,
        addresses: Addresses,
    ) -> None:  # fmt: skip
        self.wholes = wholes
        self.files = files
        self.soda = soda
        self.metadata = metadata
        self.outlines = outlines
        self.addresses = addresses
        self.unpackers = trio.CapacityLimiter(UNPACKERS)
        self.drawers = trio.CapacityLimiter(1)


def recipe(kind: str, artifact: Artifact, make: Maker, reader: Reader) -> Recipe:
    """How *kind* is made of one version of *artifact*; who may read it may read what is made."""
    modified = artifact.modified
    mtime_ns = int(modified.timestamp() * 1000) * 1_000_000 if modified else 0
    key = f"{kind} {artifact.version}"
    return Recipe(
        key, make, mtime_ns, partial(reader.closed, artifact), partial(reader.mode, artifact)
    )
