"""Where images lie on the sky: the outline of one, and one line round many with gaps between.

As at CADC a plane has one polygon, which need not be convex. The detectors of a mosaic are
enlarged until they touch, and the line goes round all of them, so it runs outside the outermost
pixels by half a gap.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import TYPE_CHECKING, Any

import numpy as np

from cadcfs.demo.data.shapes import angles, vectors

if TYPE_CHECKING:
    from cadcfs.demo.data.extensions import Sky
    from cadcfs.demo.data.shapes import Vectors

_ENLARGED = (1.0, 1.02, 1.05, 1.1, 1.15, 1.2, 1.3, 1.5, 2.0)
_STRAIGHT = 5e-7
"""How far a corner may be off a straight line, radians: a tenth of a second of arc."""

_PAIR = re.compile(r"(-?[\d.e+-]+) (-?[\d.e+-]+)")


@dataclass(frozen=True, slots=True)
class Footprint:
    """A polygon on the sky: unit vectors of its corners, counter-clockwise as seen from here."""

    corners: Vectors

    def numbers(self) -> list[float]:
        """Right ascensions and declinations in turn, degrees."""
        ra, dec = angles(self.corners)
        return [round(float(value), 9) for pair in zip(ra, dec, strict=True) for value in pair]

    def text(self) -> str:
        """The polygon as DALI 1.1 writes it (3.3.7)."""
        return "polygon " + " ".join(repr(number) for number in self.numbers())

    def circle(self) -> tuple[float, float, float]:
        """The smallest circle round it: right ascension, declination, radius, degrees."""
        best = min(_circles(self.corners), key=lambda found: found[1])
        ra, dec = angles(best[0])
        return float(ra), float(dec), math.degrees(best[1])


def outline(sky: Sky) -> Footprint:
    """The outline of one image, by the outer corners of its corner pixels."""
    width, height = sky.lengths
    x = np.array([0.5, width + 0.5, width + 0.5, 0.5])
    y = np.array([0.5, 0.5, height + 0.5, height + 0.5])
    return Footprint(_wound(sky.to_world(x, y)))


def union(footprints: Sequence[Footprint]) -> Footprint | None:
    """One line round all of them; None where they lie too far apart."""
    if len(footprints) == 1:
        return footprints[0]
    for factor in _ENLARGED:
        corners = _united(footprints, factor)
        if corners is not None:
            return Footprint(_wound(_without_straight(corners)))
    return None


def _wound(corners: Vectors) -> Vectors:
    """Counter-clockwise as seen from inside the sphere (DALI 1.1, 3.3.7)."""
    middle = corners.mean(axis=0)
    following = np.roll(corners, -1, axis=0)
    turning = np.einsum("ij,j->i", np.cross(corners, following), middle).sum()
    return corners if turning < 0 else corners[::-1]


def _united(footprints: Iterable[Footprint], factor: float) -> Vectors | None:
    import spherely

    whole: Any = None
    for footprint in footprints:
        middle = footprint.corners.mean(axis=0)
        ra, dec = angles(middle + factor * (footprint.corners - middle))
        around = (ra + 180) % 360 - 180
        part = spherely.create_polygon(list(zip(around.tolist(), dec.tolist(), strict=True)))
        whole = part if whole is None else spherely.union(whole, part)
    text = spherely.to_wkt(whole, precision=10)
    if not text.startswith("POLYGON") or text.count("(") != 2:
        return None
    pairs = [(float(x), float(y)) for x, y in _PAIR.findall(text)][:-1]
    return vectors(*zip(*pairs, strict=True))


def _without_straight(corners: Vectors) -> Vectors:
    """Leave out corners that lie on the arc between their neighbours."""
    kept = list(corners)
    place = 0
    while place < len(kept) and len(kept) > 3:
        before, here, after = kept[place - 1], kept[place], kept[(place + 1) % len(kept)]
        normal = np.cross(before, after)
        # The line between neighbours is a great circle, so it is no chord in space.
        if abs(here @ normal) <= _STRAIGHT * np.linalg.norm(normal):
            del kept[place]
            # Its neighbours may lie on a line now.
            place = max(place - 2, 0)
        else:
            place += 1
    return np.array(kept)


def _circles(points: Vectors) -> Iterable[tuple[Vectors, float]]:
    """Circles through two or three of the points that hold all of them."""
    pairs = [points[i] + points[j] for i, j in combinations(range(len(points)), 2)]
    triples = [
        np.cross(points[j] - points[i], points[k] - points[i])
        for i, j, k in combinations(range(len(points)), 3)
    ]
    middle = points.mean(axis=0)
    centres = np.array(pairs + triples)
    centres = centres[np.linalg.norm(centres, axis=1) > 1e-15]
    centres /= np.linalg.norm(centres, axis=1)[:, None]
    centres *= np.where(centres @ middle < 0, -1.0, 1.0)[:, None]
    # By chords, for the cosine of a small angle has no digits left.
    chords = np.linalg.norm(points[None, :, :] - centres[:, None, :], axis=-1).max(axis=1)
    best = int(np.argmin(chords))
    yield centres[best], 2 * math.asin(min(float(chords[best]) / 2, 1.0))
