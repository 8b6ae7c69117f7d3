"""`headers/`: all FITS headers of each file as text, without its pixels."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import trio

from cadcfs.archive.records import Artifact
from cadcfs.fits.walk import header_lines
from cadcfs.tree.artifact import ArtifactFile
from cadcfs.tree.catalogue import Catalogue
from cadcfs.tree.made import Recipe
from cadcfs.tree.made_directory import MadeDirectory, Named, NamedArtifacts
from cadcfs.tree.workshop import recipe

ENDINGS = (".fits", ".fit", ".fts", ".fits.fz", ".fz", ".fits.gz")
FITS_TYPES = frozenset({"application/fits", "image/fits"})


def is_fits(artifact: Artifact) -> bool:
    """By its type, or by its name where the archive tells no type."""
    if artifact.content_type is not None:
        kind = artifact.content_type.partition(";")[0].strip().lower()
        return kind in FITS_TYPES or artifact.base_name.lower().endswith((".fits.fz", ".fits.gz"))
    return artifact.base_name.lower().endswith(ENDINGS)


class HeadersDirectory(MadeDirectory):
    """One text for each FITS file of a result."""

    def __init__(self, catalogue: Catalogue, source: NamedArtifacts, key: str) -> None:
        super().__init__(catalogue.workshop.wholes, source, partial(_recipes, catalogue), key)


def _recipes(catalogue: Catalogue, named: Named) -> dict[str, Recipe]:
    return {
        f"{name}.txt": recipe(
            "headers",
            artifact,
            partial(_make, catalogue, artifact),
            catalogue.reader,
        )
        for name, artifact in named.items()
        if is_fits(artifact)
    }


async def _make(catalogue: Catalogue, artifact: Artifact, path: Path) -> None:
    text = await catalogue.workshop.files.headers(artifact.uri)
    if text is None:
        opened = await ArtifactFile(catalogue.reader, artifact).open()
        try:
            text = await header_lines(opened.read)
        finally:
            await opened.aclose()
    await trio.to_thread.run_sync(path.write_bytes, text)
