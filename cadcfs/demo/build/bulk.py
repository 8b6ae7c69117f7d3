"""Many files of one place: a thousand images that share their bytes, and a result without end."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from cadcfs.demo.build.pixels import celestial, sky, write_image
from cadcfs.demo.build.plan import Plan, setup
from cadcfs.demo.build.records import Exposure, Item, Product, circle, energy, time

EPOCHS = "SIMEPOCHS"
EPOCHS_PLACE = (200.0, -30.0)
IMAGES = 1_000

MONITOR = "SIMMONITOR"
MONITOR_TARGET = "Monitor field"
MONITOR_PLACE = (266.4, -29.0)

_DITHERS = 40
_PER_NIGHT = 40
_BAND = energy("Optical", "i", 6.9e-7, 8.2e-7)
_CAMERA = setup("SIM 2.0-m", "SimCam")


def epochs(plan: Plan) -> Iterator[Exposure]:
    """A thousand images of one circle; each of forty files lies there under many names."""
    originals = [_dither(plan, number) for number in range(_DITHERS)]
    for number in range(IMAGES):
        name = f"epoch{number:04d}"
        item = plan.store.share(originals[number % _DITHERS], f"cadc:{EPOCHS}/{name}.fits")
        values = {**_BAND, **time(58000.0 + number, 30), "calibrationLevel": 2}
        product = Product(name, (item,), values)
        yield Exposure(EPOCHS, name, "Epoch field", (product,), _CAMERA)


def _dither(plan: Plan, number: int) -> Item:
    image = sky(plan.rng, (48, 48)).astype("int16")
    east, north = number % 8 - 3.5, number // 8 - 2.0
    place = celestial(
        EPOCHS_PLACE[0] + east * 1e-3, EPOCHS_PLACE[1] + north * 1e-3, image.shape, 5e-4
    )
    uri = f"cadc:{EPOCHS}/epoch{number:04d}.fits"
    write_image(
        plan.store.path(uri), image, {"OBSTYPE": "OBJECT", "OBJECT": "Epoch field", **place}
    )
    return plan.store.keep(uri)


def monitor(plan: Plan) -> Iterator[Exposure]:
    """2,600 nights of one field with forty files each, of which only the metadata are here."""
    where = circle(*MONITOR_PLACE, 0.1)
    pattern = Item("", content_type="application/fits", length=8_640)
    for night in range(plan.side(2_600, 65)):
        name = f"mon{night:05d}"
        items = tuple(
            replace(pattern, uri=f"cadc:{MONITOR}/{name}_{part:02d}.fits")
            for part in range(_PER_NIGHT)
        )
        values = {**where, **_BAND, **time(33000.0 + night, 10), "dataProductType": "timeseries"}
        product = Product(name, items, values)
        yield Exposure(MONITOR, name, MONITOR_TARGET, (product,), _CAMERA)
