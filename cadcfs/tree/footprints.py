"""`footprints.png`, `footprints.reg` and `coverage.fits` of a region: what covers its circle.

Made when they are opened, of one query that all three share; lookers see them with size 0.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path

import trio

from cadcfs.archive import queries
from cadcfs.archive.constraints import Question, circle_of
from cadcfs.archive.outlines import Outline
from cadcfs.footprints import coverage, picture, region_file
from cadcfs.footprints.shapes import Circle, Footprint, parse_shapes
from cadcfs.tree.catalogue import Catalogue
from cadcfs.tree.made import MadeFiles, Recipe

PICTURE, REGIONS, COVERAGE = "footprints.png", "footprints.reg", "coverage.fits"
NAMES = frozenset({PICTURE, REGIONS, COVERAGE})

Write = Callable[[Circle, Sequence[Outline], Path], None]


def footprints(catalogue: Catalogue, question: Question, heard_ns: int) -> MadeFiles:
    """The files of *question*, which has a region; its listing was heard at *heard_ns*."""
    circle = Circle(*map(float, circle_of(question.value_of("region") or "")))
    adql = queries.outlines(question)
    threads = catalogue.workshop.drawers

    def recipe(name: str, write: Write) -> Recipe:
        async def make(path: Path) -> None:
            key = f"outlines {catalogue.origin} {adql} {heard_ns}"
            outlines = catalogue.derived(key, lambda: catalogue.workshop.outlines.of(question))
            found = await outlines.get()
            await trio.to_thread.run_sync(write, circle, found, path, limiter=threads)

        return Recipe(f"{name} {catalogue.origin} {adql} {heard_ns}", make, heard_ns)

    recipes = {PICTURE: recipe(PICTURE, _draw), REGIONS: recipe(REGIONS, _list)}
    if coverage.is_possible():
        recipes[COVERAGE] = recipe(COVERAGE, _cover)
    return MadeFiles(catalogue.workshop.wholes, recipes, ahead=0)


def _draw(circle: Circle, outlines: Sequence[Outline], path: Path) -> None:
    found = _footprints(outlines)
    radius = (
        f"{circle.radius:.6g} deg" if circle.radius >= 1 else f"{circle.radius * 60:.4g} arcmin"
    )
    title = f"{circle.ra:.6f} {circle.dec:+.6f} (ICRS, deg), radius {radius}"
    planes = "1 plane" if len(outlines) == 1 else f"{len(outlines)} planes"
    targets = Counter(outline.target_name for outline in outlines if outline.target_name)
    often = ", ".join(name for name, _ in targets.most_common(3))
    of = f" of {often}{' and others' * (len(targets) > 3)}" if often else ""
    picture.draw(circle, title, f"{planes}{of}"[:110], found, path)


def _list(circle: Circle, outlines: Sequence[Outline], path: Path) -> None:
    title = f"region, radius {_angle(circle.radius)}"
    region_file.write(circle, title, _footprints(outlines), path)


def _cover(circle: Circle, outlines: Sequence[Outline], path: Path) -> None:
    coverage.write(circle, _footprints(outlines), path)


def _footprints(outlines: Sequence[Outline]) -> list[Footprint]:
    return [Footprint(o.collection, o.product_id, parse_shapes(o.bounds)) for o in outlines]


def _angle(degrees: float) -> str:
    return f"{degrees:.6g} deg" if degrees >= 1 else f"{degrees * 60:.4g} arcmin"
