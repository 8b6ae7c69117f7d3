"""Observations of other telescopes, each for something that only it has."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from importlib import resources
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cadcfs.demo.build.pixels import (
    celestial,
    sky,
    stars,
    write_extensions,
    write_image,
    write_preview,
    write_table,
)
from cadcfs.demo.build.plan import Plan, setup
from cadcfs.demo.build.records import Exposure, Item, Product, Values, circle, energy, time

_OPTICAL = energy("Optical", "", 3.5e-7, 7.0e-7)
_RADIO = energy("Radio", "S-band", 0.075, 0.15)
_VLASS = "VLASS2.1.ql.T10t29.J184200-033000.10.2048.v1"


def observations(plan: Plan) -> Iterator[Exposure]:
    """All of them."""
    yield _plate(plan)
    yield _dao_spectrum(plan)
    yield _cube(plan)
    yield _vlass(plan)
    yield _iris(plan)
    yield _gemini(plan)
    yield _catalogue(plan)
    yield _omm(plan)
    yield _cgps(plan)
    yield _lotss(plan)
    yield _noao()
    yield _astropy(plan)


def _image(plan: Plan, uri: str, data: NDArray[Any], cards: dict[str, object]) -> tuple[Item, ...]:
    write_image(plan.store.path(uri), data, {"OBSTYPE": "OBJECT", **cards})
    return (plan.store.keep(uri),)


def _plate(plan: Plan) -> Exposure:
    name, target = "dao_p932_1950_000001", "NGC 7027"
    side = plan.side(7300, 1000)
    data = np.empty((side, side), np.int16)
    for row in range(0, side, 500):  # by blocks: the noise is drawn wider than it is kept
        data[row : row + 500] = sky(plan.rng, data[row : row + 500].shape, 3000, 30)
    cards = {"OBJECT": target, **celestial(316.757, 42.2361, data.shape, 0.0005)}
    items = _image(plan, f"cadc:DAO/{name}.fits", data, cards)
    values = {**circle(316.757, 42.2361, 1.8), **_OPTICAL, **time(33300.3, 1800)}
    return Exposure("DAO", name, target, (Product(name, items, values),),
                    setup("DAO 1.8-m", "Newtonian Imager"))  # fmt: skip


def _dao_spectrum(plan: Plan) -> Exposure:
    name, target = "dao_c122_2018_000123", "Fe/Ar @ 104 Her"
    data = np.stack([np.arange(2000.0), plan.rng.uniform(0, 100, 2000)]).astype(np.float32)
    items = _image(plan, f"cadc:DAO/{name}.fits", data, {"OBJECT": target})
    values = {**_OPTICAL, **time(58200.2, 30), "dataProductType": "spectrum"}
    return Exposure("DAO", name, target, (Product(name, items, values),),
                    setup("DAO 1.2-m", "McKellar Spectrograph"))  # fmt: skip


def _cube(plan: Plan) -> Exposure:
    name, target = "acsis_00021_20190107T062424", "Orion KL"
    data = plan.rng.standard_normal((100, 60, 60), dtype=np.float32)
    cards = {
        "OBJECT": target, "INSTRUME": "HARP", **celestial(83.8104, -5.3751, data.shape, 0.0017),
        "SPECSYS": "LSRK",
        "CTYPE3": "FREQ", "CRVAL3": 3.45796e11, "CRPIX3": 50.0, "CDELT3": 9.765e5, "CUNIT3": "Hz",
    }  # fmt: skip
    items = _image(plan, f"cadc:JCMT/{name}_cube.fits", data, cards)
    values = {
        **circle(83.8104, -5.3751, 0.07), **energy("Millimeter", "HARP", 8.668e-4, 8.671e-4),
        **time(58490.26, 900), "dataProductType": "cube", "calibrationLevel": 2,
    }  # fmt: skip
    return Exposure("JCMT", name, target, (Product("reduced-345796MHz", items, values),),
                    setup("JCMT", "HARP-ACSIS"))  # fmt: skip


def _vlass(plan: Plan) -> Exposure:
    base = f"{_VLASS}.I.iter1.image.pbcor.tt0.subim"
    side = plan.side(1024, 128)
    data = sky(plan.rng, (1, 1, side, side), 0, 1e-4)
    cards = {
        "OBJECT": "J184200-033000", "BUNIT": "Jy/beam",
        **celestial(280.5, -3.5, data.shape, 0.00028),
        "SPECSYS": "LSRK",
        "CTYPE3": "FREQ", "CRVAL3": 2.98778e9, "CRPIX3": 1.0, "CDELT3": 2.0e9, "CUNIT3": "Hz",
        "CTYPE4": "STOKES", "CRVAL4": 1.0, "CRPIX4": 1.0, "CDELT4": 1.0,
    }  # fmt: skip
    preview = f"cadc:VLASS/{base}_prev.jpg"
    write_preview(plan.store.path(preview), plan.rng, 256)
    items = (
        *_image(plan, f"nrao:VLASS/{base}.fits", data, cards),
        plan.store.keep(preview, "preview", "meta"),
    )
    values = {**circle(280.5, -3.5, 0.7), **_RADIO, **time(59100.1, 5), "calibrationLevel": 2}
    name = "VLASS2.1.T10t29.J184200-033000"
    return Exposure("VLASS", name, None, (Product(f"{name}.quicklook", items, values),),
                    setup("VLA", "S-WIDAR"))  # fmt: skip


def _iris(plan: Plan) -> Exposure:
    data = sky(plan.rng, (500, 500), 5, 0.1)
    cards = {"OBJECT": "f429", **celestial(0.0, 90.0, data.shape, 0.025)}
    items = _image(plan, "cadc:IRIS/I429B4H0.fits", data, cards)
    band = energy("Infrared", "IRAS-100um", 8.3e-5, 1.2e-4)
    values = {**circle(0.0, 90.0, 6.2), **band, "calibrationLevel": 4}
    return Exposure("IRIS", "f429h000", None, (Product("IRAS-100um", items, values),),
                    setup("IRAS", None))  # fmt: skip


def _gemini(plan: Plan) -> Exposure:
    name, uri = "GN-2019A-Q-101-1-001", "gemini:GEMINI/N20190107S0001.fits"
    side = plan.side(1024, 128)
    own = {"EXTVER": 1, **celestial(187.7059, 12.3911, (side, side), 4e-5)}
    science = sky(plan.rng, (side, side))
    images = [
        ("SCI", science, own),
        ("VAR", np.abs(science), own),
        ("DQ", (science > 115).astype(np.int16), own),
    ]
    cards: dict[str, object] = {"OBSTYPE": "OBJECT", "OBJECT": "M87", "INSTRUME": "GMOS-N"}
    write_extensions(plan.store.path(uri), cards, images, packed=False)
    values = {**circle(187.7059, 12.3911, 0.05), **_OPTICAL, **time(58490.5, 120)}
    product = Product("N20190107S0001", (plan.store.keep(uri),), values)
    return Exposure("GEMINI", name, "M87", (product,), setup("Gemini-North", "GMOS-N"))


def _catalogue(plan: Plan) -> Exposure:
    name, uri = "source_catalog", "cadc:HSCLA/source_catalog.fits"
    _, sources = stars(plan.rng, (400, 400), 1000)
    write_table(plan.store.path(uri), sources, {"OBSTYPE": "CATALOG"})
    values: Values = {"dataProductType": "catalog", "calibrationLevel": 4}
    product = Product(name, (plan.store.keep(uri),), values)
    return Exposure("HSCLA", name, "Deep field", (product,), setup("Subaru", "HSC"))


def _omm(plan: Plan) -> Exposure:
    name, target = "C170324_0054", "NGC 4258"
    data = sky(plan.rng, (256, 256))
    cards = {"OBJECT": target, **celestial(184.74, 47.304, data.shape, 2e-4)}
    items = _image(plan, f"cadc:OMM/{name}_SCI.fits", data, cards)
    band = energy("Infrared", "J", 1.17e-6, 1.33e-6)
    values = {**circle(184.74, 47.304, 0.04), **band, **time(57836.2, 20), "quality_flag": "junk"}
    return Exposure("OMM", name, target, (Product(f"{name}_SCI", items, values),),
                    setup("OMM-1.6m", "CPAPIR"))  # fmt: skip


def _cgps(plan: Plan) -> Exposure:
    data = sky(plan.rng, (256, 256), 10, 1)
    cards = {"OBJECT": "MA1", **celestial(142.0, 1.0, data.shape, 0.005, ("GLON", "GLAT"))}
    items = _image(plan, "cadc:CGPS/CGPS_MA1_1420_MHz_I_image.fits", data, cards)
    # Galactic (142, 1); the metadata are in ICRS, whatever the file is in.
    values = {**circle(51.0408, 58.1015, 0.9), **_RADIO, "calibrationLevel": 3}
    return Exposure("CGPS", "MA1_DRAO-ST", "CGPS MA1", (Product("1420MHz-I", items, values),),
                    setup("DRAO-ST", "DRAO-ST"))  # fmt: skip


def _lotss(plan: Plan) -> Exposure:
    products = []
    band = energy("Radio", "LOFAR-HBA", 1.78, 2.5)
    for dec, name in ((62.0, "P124+62"), (63.0, "P124+63")):
        data = sky(plan.rng, (256, 256), 0, 1e-4)
        cards = {"OBJECT": name, **celestial(124.0, dec, data.shape, 0.0004)}
        items = _image(plan, f"astron:LOTSS/{name}/mosaic.fits", data, cards)
        values = {**circle(124.0, dec, 2.0), **band, "calibrationLevel": 4}
        products.append(Product(f"{name}_mosaic", items, values))
    return Exposure("LOTSS", "P124+62", "P124+62", tuple(products), setup("LOFAR", "HBA"))


def _noao() -> Exposure:
    # Known by name only: neither size nor type nor checksum, and no file.
    items = (Item("noao:tu636792.fits.fz"),)
    values = {**circle(30.0, -20.0, 1.0), **_OPTICAL, **time(56900.2, 90)}
    return Exposure("NOAO", "tu636792", "DES field", (Product("tu636792", items, values),),
                    setup("CTIO 4.0-m", "DECam"))  # fmt: skip


def _astropy(plan: Plan) -> Exposure:
    samples = resources.files("astropy.io.fits.hdu.compressed").joinpath("tests", "data")
    products = []
    for name in ("m13", "m13_rice", "m13_gzip"):
        uri = f"cadc:ASTROPY/{name}.fits"
        sample = samples.joinpath(f"{name}.fits")
        with sample.open("rb") as original, plan.store.path(uri).open("wb") as copy:
            shutil.copyfileobj(original, copy)
        values = {**circle(250.4235, 36.4613, 0.1), **_OPTICAL, "provenance_name": "astropy"}
        products.append(Product(name, (plan.store.keep(uri),), values))
    return Exposure("ASTROPY", "m13", "M13", tuple(products), setup("Palomar Schmidt", "Plate"))
