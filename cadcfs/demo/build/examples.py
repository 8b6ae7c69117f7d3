"""Observations named as the archive names them, with small simulated files behind the names."""

from __future__ import annotations

from collections.abc import Iterator

from cadcfs.demo.build.pixels import celestial, sky, write_extensions, write_image, write_preview
from cadcfs.demo.build.plan import Plan, setup
from cadcfs.demo.build.records import Exposure, Item, Product, circle, energy, time

_OPTICAL = energy("Optical", "", 4.0e-7, 7.0e-7)

# Collection, observation, product, target, and the artifacts of the product. What is peculiar:
# archives that are named otherwise than the collection, a double slash, names of many dots.
_NAMED = (
    ("NEOSSAT", "2019213215700", "cord", "WASP-33",
     ("cadc:NEOSSAT/NEOS_SCI_2019213215700_cord.fits",
      "cadc:NEOSSAT/NEOS_SCI_2019213215700_cord_prev.png")),
    ("GEMINICADC", "GN-2013A-Q-63-54-051", "wrgnN20130530S0250_arc", "Ar,Xe",
     ("cadc:GEMINICADC//wrgnN20130530S0250_arc.fits",)),
    ("DAOCADC", "dao_c122_2007_000916", "dao_c122_2007_000916_F", "Fe/Ar @ 104 Her",
     ("cadc:DAOCADC/dao_c122_2007_000916_F.fits",)),
    ("SUBARU", "SUPA0142580", "SUPA0142580", "M 31 LL",
     ("cadc:SUBARU/SUPA0142580.fits.fz",)),
    ("SUBARUCADC", "SCLA_189.232+62.201", "W-C-IC", "HDF-N",
     ("cadc:SUBARUCADC/SCLA_189.232+62.201.W-C-IC.fits.fz",
      "cadc:SUBARUCADC/SCLA_189.232+62.201.W-C-IC.cat")),
    ("HST", "y34b0101t", "y34b0101t-PRODUCT", "HD  15082",
     tuple(f"mast:HST/product/y34b0101t_{part}.fits" for part in ("d0f", "q0f", "shf"))),
    ("JWST", "jw01727", "jw01727-PRODUCT", "COSMOS-Web",
     ("mast:JWST/product/jw01727_i2d.fits", "mast:JWST/product/jw01727_asn.json",
      "mast:JWST/product/jw01727_cat.ecsv")),
    ("TAOSII", "taos2_20220201T201317Z_star04239531", "lightcurve", "star04239531",
     ("cadc:TAOSII/taos2_20220201T201317Z_star04239531.txt",)),
    ("BRITE-Constellation", "HD36486", "HD36486", "HD 36486",
     ("cadc:BRITE-Constellation/HD36486.orig",)),
)  # fmt: skip


def observations(plan: Plan) -> Iterator[Exposure]:
    """One observation for each name, and an image with distortions."""
    for number, (collection, name, product, target, uris) in enumerate(_NAMED):
        place = (15.0 * number + 7, -20.0 + 7 * number)
        items = tuple(_item(plan, uri, target, place) for uri in uris)
        values = {**circle(*place, 0.02), **_OPTICAL, **time(58000.5 + number, 60)}
        # Mirrored collections have publisher IDs of their own form.
        if collection in ("HST", "JWST"):
            values["publisherID"] = f"ivo://cadc.nrc.ca/mirror/{collection}?{name}/{product}"
        yield Exposure(
            collection, name, target, (Product(product, items, values),), setup("Simulated", "Sim")
        )
    yield _distorted(plan)


def _item(plan: Plan, uri: str, target: str, place: tuple[float, float]) -> Item:
    path = plan.store.path(uri)
    cards: dict[str, object] = {"OBSTYPE": "OBJECT", "OBJECT": target}
    if uri.endswith(".fits"):
        image = sky(plan.rng, (64, 64))
        write_image(path, image, {**cards, **celestial(*place, image.shape, 5e-4)})
    elif uri.endswith(".fz"):
        image = sky(plan.rng, (64, 64)).astype("int16")
        own = celestial(*place, image.shape, 5e-4)
        write_extensions(path, cards, [("CCD", image, own)], packed=True)
    elif uri.endswith(".png"):
        write_preview(path, plan.rng, 256)
        return plan.store.keep(uri, "preview", "meta")
    else:
        path.write_text(f"# SIMULATED by cadcfs: {target}\n")
        return plan.store.keep(uri, "catalog" if uri.endswith(".cat") else "science")
    return plan.store.keep(uri)


def _distorted(plan: Plan) -> Exposure:
    """An image with SIP distortions, which old programs and cutouts get wrong."""
    name, place = "C170324_0055", (184.74, 47.304)
    image = sky(plan.rng, (256, 256))
    cards = celestial(*place, image.shape, 2e-4)
    cards |= {
        "CTYPE1": "RA---TAN-SIP", "CTYPE2": "DEC--TAN-SIP",
        "A_ORDER": 2, "A_2_0": 2e-5, "A_0_2": -1e-5, "A_1_1": 5e-6,
        "B_ORDER": 2, "B_2_0": 1e-5, "B_0_2": 3e-5, "B_1_1": -4e-6,
    }  # fmt: skip
    uri = f"cadc:OMM/{name}_SCIRED.fits"
    write_image(plan.store.path(uri), image, {"OBSTYPE": "OBJECT", "OBJECT": "NGC 4258", **cards})
    values = {**circle(*place, 0.04), **energy("Infrared", "J", 1.17e-6, 1.33e-6)}
    product = Product(f"{name}_SCIRED", (plan.store.keep(uri),), values)
    return Exposure("OMM", name, "NGC 4258", (product,), setup("OMM-1.6m", "CPAPIR"))
