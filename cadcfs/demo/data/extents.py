"""How far a FITS file reaches along each axis that a cutout can be made of."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from cadcfs.demo.data.axes import Edges, band_edges, states_of, time_edges
from cadcfs.demo.data.extensions import NotFitsError, read_headers
from cadcfs.demo.data.footprints import Footprint, outline, union

_KEPT = 4096


@dataclass(frozen=True)
class Extent:
    """What a file covers. `band` is metres, `time` MJD; None where there is no such axis."""

    footprint: Footprint | None = None
    band: tuple[float, float] | None = None
    time: tuple[float, float] | None = None
    states: tuple[str, ...] = ()

    @property
    def is_empty(self) -> bool:
        """Whether nothing can be cut."""
        return self == Extent()


def extent_of(path: Path) -> Extent:
    """Measure a file, or remember it (blocking); a file that is not FITS has no extent."""
    return _measured(path, path.stat().st_mtime_ns)


@lru_cache(maxsize=_KEPT)
def _measured(path: Path, _mtime: int) -> Extent:
    try:
        headers = read_headers(path)
    except NotFitsError:
        return Extent()
    with headers.lock:
        extensions = [extension for extension in headers.extensions if extension.shape]
        skies = [each.sky for each in extensions if each.sky is not None]
        # A single pixel can be cut no further.
        outlines = [outline(sky) for sky in skies if max(sky.lengths) > 1]
        states = [found[1] for each in extensions if (found := states_of(each)) is not None]
        return Extent(
            union(outlines) if outlines else None,
            _reach(band_edges(each) for each in extensions),
            _reach(time_edges(each) for each in extensions),
            _several(dict.fromkeys(state for named in states for state in named if state)),
        )


def _several(states: Iterable[str]) -> tuple[str, ...]:
    found = tuple(states)
    return found if len(found) > 1 else ()


def _reach(edges: Iterable[Edges | None]) -> tuple[float, float] | None:
    known = [each.values for each in edges if each is not None and len(each.values) > 2]
    if not known:
        return None
    return float(min(values.min() for values in known)), float(max(v.max() for v in known))
