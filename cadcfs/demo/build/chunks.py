"""Parts and chunks of FITS files, read from their headers (CAOM 2.4, Part and Chunk).

A part is an extension, named by its number as CADC names it. A chunk says what its image's axes
are; extensions without an image have none.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from cadcfs.demo.build.records import Values
from cadcfs.demo.data.axes import Edges, band_edges, states_of, time_edges
from cadcfs.demo.data.extensions import Extension, NotFitsError, read_headers
from cadcfs.demo.data.footprints import Footprint, outline

_AXES = 2


@dataclass(frozen=True)
class Part:
    """An extension: its number, the columns of its chunk, and what they follow from."""

    name: str
    chunk: Values | None = None
    footprint: Footprint | None = None
    pixel: float | None = None
    """Edge of a pixel on the sky, degrees."""
    size: tuple[int, int] | None = None
    band: tuple[float, float, int] | None = None
    """Shortest and longest wavelength (m), and how many channels."""
    time: tuple[float, float, int] | None = None
    """First and last moment (MJD), and how many bins."""
    states: tuple[str, ...] = ()


def parts_of(path: Path) -> tuple[Part, ...]:
    """Read the parts of a file; none if it is not FITS."""
    try:
        headers = read_headers(path)
    except NotFitsError:
        return ()
    return tuple(_part(extension) for extension in headers.extensions)


def _part(extension: Extension) -> Part:
    name = str(extension.number)
    if not extension.shape:
        return Part(name)
    values: dict[str, object] = {"naxis": len(extension.shape)}
    sky = extension.sky
    wcs = extension.wcs
    band, time, states = band_edges(extension), time_edges(extension), states_of(extension)
    if sky is not None:
        values |= _position(extension)
    if band is not None:
        values |= _function(extension, "energy", band.axis)
        values |= {
            "energy_specsys": wcs.wcs.specsys or None,
            "energy_restfrq": wcs.wcs.restfrq or None,
            "energy_restwav": wcs.wcs.restwav or None,
        }
    if time is not None:
        values |= _function(extension, "time", time.axis)
        values["time_mjdref"] = float(sum(wcs.wcs.mjdref))
    if states is not None:
        values |= _function(extension, "polarization", states[0])
    return Part(
        name,
        values,
        None if sky is None else outline(sky),
        None if sky is None else _pixel(sky.wcs),
        None if sky is None else sky.lengths,
        _span(band),
        _span(time),
        () if states is None else tuple(state for state in states[1] if state),
    )


def _position(extension: Extension) -> Values:
    sky = extension.sky
    assert sky is not None
    wcs, own = sky.wcs, sky.wcs.wcs
    matrix = np.asarray(wcs.pixel_scale_matrix)
    start = "position_axis_function"
    galactic = own.ctype[0].startswith("G")
    values: dict[str, object] = {
        "positionAxis1": sky.axes[0] + 1,
        "positionAxis2": sky.axes[1] + 1,
        "position_coordsys": "GAL" if galactic else (own.radesys or "ICRS"),
        "position_equinox": None if np.isnan(own.equinox) else float(own.equinox),
    }
    for place in range(_AXES):
        number = place + 1
        values[f"position_axis_axis{number}_ctype"] = str(own.ctype[place])
        values[f"position_axis_axis{number}_cunit"] = str(own.cunit[place])
        values[f"{start}_dimension_naxis{number}"] = sky.lengths[place]
        values[f"{start}_refCoord_coord{number}_pix"] = float(own.crpix[place])
        values[f"{start}_refCoord_coord{number}_val"] = float(own.crval[place])
        for column in range(_AXES):
            values[f"{start}_cd{number}{column + 1}"] = float(matrix[place, column])
    return values


def _function(extension: Extension, kind: str, axis: int) -> Values:
    own = extension.wcs.wcs
    start = f"{kind}_axis"
    matrix = np.asarray(extension.wcs.pixel_scale_matrix)
    return {
        f"{kind}Axis": axis + 1,
        f"{start}_axis_ctype": str(own.ctype[axis]),
        f"{start}_axis_cunit": str(own.cunit[axis]) or None,
        f"{start}_function_naxis": extension.shape[axis],
        f"{start}_function_refCoord_pix": float(own.crpix[axis]),
        f"{start}_function_refCoord_val": float(own.crval[axis]),
        f"{start}_function_delta": float(matrix[axis, axis]),
    }


def _pixel(wcs: object) -> float:
    matrix = np.asarray(wcs.pixel_scale_matrix)  # type: ignore[attr-defined]
    return float(np.sqrt(abs(np.linalg.det(matrix))))


def _span(edges: Edges | None) -> tuple[float, float, int] | None:
    if edges is None:
        return None
    return float(edges.values.min()), float(edges.values.max()), len(edges.values) - 1


def most(spans: Sequence[tuple[float, float, int] | None]) -> tuple[float, float, int] | None:
    """What several chunks cover together along an axis."""
    known = [span for span in spans if span is not None]
    if not known:
        return None
    lower, upper, counts = zip(*known, strict=True)
    return min(lower), max(upper), max(counts)
