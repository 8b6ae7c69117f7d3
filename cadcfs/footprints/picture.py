"""Footprints round a circle, drawn: north is up, east is left, zenithal equidistant (ARC)."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from cadcfs.footprints.shapes import Circle, Footprint, Position, Shape, bearing, distance, edge

if TYPE_CHECKING:
    from PIL import ImageDraw, ImageFont

    BaseFont = ImageFont.FreeTypeFont | ImageFont.ImageFont

COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#8c564b", "#7f7f7f")
"""Of groups in their order: told apart by people who see colours differently (Okabe and Ito)."""
SIDE, LEGEND, TOP = 800, 260, 64
"""Pixels: the sky, what is to its right, and what is above."""
FINE = 2
"""Drawn so many times larger and made smaller, for smooth lines."""
LISTED = 24
"""Groups that the legend names."""
WIDEST = 30.0
"""Radii from the centre to the side, at most."""

Point = tuple[float, float]


@dataclass(frozen=True)
class View:
    """A piece of sky on a square of *side* pixels, *half* degrees from its centre to a side."""

    centre: Position
    half: float
    side: int

    def point(self, position: Position) -> Point:
        """Pixels to the right and down."""
        way, angle = distance(self.centre, position), math.radians(bearing(self.centre, position))
        scale = self.side / 2 / self.half
        middle = self.side / 2
        return middle - way * math.sin(angle) * scale, middle - way * math.cos(angle) * scale

    def seen(self, points: Sequence[Point]) -> list[Point]:
        """The polygon of *points* cut to the square and a little beyond (Sutherland, Hodgman)."""
        low, high = -8.0, self.side + 8.0
        found = list(points)
        for axis, limit, sign in ((0, low, 1), (0, high, -1), (1, low, 1), (1, high, -1)):
            found = _cut(found, axis, limit, sign)
        return found


def draw(
    circle: Circle, title: str, subtitle: str, footprints: Sequence[Footprint], path: Path
) -> None:
    """Write a PNG of *footprints* round *circle* to *path*."""
    from PIL import Image, ImageDraw, PngImagePlugin

    size = ((SIDE + LEGEND) * FINE, (SIDE + TOP) * FINE)
    sky = Image.new("RGB", (SIDE * FINE, SIDE * FINE), "white")
    groups = _groups(footprints)
    view = View((circle.ra, circle.dec), _half(circle, footprints), SIDE * FINE)
    pen = ImageDraw.Draw(sky, "RGBA")
    _draw_footprints(pen, view, footprints, _colours(groups))
    _draw_circle(pen, view, circle)
    _draw_scale(pen, view)
    page = Image.new("RGB", size, "white")
    page.paste(sky, (0, TOP * FINE))
    _write(ImageDraw.Draw(page), title, subtitle, groups)
    told = PngImagePlugin.PngInfo()
    told.add_itxt("Title", title)
    told.add_itxt("Description", subtitle)
    shown = page.resize((SIDE + LEGEND, SIDE + TOP), Image.Resampling.LANCZOS)
    shown.save(path, "PNG", pnginfo=told)


def _cut(points: list[Point], axis: int, limit: float, sign: int) -> list[Point]:
    kept: list[Point] = []
    for start, end in zip(points, points[1:] + points[:1], strict=True):
        before, after = (sign * (p[axis] - limit) for p in (start, end))
        if before >= 0:
            kept.append(start)
        if (before >= 0) != (after >= 0):
            part = before / (before - after)
            x, y = (a + part * (b - a) for a, b in zip(start, end, strict=True))
            kept.append((x, y))
    return kept


def _half(circle: Circle, footprints: Sequence[Footprint]) -> float:
    """Degrees from the centre to a side: most of the footprints, and the circle not too small."""
    centre = (circle.ra, circle.dec)
    reaches = sorted(
        max(distance(centre, point) for point in edge(shape))
        for shape in {shape for footprint in footprints for shape in footprint.shapes}
    )
    most = reaches[len(reaches) * 4 // 5] if reaches else 0.0
    return min(max(most * 1.1, circle.radius * 1.3), circle.radius * WIDEST, 180.0)


def _groups(footprints: Sequence[Footprint]) -> dict[str, int]:
    """How many footprints each group has, the largest first."""
    counts: dict[str, int] = {}
    for footprint in footprints:
        counts[footprint.group] = counts.get(footprint.group, 0) + 1
    return dict(sorted(counts.items(), key=lambda pair: (-pair[1], pair[0])))


def _colours(groups: Mapping[str, int]) -> dict[str, str]:
    return {group: COLOURS[min(i, len(COLOURS) - 1)] for i, group in enumerate(groups)}


def _draw_footprints(
    pen: ImageDraw.ImageDraw, view: View, footprints: Sequence[Footprint],
    colours: Mapping[str, str],
) -> None:  # fmt: skip
    # What was observed a thousand times is drawn once.
    drawn: dict[tuple[str, Shape], None] = {
        (footprint.group, shape): None for footprint in footprints for shape in footprint.shapes
    }
    alpha = max(4, min(48, 600 // max(1, len(drawn))))
    for group, shape in drawn:
        points = view.seen([view.point(position) for position in edge(shape)])
        if len(points) >= 3:
            colour = colours[group]
            pen.polygon(points, fill=f"{colour}{alpha:02x}")
            pen.line([*points, points[0]], fill=f"{colour}c0", width=FINE)


def _draw_circle(pen: ImageDraw.ImageDraw, view: View, circle: Circle) -> None:
    middle = view.side / 2
    points = view.seen([view.point(position) for position in edge(circle)])
    for start, end in list(zip(points, points[1:] + points[:1], strict=True))[::2]:
        pen.line([start, end], fill="black", width=2 * FINE)
    for inner, outer in ((6, 18), (-18, -6)):
        pen.line([(middle + inner * FINE, middle), (middle + outer * FINE, middle)], "black", FINE)
        pen.line([(middle, middle + inner * FINE), (middle, middle + outer * FINE)], "black", FINE)
    pen.rectangle((0, 0, view.side - 1, view.side - 1), outline="black", width=FINE)


def _draw_scale(pen: ImageDraw.ImageDraw, view: View) -> None:
    """A bar of a round length, and where north and east are."""
    length, text = _round_length(view.half / 2)
    pixels = length / view.half * view.side / 2
    left, low = 20 * FINE, view.side - 20 * FINE
    pen.line([(left, low), (left + pixels, low)], fill="black", width=2 * FINE)
    pen.text((left, low - 20 * FINE), text, fill="black", font=_font(14))
    x, y, arm = view.side - 20 * FINE, low, 40 * FINE
    pen.line([(x - arm, y), (x, y), (x, y - arm)], fill="black", width=2 * FINE)
    pen.text((x - 4 * FINE, y - arm - 18 * FINE), "N", fill="black", font=_font(14))
    pen.text((x - arm - 14 * FINE, y - 9 * FINE), "E", fill="black", font=_font(14))


def _round_length(most: float) -> tuple[float, str]:
    """The longest round angle (deg) up to *most*, and how it is written."""
    for unit, name in ((1.0, "deg"), (1 / 60, "arcmin"), (1 / 3600, "arcsec")):
        for number in (90, 60, 30, 20, 10, 5, 2, 1):
            if number * unit <= most:
                return number * unit, f"{number} {name}"
    return most, f"{most * 3600:.2g} arcsec"


def _write(pen: ImageDraw.ImageDraw, title: str, subtitle: str, groups: Mapping[str, int]) -> None:
    """What stands above the sky and to its right."""
    pen.text((12 * FINE, 10 * FINE), title, fill="black", font=_font(20))
    pen.text((12 * FINE, 38 * FINE), subtitle, fill="#404040", font=_font(14))
    colours, left = _colours(groups), (SIDE + 16) * FINE
    for row, (group, count) in enumerate(list(groups.items())[:LISTED]):
        y = (TOP + 8 + 28 * row) * FINE
        box = (left, y, left + 16 * FINE, y + 16 * FINE)
        pen.rectangle(box, fill=colours[group])
        pen.text((left + 24 * FINE, y), f"{group}  {count}", fill="black", font=_font(14))
    if len(groups) > LISTED:
        y = (TOP + 8 + 28 * LISTED) * FINE
        pen.text((left, y), f"and {len(groups) - LISTED} more", fill="black", font=_font(14))


def _font(size: int) -> BaseFont:
    from PIL import ImageFont

    return ImageFont.load_default(size * FINE)
