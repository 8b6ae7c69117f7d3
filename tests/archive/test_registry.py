"""The registry, the VOSI documents."""

from __future__ import annotations

from xml.etree import ElementTree as ET

import httpx

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
