"""`cutouts/`: what lies in the circle of each image of a region, made by the archive's SODA.

One query lists what can be cut; the files are made when they are wanted. An image whose pixels
the circle misses, although its plane's outline meets it, is not there any more once that is known.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path

from cadcfs.archive import queries
from cadcfs.archive.constraints import circle_of
from cadcfs.archive.records import Artifact, Cuttable
from cadcfs.errors import NotFound
from cadcfs.tree.artifact_names import named_artifacts, unique_artifacts
from cadcfs.tree.catalogue import Catalogue
from cadcfs.tree.made import Recipe
from cadcfs.tree.made_directory import MadeDirectory, Named
from cadcfs.tree.selection import Selection
from cadcfs.tree.workshop import recipe

Circle = tuple[str, str, str]


def cutout_name(artifact: Artifact) -> str:
    """A cutout is a plain FITS file, whatever its image is packed in."""
    name = artifact.base_name
    for packing in (".fz", ".gz"):
        if name.lower().endswith(f".fits{packing}"):
            return name[: -len(packing)]
    return name


class CutoutsDirectory(MadeDirectory):
    """The images of a region that can be cut."""

    def __init__(self, selection: Selection, key: str) -> None:
        region = selection.question.value_of("region")
        if region is None:
            raise NotFound(f"{key}: only a region has cutouts")
        catalogue = selection.catalogue
        cook = partial(_recipes, catalogue, circle_of(region))
        super().__init__(catalogue.workshop.wholes, CuttableImages(selection), cook, key)

    async def confirm(self) -> None:
        # None that can be cut is a good answer: the region and its images are there.
        await self._source.named()


class CuttableImages:
    """The images of a selection that can be cut, by the names of their cutouts."""

    def __init__(self, selection: Selection) -> None:
        self._selection = selection
        self._named: tuple[Sequence[Cuttable], Named] | None = None

    @property
    def adql(self) -> Sequence[str]:
        return (queries.cuttable(self._selection.question),)

    async def named(self) -> Named:
        found = await cuttable(self._selection)
        return self._by_name(found, await self._chosen())

    async def known_named(self) -> Named | None:
        found = await self._selection.catalogue.cuttable(self._selection.question).known()
        if found is None:
            return None
        if self._selection.conditions and await self._selection.known_rows() is None:
            return None
        return self._by_name(found, await self._chosen())

    async def _chosen(self) -> frozenset[str] | None:
        return await _planes(self._selection)

    def _by_name(self, found: Sequence[Cuttable], planes: frozenset[str] | None) -> Named:
        if self._named is None or self._named[0] is not found:
            images = (c.artifact for c in found if c.is_image)
            chosen = (a for a in images if planes is None or a.publisher_id in planes)
            names = self._selection.catalogue.names
            self._named = found, named_artifacts(unique_artifacts(chosen), names, cutout_name)
        return self._named[1]


async def cuttable(selection: Selection) -> Sequence[Cuttable]:
    """All files that can be cut in the region of *selection*, conditions not applied."""
    return await selection.catalogue.cuttable(selection.question).get()


async def cutout_urls(selection: Selection) -> list[str]:
    """The address of each cutout, sorted; as astroquery's get_image_list() gives them."""
    region = selection.question.value_of("region")
    assert region is not None
    planes = await _planes(selection)
    found = await cuttable(selection)
    chosen = unique_artifacts(
        c.artifact for c in found if planes is None or c.artifact.publisher_id in planes
    )
    circle = circle_of(region)
    return sorted([await _url(selection.catalogue, artifact, circle) for artifact in chosen])


async def _planes(selection: Selection) -> frozenset[str] | None:
    """The publisher IDs that the conditions leave; None where there are no conditions."""
    if not selection.conditions:
        return None
    return frozenset(row.publisher_id for row in await selection.rows())


def _recipes(catalogue: Catalogue, circle: Circle, named: Named) -> Mapping[str, Recipe]:
    kind = f"cutout {' '.join(circle)} of"
    return {
        name: recipe(
            kind, artifact, partial(_make, catalogue, artifact, circle),
            catalogue.reader,
        )
        for name, artifact in named.items()
    }  # fmt: skip


async def _make(catalogue: Catalogue, artifact: Artifact, circle: Circle, path: Path) -> None:
    url = await _url(catalogue, artifact, circle)
    await catalogue.workshop.soda.cut(url, artifact.uri, path)


async def _url(catalogue: Catalogue, artifact: Artifact, circle: Circle) -> str:
    publisher = artifact.publisher_id
    collection = publisher.partition("?")[0]
    return await catalogue.workshop.soda.url(collection, publisher, artifact.uri, circle)
