"""What the files of a plane say about it: where, at which wavelengths and when it looked."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from statistics import median

from cadcfs.demo.build.chunks import Part, most
from cadcfs.demo.build.records import Item, Values
from cadcfs.demo.data.footprints import Footprint, union

_DATA = ("science", "calibration")


def values_of(items: Iterable[Item]) -> Values:
    """Columns of Plane that follow from the headers of its science files."""
    parts = [part for item in items if item.product_type in _DATA for part in item.parts]
    values: dict[str, object] = {}
    values |= _position([part for part in parts if part.footprint is not None])
    band = most([part.band for part in parts])
    if band is not None and band[2] > 1:
        values |= _interval("energy", band) | {"energy_dimension": band[2]}
        values["energy_sampleSize"] = (band[1] - band[0]) / band[2]
    time = most([part.time for part in parts])
    if time is not None and time[2] > 1:
        values |= _interval("time", time) | {"time_dimension": time[2]}
        values["time_sampleSize"] = (time[1] - time[0]) / time[2]
    states = dict.fromkeys(state for part in parts for state in part.states)
    if states:
        values["polarization_states"] = f"/{'/'.join(states)}/"
        values["polarization_dimension"] = len(states)
    return values


def _position(parts: Sequence[Part]) -> Values:
    footprints = [part.footprint for part in parts if part.footprint is not None]
    whole = union(footprints) if footprints else None
    if whole is None:
        return {}
    pixel = median(part.pixel for part in parts if part.pixel is not None)
    width, height = _dimension(parts, whole, pixel)
    return {
        "position_bounds": whole.text(),
        "position_bounds_size": 2 * whole.circle()[2],
        "position_sampleSize": pixel * 3600,
        "position_dimension_naxis1": width,
        "position_dimension_naxis2": height,
        "position_timeDependent": 0,
    }


def _dimension(parts: Sequence[Part], whole: Footprint, pixel: float) -> tuple[int, int]:
    """Pixels along both axes; of a mosaic, as many as would cover it."""
    sizes = {part.size for part in parts}
    if len(parts) == 1 and parts[0].size is not None:
        return parts[0].size
    if len(sizes) == 1 and len({part.footprint.text() for part in parts if part.footprint}) == 1:
        return next(size for size in sizes if size is not None)
    numbers = whole.numbers()
    ra, dec = numbers[::2], numbers[1::2]
    middle = math.cos(math.radians((min(dec) + max(dec)) / 2))
    start = ra[0]
    around = [(value - start + 180) % 360 - 180 for value in ra]
    width = (max(around) - min(around)) * middle
    return round(width / pixel), round((max(dec) - min(dec)) / pixel)


def _interval(kind: str, span: tuple[float, float, int]) -> dict[str, object]:
    lower, upper, _ = span
    return {
        f"{kind}_bounds": f"{lower} {upper}",
        f"{kind}_bounds_lower": lower,
        f"{kind}_bounds_upper": upper,
        f"{kind}_bounds_width": upper - lower,
    }
