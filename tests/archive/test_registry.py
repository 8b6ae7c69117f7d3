"""The registry, the VOSI documents, and astroquery as an unmodified client of them."""

from __future__ import annotations

from xml.etree import ElementTree as ET

import httpx
import pytest
import trio

from cadcfs.demo.server import Served


async def test_every_service_describes_itself(client: httpx.AsyncClient, served: Served) -> None:
    text = (await client.get(served.registry_url)).text
    known = dict(
        (part.strip() for part in line.split("=", 1))
        for line in text.splitlines()
        if "=" in line and not line.startswith("#")
    )
    assert set(known) >= {
        "ivo://cadc.nrc.ca/argus",
        "ivo://cadc.nrc.ca/caom2ops",
        "ivo://cadc.nrc.ca/global/raven",
        "ivo://cadc.nrc.ca/cadc/minoc",
        "ivo://cadc.nrc.ca/gms",
        "ivo://cadc.nrc.ca/cred",
        "ivo://cadc.nrc.ca/uvic/minoc",
        "ivo://cadc.nrc.ca/data",
        "ivo://cadc.nrc.ca/resolver",
    }
    for address in known.values():
        root = ET.fromstring((await client.get(address)).content)
        assert all(c.get("standardID") for c in root.iter("capability"))
        base = address.removesuffix("capabilities")
        assert "<vosi:available>true<" in (await client.get(base + "availability")).text
    root = ET.fromstring((await client.get(known["ivo://cadc.nrc.ca/argus"])).content)
    tap = root.find("capability[@standardID='ivo://ivoa.net/std/TAP']/interface/accessURL")
    assert tap is not None
    assert (tap.get("use"), tap.text) == ("base", f"{served.base_url}/argus")


async def test_astroquery_works_against_it(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    def ask() -> tuple[int, int, int]:
        from astropy import units
        from astropy.coordinates import SkyCoord
        from astroquery.cadc import CadcClass, conf, core

        monkeypatch.setattr(core.get_access_url, "caps", {}, raising=False)
        with conf.set_temp("CADC_REGISTRY_URL", served.registry_url):
            cadc = CadcClass()
            collections = cadc.get_collections()
            named = cadc.query_name("m")
            near = cadc.query_region(SkyCoord(10.0, 41.0, unit="deg"), radius=1.0 * units.deg)
        return len(collections), len(named), len(near)

    found, named, _near = await trio.to_thread.run_sync(ask)
    assert found >= 1
    assert named >= 1
