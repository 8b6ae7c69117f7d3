"""Which pixels a cutout needs: where a region, a band, a time or states meet an image."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from cadcfs.demo.data.axes import band_edges, states_of, time_edges
from cadcfs.demo.data.shapes import Circle, Shape
from cadcfs.demo.data.slices import ExtensionSlice, PixelRange

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cadcfs.demo.data.extensions import Extension, FitsHeaders, Sky
    from cadcfs.demo.data.shapes import Vectors

_GRID = 65
"""Points along each axis where a region cannot be projected and the image is searched for it."""

Box = tuple[int, int]


@dataclass(frozen=True, slots=True)
class Cut:
    """What is asked of a file. `band` is metres (wavelength), `time` MJD, `states` as in POL."""

    shape: Shape | None = None
    band: tuple[float, float] | None = None
    time: tuple[float, float] | None = None
    states: tuple[str, ...] = ()

    @property
    def is_empty(self) -> bool:
        """Whether nothing is asked at all."""
        return self == Cut()


def slices_of(headers: FitsHeaders, cut: Cut) -> tuple[ExtensionSlice, ...]:
    """The parts of a file that a cut hits, in file order; none if it misses (blocking)."""
    found = []
    with headers.lock:
        for extension in headers.extensions:
            boxes = pixels_of(extension, cut)
            if boxes is not None:
                ranges = tuple(PixelRange(first, last) for first, last in boxes)
                found.append(ExtensionSlice(extension.number, ranges=ranges))
    return tuple(found)


def pixels_of(extension: Extension, cut: Cut) -> tuple[Box, ...] | None:
    """First and last pixel of each axis, from 1; None where nothing is hit.

    An axis that the file does not have cannot be cut, so a cut along it misses.
    """
    if not extension.shape:
        return None
    boxes = [(1, length) for length in extension.shape]
    if cut.shape is not None:
        sky = extension.sky
        hit = None if sky is None else sky_box(sky, cut.shape)
        if sky is None or hit is None:
            return None
        for axis, box in zip(sky.axes, hit, strict=True):
            boxes[axis] = box
    for interval, edges_of in ((cut.band, band_edges), (cut.time, time_edges)):
        if interval is not None:
            edges = edges_of(extension)
            span = None if edges is None else _between(edges.values, interval)
            if edges is None or span is None:
                return None
            boxes[edges.axis] = span
    if cut.states:
        found = states_of(extension)
        if found is None:
            return None
        axis, states = found
        hits = [index for index, state in enumerate(states, 1) if state in cut.states]
        if not hits:
            return None
        boxes[axis] = (hits[0], hits[-1])
    return tuple(boxes)


def _between(edges: Vectors, interval: tuple[float, float]) -> Box | None:
    """The pixels that meet an interval; `edges` are the values at 0.5, 1.5, ..., n + 0.5."""
    import numpy as np

    low, high = np.minimum(edges[:-1], edges[1:]), np.maximum(edges[:-1], edges[1:])
    hits = np.flatnonzero((low <= interval[1]) & (high >= interval[0]))
    return (int(hits[0]) + 1, int(hits[-1]) + 1) if len(hits) else None


def sky_box(sky: Sky, shape: Shape) -> tuple[Box, Box] | None:
    """The smallest rectangle of pixels that holds all of a region that the image covers."""
    import numpy as np

    # Most detectors of a mosaic are nowhere near a small circle.
    if isinstance(shape, Circle) and sky.cap is not None and shape.misses(sky.cap):
        return None
    x, y = sky.to_pixels(shape.outline())
    if not (np.isfinite(x).all() and np.isfinite(y).all()):
        return _searched(sky, shape)
    inside = _clipped(np.stack([x, y], axis=-1), sky.lengths)
    if inside is None:
        return None
    (left, bottom), (right, top) = inside.min(axis=0), inside.max(axis=0)
    return _pixels(left, right, sky.lengths[0]), _pixels(bottom, top, sky.lengths[1])


def _pixels(low: float, high: float, length: int) -> Box:
    # Pixel n covers n - 0.5 to n + 0.5.
    first = min(max(math.floor(low + 0.5), 1), length)
    return first, min(max(math.ceil(high - 0.5), first), length)


def _clipped(corners: Vectors, lengths: Sequence[int]) -> Vectors | None:
    """A polygon cut to the image's rectangle (Sutherland and Hodgman), or None."""
    import numpy as np

    for axis, length in enumerate(lengths):
        for sign, limit in ((1.0, length + 0.5), (-1.0, -0.5)):
            distance = limit - sign * corners[:, axis]
            after = np.roll(corners, -1, axis=0)
            beyond = np.roll(distance, -1)
            kept = []
            for start, end, d0, d1 in zip(corners, after, distance, beyond, strict=True):
                if d0 >= 0:
                    kept.append(start)
                if (d0 >= 0) != (d1 >= 0):
                    kept.append(start + (end - start) * (d0 / (d0 - d1)))
            if len(kept) < 3:
                return None
            corners = np.array(kept)
    following = np.roll(corners, -1, axis=0)
    doubled = corners[:, 0] * following[:, 1] - corners[:, 1] * following[:, 0]
    # What only touches the image, or passes round a corner of it, has no area there.
    return corners if abs(doubled.sum()) > 1e-9 else None


def _searched(sky: Sky, shape: Shape) -> tuple[Box, Box] | None:
    """The box of a region that reaches beyond the projection: wide ones only, found by a grid."""
    import numpy as np

    axes = [np.linspace(0.5, length + 0.5, _GRID) for length in sky.lengths]
    x, y = np.meshgrid(*axes, indexing="ij")
    points = sky.to_world(x.ravel(), y.ravel())
    known = np.isfinite(points).all(axis=-1)
    hits = np.zeros(len(points), bool)
    hits[known] = shape.contains(points[known])
    places = np.argwhere(hits.reshape(x.shape))
    if not len(places):
        return None
    # A border may lie anywhere up to the next point outside.
    low, high = np.maximum(places.min(axis=0) - 1, 0), np.minimum(places.max(axis=0) + 1, _GRID - 1)
    first, second = (
        _pixels(axis[i], axis[j], length)
        for axis, i, j, length in zip(axes, low, high, sky.lengths, strict=True)
    )
    return first, second
