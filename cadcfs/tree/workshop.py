"""What files are made with: the store of made files, the services that make them, and limits."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import trio

from cadcfs.archive.addresses import Addresses
from cadcfs.archive.files import Files
from cadcfs.archive.metadata import Metadata
from cadcfs.archive.records import Artifact
from cadcfs.archive.soda import Soda
from cadcfs.cache.whole import Maker, Wholes
from cadcfs.tree.made import Recipe

UNPACKERS = 2
"""Images unpacked at once: each takes a processor and reads a whole file."""


class Workshop:
    """Collaborators of `headers/`, `unpacked/`, `cutouts/`, and of the texts of a result."""

    def __init__(
        self, wholes: Wholes, files: Files, soda: Soda, metadata: Metadata, addresses: Addresses
    ) -> None:
        self.wholes = wholes
        self.files = files
        self.soda = soda
        self.metadata = metadata
        self.addresses = addresses
        self.unpackers = trio.CapacityLimiter(UNPACKERS)


def recipe(
    kind: str, artifact: Artifact, make: Maker, closed: Callable[[Artifact], str | None]
) -> Recipe:
    """How *kind* is made of one version of *artifact*; it is closed as the artifact is."""
    modified = artifact.modified
    mtime_ns = int(modified.timestamp() * 1000) * 1_000_000 if modified else 0
    return Recipe(f"{kind} {artifact.version}", make, mtime_ns, partial(closed, artifact))
