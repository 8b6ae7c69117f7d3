"""A deep field: many exposures of one place, for cutouts by the hundred."""

from __future__ import annotations

import gzip
from collections.abc import Iterator
from dataclasses import replace

from cadcfs.demo.build.pixels import celestial, sky, write_extensions, write_image
from cadcfs.demo.build.plan import Plan, setup
from cadcfs.demo.build.records import FUTURE, Exposure, Item, Product, circle, energy, time

COLLECTION = "SIMDEEP"
PLACE = (34.5, -5.2)
EXPOSURES = 210
_BAND = energy("Optical", "r", 5.5e-7, 7.0e-7)


def observations(plan: Plan) -> Iterator[Exposure]:
    """Exposures of the field; one each packed, closed, zipped, of unknown size."""
    for number in range(EXPOSURES):
        name = f"deep{number:04d}"
        release = {"dataRelease": FUTURE} if number == 1 else {}
        values = {**circle(*PLACE, 0.02), **_BAND, **time(59000.0 + number, 600), **release}
        item = _image(plan, name, number)
        yield Exposure(
            COLLECTION, name, "Deep field", (Product(name, (item,), values),),
            setup("Simulated", "SimCam"),
        )  # fmt: skip


def _image(plan: Plan, name: str, number: int) -> Item:
    image = sky(plan.rng, (48, 48))
    cards = {"OBJECT": "Deep field", "EXPTIME": 600.0}
    place = celestial(PLACE[0] + 1e-5 * number, PLACE[1], image.shape, 5e-4)
    if number == 0:
        uri = f"cadc:{COLLECTION}/{name}.fits.fz"
        write_extensions(plan.store.path(uri), {**cards}, [("SCI", image, place)], packed=True)
        return plan.store.keep(uri)
    uri = f"cadc:{COLLECTION}/{name}.fits"
    write_image(plan.store.path(uri), image, {**cards, **place})
    if number == 3:
        # Known by name only; what is stored has a size.
        return replace(plan.store.keep(uri), length=None, checksum=None)
    if number != 2:
        return plan.store.keep(uri)
    whole = plan.store.path(f"{uri}.gz")
    whole.write_bytes(gzip.compress(plan.store.path(uri).read_bytes(), mtime=0))
    plan.store.path(uri).unlink()
    return plan.store.keep(f"{uri}.gz")
