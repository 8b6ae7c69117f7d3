"""Regions in STC-S, the text that ADQL's REGION takes (TAP 1.0, section 6)."""

from __future__ import annotations

from cadcfs.demo.adql import geometry

# How many numbers each kind of region has; a polygon has as many as it likes.
_COUNTS = {"position": 2, "circle": 3, "box": 4, "polygon": None}
_POSITIONS = frozenset({
    "", "geocenter", "barycenter", "topocenter", "unknownrefpos", "spherical2", "cart2",
})  # fmt: skip


def shape_text(text: str) -> str:
    """Write an STC-S region as the engine knows shapes; raise ShapeError.

    Only ICRS is taken. Reference position and flavour may stand after it and mean nothing here.
    """
    word, *rest = text.split() or [""]
    kind = word.lower()
    if kind not in _COUNTS:
        raise geometry.ShapeError(f"not a region: {text[:80]}")
    while rest and not _is_number(rest[0]):
        frame = rest.pop(0).lower()
        if frame != "icrs" and frame not in _POSITIONS:
            raise geometry.ShapeError(f"not ICRS: {text[:80]}")
    try:
        numbers = tuple(float(part) for part in rest)
    except ValueError as trouble:
        raise geometry.ShapeError(f"not a region: {text[:80]}") from trouble
    if _COUNTS[kind] not in (None, len(numbers)):
        raise geometry.ShapeError(f"wrong number of values: {text[:80]}")
    if kind == "box":
        return geometry.box_text(*numbers)
    written = geometry.shape_text("point" if kind == "position" else kind, numbers)
    geometry.parse(written)
    return written


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
