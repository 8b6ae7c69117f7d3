"""What footprints cover as a MOC (IVOA Multi-Order Coverage map 2.0), where mocpy is installed."""

from __future__ import annotations

import importlib.util
import math
from collections.abc import Sequence
from pathlib import Path

from cadcfs.footprints.shapes import Circle, Footprint, Shape

FINENESS = 32
"""Cells that the radius of the circle is long, at least."""
SHALLOWEST, DEEPEST = 8, 13
"""Orders of HEALPix: cells of 14 and of 0.4 arcmin."""


def is_possible() -> bool:
    """True where mocpy is installed; does not import it."""
    return importlib.util.find_spec("mocpy") is not None


def write(circle: Circle, footprints: Sequence[Footprint], path: Path) -> None:
    """Write the union of *footprints* to *path*, in cells that are small beside *circle*."""
    from mocpy import MOC

    depth = depth_for(circle.radius)
    whole = MOC.new_empty(max_depth=depth)
    for shape in {shape for footprint in footprints for shape in footprint.shapes}:
        whole = whole.union(_covered(shape, depth))
    whole.save(path, format="fits", overwrite=True)


def depth_for(radius: float) -> int:
    """The order at which *radius* (deg) is `FINENESS` cells long, within limits."""
    wanted = math.ceil(math.log2(58.6 * FINENESS / radius))
    return max(SHALLOWEST, min(DEEPEST, wanted))


def _covered(shape: Shape, depth: int):  # type: ignore[no-untyped-def]  # noqa: ANN202
    from astropy.coordinates import Angle, Latitude, Longitude, SkyCoord
    from mocpy import MOC

    if isinstance(shape, Circle):
        lon, lat = Longitude(shape.ra, "deg"), Latitude(shape.dec, "deg")
        return MOC.from_cone(lon=lon, lat=lat, radius=Angle(shape.radius, "deg"), max_depth=depth)
    corners = SkyCoord([list(vertex) for vertex in shape.vertices], unit="deg")
    return MOC.from_polygon_skycoord(corners, max_depth=depth)
