"""`unpacked/`: each .fits.fz and .fits.gz as the plain FITS file that funpack or gunzip gives."""

from __future__ import annotations

from functools import partial
from pathlib import Path

from cadcfs.archive.records import Artifact
from cadcfs.fits.unpacker import feed
from cadcfs.tree.artifact import ArtifactFile
from cadcfs.tree.catalogue import Catalogue
from cadcfs.tree.made import Recipe
from cadcfs.tree.made_directory import MadeDirectory, Named, NamedArtifacts
from cadcfs.tree.workshop import recipe

PACKED = (".fz", ".gz")


def unpacked_name(name: str) -> str | None:
    """`a.fits` for `a.fits.fz` and `a.fits.gz`; None for what is not packed."""
    plain, dot, ending = name.rpartition(".")
    if dot + ending in PACKED and plain.lower().endswith(".fits"):
        return plain
    return None


class UnpackedDirectory(MadeDirectory):
    """One plain file for each packed one of a result."""

    def __init__(self, catalogue: Catalogue, source: NamedArtifacts, key: str) -> None:
        super().__init__(catalogue.workshop.wholes, source, partial(_recipes, catalogue), key)


def _recipes(catalogue: Catalogue, named: Named) -> dict[str, Recipe]:
    names = {name: unpacked_name(name) for name in named}
    plain = [name for name in names.values() if name is not None]
    recipes = {}
    for name, short in names.items():
        if short is None:
            continue
        # Packed in both ways, they are told apart by their whole names.
        shown = short if plain.count(short) == 1 else f"{name}.fits"
        artifact = named[name]
        make = partial(_make, catalogue, artifact)
        recipes[shown] = recipe("unpacked", artifact, make, catalogue.reader)
    return recipes


async def _make(catalogue: Catalogue, artifact: Artifact, path: Path) -> None:
    opened = await ArtifactFile(catalogue.reader, artifact).open()
    try:
        async with catalogue.workshop.unpackers:
            await feed(opened.read, path, artifact.uri)
    finally:
        await opened.aclose()
