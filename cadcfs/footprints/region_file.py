"""Footprints as a region file of DS9 (SAOImage DS9 Reference Manual, Regions)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

from cadcfs.footprints.shapes import Circle, Footprint, Shape

COLOURS = ("cyan", "orange", "green", "magenta", "yellow", "blue", "red", "white")
"""Of groups in their order; names that every version of DS9 knows."""
HEAD = """\
# Region file format: DS9 version 4.1
global color=green dashlist=8 3 width=1 font="helvetica 10 normal roman" select=1 edit=0 move=0
icrs
"""


def write(circle: Circle, title: str, footprints: Iterable[Footprint], path: Path) -> None:
    """Write *footprints* and *circle* to *path*; each is tagged with its group."""
    with path.open("w", encoding="utf-8") as file:
        file.write(HEAD)
        file.write(f"{_region(circle)} # color=white dash=1 width=2 text={_text(title)}\n")
        file.writelines(f"{line}\n" for line in _lines(footprints))


def _lines(footprints: Iterable[Footprint]) -> Iterator[str]:
    colours: dict[str, str] = {}
    for footprint in footprints:
        group = footprint.group
        colour = colours.setdefault(group, COLOURS[len(colours) % len(COLOURS)])
        told = f"color={colour} tag={_text(group)} text={_text(f'{group} {footprint.name}')}"
        for shape in footprint.shapes:
            yield f"{_region(shape)} # {told}"


def _region(shape: Shape) -> str:
    if isinstance(shape, Circle):
        return f'circle({shape.ra:.7f},{shape.dec:.7f},{shape.radius * 3600:.4f}")'
    return f"polygon({','.join(f'{ra:.7f},{dec:.7f}' for ra, dec in shape.vertices)})"


def _text(text: str) -> str:
    """In braces, without what would end them or the line."""
    return f"{{{' '.join(text.translate(dict.fromkeys(map(ord, '{}#;'), ' ')).split())}}}"
