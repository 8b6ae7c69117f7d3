"""Counts bright sources in the mosaics of a region, one task a mosaic, on dask.distributed.

    python examples/source_counts.py 10.6847_41.2688_0.5 --scheduler tcp://head:8786
    python examples/source_counts.py 10.6847_41.2688_0.5 --workers 2

Paths are the same everywhere. A worker with a mount (CADC_MOUNT names it) reads through that, any
other through cadc://; the counts are the same.
"""

from __future__ import annotations

import argparse
import json
import os
from typing import Any

Options = dict[str, str]


def mosaics(region: str, collection: str, names: str, most: int, options: Options) -> list[str]:
    """Paths of the mosaics of a region, below the mount or after cadc://."""
    import fsspec

    cadc = fsspec.filesystem("cadc", **options)
    found = cadc.glob(f"region/{region}/{collection}/{names}", detail=True)
    # What is proprietary has no permissions for whoever has not logged in.
    return sorted(path for path, told in found.items() if told["mode"] & 0o444)[:most]


def count_sources(path: str, options: Options, sigmas: float = 5.0) -> int:
    """Pixels of all detectors that are brighter than all their neighbours and the noise."""
    import numpy as np
    from astropy.io import fits

    mount = os.environ.get("CADC_MOUNT")
    place = f"{mount}/{path}" if mount else f"cadc://{path}"
    how: dict[str, Any] = {} if mount else {"use_fsspec": True, "fsspec_kwargs": options}
    found = 0
    with fits.open(place, **how) as mosaic:
        for hdu in mosaic:
            if not hdu.is_image or hdu.header.get("NAXIS") != 2:
                continue
            sky = np.asarray(hdu.data, dtype=np.float64)
            middle = np.median(sky)
            noise = 1.4826 * np.median(np.abs(sky - middle)) or 1.0
            inner = sky[1:-1, 1:-1]
            peak = inner > middle + sigmas * noise
            for down, right in ((-1, 0), (1, 0), (0, -1), (0, 1)):
                rows = slice(1 + down, sky.shape[0] - 1 + down)
                peak &= inner > sky[rows, 1 + right : sky.shape[1] - 1 + right]
            found += int(peak.sum())
    return found


def main() -> None:
    from distributed import Client

    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("region", help="as below region/ of the mount: 10.6847_41.2688_0.5")
    parser.add_argument("--collection", default="CFHT")
    parser.add_argument("--names", default="*p.fits.fz", help="which files: a pattern")
    parser.add_argument("--sigmas", type=float, default=5.0, help="how bright, in noise")
    parser.add_argument("--most", type=int, default=200, help="mosaics at most")
    parser.add_argument("--scheduler", help="tcp://host:8786; without it, workers on this machine")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--options", type=json.loads, default={}, help="settings, as JSON")
    asked = parser.parse_args()
    local = {"n_workers": asked.workers, "threads_per_worker": 1, "dashboard_address": None}
    paths = mosaics(asked.region, asked.collection, asked.names, asked.most, asked.options)
    with Client(asked.scheduler) if asked.scheduler else Client(**local) as client:
        counts = client.gather(
            client.map(count_sources, paths, options=asked.options, sigmas=asked.sigmas)
        )
    for path, count in zip(paths, counts, strict=True):
        print(f"{count:8d} {path}")
    print(f"{sum(counts):8d} sources in {len(paths)} mosaics")


if __name__ == "__main__":
    main()
