"""Observations of the Canada-France-Hawaii Telescope."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from cadcfs.demo.auth.users import TEAM
from cadcfs.demo.build.pixels import (
    celestial,
    sky,
    stars,
    write_extensions,
    write_image,
    write_mosaic,
    write_preview,
)
from cadcfs.demo.build.plan import Plan, setup
from cadcfs.demo.build.records import FUTURE, Exposure, Item, Product, circle, energy, square, time

_MEGAPRIME = setup("CFHT 3.6m", "MegaPrime", proposal_id="19AC00", proposal_pi="Synth")
_GREEN = energy("Optical", "g.MP9402", 4.0e-7, 5.6e-7)


def observations(plan: Plan) -> Iterator[Exposure]:
    """All of them."""
    yield _mosaic(plan, "2376828", "M31", (10.6847, 41.2687), "op")
    yield _mosaic(plan, "2376829", "M33", (23.4621, 30.6599), "p")
    yield _stack(plan)
    yield _spectrum(plan)
    yield _proprietary(plan)
    yield _hidden(plan)
    yield from _calibrations(plan)
    yield Exposure(
        "CFHT", "2999002", "Empty field",
        (Product("2999002o", (), {**circle(150.1, 2.2, 0.5), **_GREEN, **time(58500.3, 60)}),),
        _MEGAPRIME,
    )  # fmt: skip
    yield Exposure(
        "CFHT", "2999003", "Undated",
        (Product("2999003o", (shared(plan),), {**_GREEN, "dataRelease": None}),),
        _MEGAPRIME,
    )  # fmt: skip


def shared(plan: Plan) -> Item:
    """A small file that many planes hold."""
    uri = "cadc:CFHT/shared.fits"
    path = plan.store.path(uri)
    if not path.exists():
        image = sky(plan.rng, (64, 64))
        cards = {"OBSTYPE": "OBJECT", **celestial(150.0, 2.0, image.shape, 5e-5)}
        write_image(path, image, cards)
    return plan.store.keep(uri)


def _mosaic(
    plan: Plan, number: str, target: str, place: tuple[float, float], kinds: str
) -> Exposure:
    values = {**square(*place, 0.5), **_GREEN, **time(58490.25, 300)}
    products = []
    for kind in kinds:
        name = f"{number}{kind}"
        uri = f"cadc:CFHT/{name}.fits.fz"
        cards = {"OBSTYPE": "OBJECT", "OBJECT": target, "INSTRUME": "MegaPrime", "EXPTIME": 300.0}
        write_mosaic(plan.store.path(uri), plan.rng, dict(cards), place, small=plan.small)
        items = [plan.store.keep(uri)]
        if kind == "p":
            items += _previews(plan, name)
        if name == "2376828o":
            items += _auxiliaries(plan, name)
        level = {"calibrationLevel": 2 if kind == "p" else 1}
        products.append(Product(name, tuple(items), {**values, **level}))
    return Exposure("CFHT", number, target, tuple(products), _MEGAPRIME)


def _previews(plan: Plan, name: str) -> Iterator[Item]:
    for end, side, kind in (
        ("preview_256", 256, "thumbnail"),
        ("preview_1024", 1024, "preview"),
        ("preview_zoom_1024", 1024, "preview"),
    ):
        uri = f"cadc:CFHT/{name}_{end}.jpg"
        write_preview(plan.store.path(uri), plan.rng, side)
        yield plan.store.keep(uri, kind, "meta")


def _auxiliaries(plan: Plan, name: str) -> Iterator[Item]:
    for end, text in (("log.txt", "SIMULATED by cadcfs\n"), ("empty.txt", "")):
        uri = f"cadc:CFHT/{name}_{end}"
        plan.store.path(uri).write_text(text)
        yield plan.store.keep(uri, "auxiliary")


def _stack(plan: Plan) -> Exposure:
    name, place = "MegaPipe.016.263", (215.0, 52.5)
    side = plan.side(1500, 400)
    image, sources = stars(plan.rng, (side, side), 300)
    cards = {"OBSTYPE": "STACK", "OBJECT": name, **celestial(*place, image.shape, 5.2e-5)}
    start = f"cadc:CFHTSG/{name}.G.MP9401"
    write_image(plan.store.path(f"{start}.fits"), image, cards)
    _write_weight(plan, f"{start}.weight.fits.fz", side, cards)
    write_preview(plan.store.path(f"{start}.fits.gif"), plan.rng, 256)
    lines = [f"{i} {x:.3f} {y:.3f} {peak:.2f}\n" for i, (x, y, peak) in enumerate(sources, 1)]
    plan.store.path(f"{start}.cat").write_text("# id x y peak\n" + "".join(lines))
    items = (
        plan.store.keep(f"{start}.fits"),
        plan.store.keep(f"{start}.weight.fits.fz", "weight"),
        plan.store.keep(f"{start}.fits.gif", "preview", "meta"),
        plan.store.keep(f"{start}.cat", "auxiliary"),
    )
    inputs = ("2376828/2376828p", "2376829/2376829p")
    values = {
        **square(*place, side * 2.6e-5),
        **_GREEN,
        "calibrationLevel": 3,
        "provenance_inputs": " ".join(f"caom:CFHT/{plane}" for plane in inputs),
    }
    members = " ".join(f"caom:CFHT/{plane.partition('/')[0]}" for plane in inputs)
    return Exposure(
        "CFHTMEGAPIPE", name, name, (Product(f"{name}.G.MP9401", items, values),),
        {**_MEGAPRIME, "algorithm_name": "MEGAPIPE", "typeCode": "D", "members": members},
    )  # fmt: skip


def _write_weight(plan: Plan, uri: str, side: int, cards: dict[str, object]) -> None:
    """The weight map of a stack: flat, with unobserved edges."""
    weight = np.ones((side, side), np.int16)
    weight[:10] = weight[-10:] = 0
    write_extensions(plan.store.path(uri), {}, [("WEIGHT", weight, cards)], packed=True)


def _spectrum(plan: Plan) -> Exposure:
    uri = "cadc:CFHT/2460606i.fits"
    pixels = np.arange(plan.side(20000, 2000))
    flux = 1 - 0.5 * np.exp(-(((pixels % 500) - 250) ** 2) / 50)
    data = np.stack([400 + pixels * 0.03, flux]).astype(np.float32)
    write_image(plan.store.path(uri), data, {"OBSTYPE": "OBJECT", "OBJECT": "HD  15082"})
    values = {
        **circle(36.7127, 37.5504, 0.0005),
        **energy("Optical", "", 3.7e-7, 1.05e-6),
        **time(58800.4, 600),
        "dataProductType": "spectrum",
        "calibrationLevel": 2,
    }
    product = Product("2460606i", (plan.store.keep(uri),), values)
    return Exposure("CFHT", "2460606", "HD  15082", (product,), setup("CFHT 3.6m", "ESPaDOnS"))


def _proprietary(plan: Plan) -> Exposure:
    uri = "cadc:CFHT/2999001o.fits"
    image = sky(plan.rng, (64, 64))
    write_image(plan.store.path(uri), image, {"OBSTYPE": "OBJECT", "OBJECT": "Proprietary"})
    preview = "cadc:CFHT/2999001o_preview_256.jpg"
    write_preview(plan.store.path(preview), plan.rng, 256)
    items = (plan.store.keep(uri), plan.store.keep(preview, "preview", "meta"))
    values = {
        **circle(83.6, 22.0, 0.5),
        **_GREEN,
        **time(60000.1, 120),
        "dataRelease": FUTURE,
        "dataReadGroups": TEAM,
    }
    return Exposure(
        "CFHT", "2999001", "Proprietary", (Product("2999001o", items, values),), _MEGAPRIME
    )


def _hidden(plan: Plan) -> Exposure:
    """What only its team knows of: neither metadata nor data are public."""
    uri = "cadc:CFHT/2999004o.fits"
    image = sky(plan.rng, (64, 64))
    write_image(plan.store.path(uri), image, {"OBSTYPE": "OBJECT", "OBJECT": "Hidden"})
    metadata = {"metaRelease": FUTURE, "metaReadGroups": TEAM}
    data = {"dataRelease": FUTURE, "dataReadGroups": TEAM}
    product = Product("2999004o", (plan.store.keep(uri),), {**_GREEN, **metadata, **data})
    return Exposure("CFHT", "2999004", "Hidden", (product,), {**_MEGAPRIME, **metadata})


def _calibrations(plan: Plan) -> Iterator[Exposure]:
    night = 58490.0  # 2019-01-07
    kinds = (("BIAS", "b", "Bias binned", 0.0), ("FLAT", "f", "FLAT 40s", 40.0))
    for number in range(6):
        kind, letter, target, exposure = kinds[number % 2]
        name = f"{2377000 + number}"
        uri = f"cadc:CFHT/{name}{letter}.fits"
        image = sky(plan.rng, (64, 64), 1000 if letter == "b" else 20000).astype(np.int16)
        write_image(plan.store.path(uri), image, {"OBSTYPE": kind, "OBJECT": target})
        # Frames without a filter have no band either.
        band = _GREEN if letter == "f" else {}
        values = {**band, **time(night + 0.1 + number * 0.002, exposure)}
        yield Exposure(
            "CFHT", name, target, (Product(f"{name}{letter}", (plan.store.keep(uri),), values),),
            {**_MEGAPRIME, "type": kind, "intent": "calibration"},
        )  # fmt: skip
