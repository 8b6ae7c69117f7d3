"""The observations that the documentation of astroquery.cadc asks for, with small files."""

from __future__ import annotations

from collections.abc import Iterator

from cadcfs.demo.build.pixels import celestial, sky, write_extensions, write_preview
from cadcfs.demo.build.plan import Plan, setup
from cadcfs.demo.build.records import Exposure, Item, Product, energy, time

REGION = (131.28125, 54.3)
"""08h45m07.5s +54d18m00s"""

CUTOUTS = (26.28125, 23.3)
"""01h45m07.5s +23d18m00s"""

_RED = energy("Optical", "r.MP9602", 5.64e-7, 7.1e-7)
_MEGAPRIME = setup("CFHT 3.6m", "MegaPrime", proposal_id="19AC02", proposal_pi="Synth")

# Number, target, where, kinds of planes, MJD, exposure in seconds.
_EXPOSURES = (
    ("2376831", "Nr3491_1", REGION, "o", 58546.328, 138.0),
    ("2366188", "Nr3491_2", REGION, "op", 58490.4677, 200.0),
    ("2366432", "Nr3491_3", REGION, "op", 58491.4075, 200.0),
    ("2228383", "Field 26+23", CUTOUTS, "op", 58074.2, 100.0),
    ("2368278", "Field 26+23", CUTOUTS, "op", 58500.2, 300.0),
    ("2368279", "Field 26+23", CUTOUTS, "op", 58500.21, 300.0),
)


def observations(plan: Plan) -> Iterator[Exposure]:
    """All of them."""
    for number, target, place, kinds, start, exposure in _EXPOSURES:
        products = []
        for kind in kinds:
            name = f"{number}{kind}"
            values = {
                **_RED,
                **time(start, exposure),
                "calibrationLevel": 2 if kind == "p" else 1,
            }
            products.append(Product(name, (_detectors(plan, name, target, place),
                                           *_previews(plan, name)), values))  # fmt: skip
        more = {"sequenceNumber": int(number)}
        yield Exposure("CFHT", number, target, tuple(products), {**_MEGAPRIME, **more})


def _detectors(plan: Plan, name: str, target: str, place: tuple[float, float]) -> Item:
    """Four detectors in a square about a place."""
    uri = f"cadc:CFHT/{name}.fits.fz"
    images = []
    for number in range(4):
        image = sky(plan.rng, (128, 128), 500, 15).round().astype("int16")
        own = celestial(*place, image.shape, 2e-3)
        own["CRPIX1"] = 130.5 if number % 2 else -1.5
        own["CRPIX2"] = 130.5 if number // 2 else -1.5
        images.append((f"ccd{number:02d}", image, own))
    cards = {"OBSTYPE": "OBJECT", "OBJECT": target, "INSTRUME": "MegaPrime"}
    write_extensions(plan.store.path(uri), dict(cards), images, packed=True)
    return plan.store.keep(uri)


def _previews(plan: Plan, name: str) -> Iterator[Item]:
    for end, side, kind in (
        ("preview_256", 256, "thumbnail"),
        ("preview_1024", 512, "preview"),
        ("preview_zoom_1024", 512, "preview"),
    ):
        uri = f"cadc:CFHT/{name}_{end}.jpg"
        write_preview(plan.store.path(uri), plan.rng, side)
        yield plan.store.keep(uri, kind, "meta")
