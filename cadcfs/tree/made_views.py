"""Which directories of made files a result has."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from cadcfs.archive.records import Artifact
from cadcfs.tree.catalogue import Catalogue
from cadcfs.tree.headers import HeadersDirectory, is_fits
from cadcfs.tree.made_directory import MadeDirectory, NamedArtifacts
from cadcfs.tree.unpacked import UnpackedDirectory, unpacked_name

HEADERS, UNPACKED = "headers", "unpacked"
MADE_VIEWS: Mapping[str, Callable[[Catalogue, NamedArtifacts, str], MadeDirectory]] = {
    HEADERS: HeadersDirectory,
    UNPACKED: UnpackedDirectory,
}


def made_views(named: Mapping[str, Artifact]) -> list[str]:
    """The names of those with content, for the files of a result."""
    views = []
    if any(is_fits(artifact) for artifact in named.values()):
        views.append(HEADERS)
    if any(unpacked_name(name) is not None for name in named):
        views.append(UNPACKED)
    return views
