"""Observations that exist for one peculiarity each: axes, places, sizes and holders of files."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
from astropy.io import fits

from cadcfs.demo.build.pixels import celestial, sky, write_extensions, write_image
from cadcfs.demo.build.plan import Plan, setup
from cadcfs.demo.build.records import Exposure, Item, Product, circle, energy, time

_OPTICAL = energy("Optical", "", 4.0e-7, 7.0e-7)
_RADIO = energy("Radio", "S-band", 0.075, 0.15)
_M81 = (148.8882, 69.0653)


def observations(plan: Plan) -> Iterator[Exposure]:
    """All of them."""
    yield _polarised(plan)
    yield _timed(plan)
    yield _table_spectrum(plan)
    yield _across_zero(plan)
    yield _of_unknown_size(plan)
    yield _held_elsewhere()
    yield _without_resolver()
    yield _malformed(plan)
    yield from _seen_by_many(plan)


def _polarised(plan: Plan) -> Exposure:
    """A cube whose last axis is Stokes I, Q and U."""
    base = "VLASS2.1.cc.T10t29.J184200-033000.06.2048.v1.spw12.IQU.iter3.image.pbcor.tt0.subim.com"
    data = sky(plan.rng, (3, 1, 64, 64), 0, 1e-4)
    cards = {
        "OBJECT": "J184200-033000", "BUNIT": "Jy/beam",
        **celestial(280.5, -3.5, data.shape, 0.0005),
        "SPECSYS": "LSRK",
        "CTYPE3": "FREQ", "CRVAL3": 2.98778e9, "CRPIX3": 1.0, "CDELT3": 1.28e8, "CUNIT3": "Hz",
        "CTYPE4": "STOKES", "CRVAL4": 1.0, "CRPIX4": 1.0, "CDELT4": 1.0,
    }  # fmt: skip
    uri = f"nrao:VLASS/{base}.fits"
    write_image(plan.store.path(uri), data, {"OBSTYPE": "OBJECT", **cards})
    values = {**_RADIO, **time(59100.2, 5), "dataProductType": "cube", "calibrationLevel": 2}
    name = "VLASS2.1.cc.T10t29.J184200-033000"
    product = Product(f"{name}.spw12.IQU", (plan.store.keep(uri),), values)
    return Exposure("VLASS", name, "J184200-033000", (product,), setup("VLA", "S-WIDAR"))


def _timed(plan: Plan) -> Exposure:
    """A cube whose last axis is time: ten frames of a minute."""
    data = sky(plan.rng, (10, 48, 48), 50, 3)
    cards = {
        "OBJECT": "star04239531", **celestial(112.0, 29.0, data.shape, 5e-4), "MJDREF": 0.0,
        "TIMESYS": "UTC", "CTYPE3": "TIME", "CRVAL3": 59611.84, "CRPIX3": 1.0,
        "CDELT3": 1 / 1440, "CUNIT3": "d",
    }  # fmt: skip
    uri = "cadc:TAOSII/taos2_20220201T201317Z_star04239531.fits"
    write_image(plan.store.path(uri), data, {"OBSTYPE": "OBJECT", **cards})
    values = {**_OPTICAL, "dataProductType": "timeseries", "time_exposure": 60.0}
    product = Product("frames", (plan.store.keep(uri),), values)
    return Exposure("TAOSII", "taos2_20220201T201317Z", "star04239531", (product,),
                    setup("TAOS II", "TAOS"))  # fmt: skip


def _table_spectrum(plan: Plan) -> Exposure:
    """A spectrum as a binary table: FITS without any image."""
    wavelength = np.linspace(950, 2500, 4000)
    flux = 1 - 0.3 * np.exp(-((wavelength - 1282) ** 2) / 8) + 0.01 * plan.rng.standard_normal(4000)
    columns = [
        fits.Column("Wave", "D", unit="nm", array=wavelength),
        fits.Column("Flux", "E", array=flux),
    ]
    primary = fits.PrimaryHDU()
    primary.header["OBJECT"] = "HD  15082"
    primary.header["HISTORY"] = "SIMULATED by cadcfs"
    uri = "cadc:CFHT/2466133s.fits"
    table = fits.BinTableHDU.from_columns(columns, name="SPECTRUM")
    fits.HDUList([primary, table]).writeto(plan.store.path(uri))
    values = {
        **circle(36.7127, 37.5504, 0.0005), **energy("Infrared", "", 9.5e-7, 2.5e-6),
        **time(58850.2, 600), "dataProductType": "spectrum", "calibrationLevel": 2,
    }  # fmt: skip
    return Exposure("CFHT", "2466133", "HD  15082",
                    (Product("2466133s", (plan.store.keep(uri),), values),),
                    setup("CFHT 3.6m", "SPIRou"))  # fmt: skip


def _across_zero(plan: Plan) -> Exposure:
    """An image on both sides of right ascension 0."""
    data = sky(plan.rng, (128, 128), 20, 2)
    cards = {"OBJECT": "Zero", **celestial(0.0, 10.0, data.shape, 2e-3)}
    uri = "cadc:APASS/zero.fits"
    write_image(plan.store.path(uri), data, {"OBSTYPE": "OBJECT", **cards})
    values = {**energy("Optical", "V", 5.0e-7, 6.0e-7), **time(55300.1, 90)}
    return Exposure("APASS", "zero", "Zero", (Product("zero", (plan.store.keep(uri),), values),),
                    setup("APASS 0.2m", "ApogeeAlta"))  # fmt: skip


def _of_unknown_size(plan: Plan) -> Exposure:
    """A stored file of which the metadata tell neither size nor checksum."""
    data = sky(plan.rng, (96, 96), 30, 3)
    uri = "cadc:DAO/a2020_06_17_07_00_01.fits"
    write_image(plan.store.path(uri), data, {"OBSTYPE": "SKY", "OBJECT": "All sky"})
    item = replace(plan.store.keep(uri), length=None, checksum=None)
    values = {**_OPTICAL, **time(59017.3, 50), "dataProductType": "image"}
    name = "a2020_06_17_07_00_01"
    return Exposure("DAO", name, "All sky", (Product(name, (item,), values),),
                    setup("DAO Skycam", "Skycam"))  # fmt: skip


def _held_elsewhere() -> Exposure:
    """A file of the Hubble telescope that is not mirrored here."""
    item = Item("mast:HST/product/id5n04lfq_drc.fits", content_type="application/fits")
    values = {
        **circle(10.9, 42.2, 0.03), **_OPTICAL, **time(57400.5, 350), "calibrationLevel": 2,
        "publisherID": "ivo://cadc.nrc.ca/mirror/HST?id5n04lfq/id5n04lfq-PRODUCT",
    }  # fmt: skip
    return Exposure("HST", "id5n04lfq", "M31-B14", (Product("id5n04lfq-PRODUCT", (item,), values),),
                    setup("HST 2.4-m", "WFC3/UVIS"))  # fmt: skip


def _without_resolver() -> Exposure:
    """A file with a scheme that nobody knows an address for."""
    item = Item("tape:OMM/lost_plate.fits", content_type="application/fits", length=2880)
    values = {**circle(300.0, -10.0, 0.04), **_OPTICAL, **time(50000.2, 20)}
    return Exposure("OMM", "lost_plate", "Lost plate", (Product("lost_plate", (item,), values),),
                    setup("OMM-1.6m", "CPAPIR"))  # fmt: skip


def _malformed(plan: Plan) -> Exposure:
    """A rejected frame whose header breaks the standard, though programs open it."""
    data = sky(plan.rng, (64, 64), 20, 2)
    name, uri = "C201109_0112", "cadc:OMM/C201109_0112_REJECT.fits"
    path = plan.store.path(uri)
    cards = {"OBSTYPE": "REJECT", "OBJECT": "Clouds"}
    write_image(path, data, {**cards, "COMMENTS": "x" * 8, "EXPTIME": 20.0})
    content = path.read_bytes()
    # A lower-case keyword, and a number that is none.
    content = content.replace(b"COMMENTS", b"comments", 1)
    content = content.replace(b"=                 20.0", b"=               20.0.0", 1)
    path.write_bytes(content)
    values = {**energy("Infrared", "J", 1.17e-6, 1.33e-6), **time(59162.2, 20)}
    product = Product(f"{name}_REJECT", (plan.store.keep(uri),), {**values, "quality_flag": "junk"})
    return Exposure("OMM", name, "Clouds", (product,),
                    setup("OMM-1.6m", "CPAPIR", type="REJECT"))  # fmt: skip


def _seen_by_many(plan: Plan) -> Iterator[Exposure]:
    """What several telescopes saw of M81, so that one region holds several collections."""
    for collection, name, target, scheme, telescope, instrument in (
        ("GEMINI", "GN-2019B-Q-7-2-001", "M81", "gemini", "Gemini-North", "GMOS-N"),
        ("SUBARU", "SUPA0037434", "M81_disk", "cadc", "Subaru", "Suprime-Cam"),
        ("UKIRT", "w20190107_00123", "M 81", "cadc", "UKIRT", "WFCAM"),
    ):
        image = sky(plan.rng, (64, 64), 200, 10).astype("int16")
        own = celestial(_M81[0] + 0.02, _M81[1] - 0.01, image.shape, 1e-3)
        uri = f"{scheme}:{collection}/{name}.fits"
        write_extensions(plan.store.path(uri), {"OBJECT": target}, [("SCI", image, own)],
                         packed=False)  # fmt: skip
        values = {**_OPTICAL, **time(58490.4, 60)}
        yield Exposure(collection, name, target, (Product(name, (plan.store.keep(uri),), values),),
                       setup(telescope, instrument))  # fmt: skip
