"""Every service's documents, read by pyvo and by our own client."""

from __future__ import annotations

import io

import httpx
import pytest
from pyvo.io.vosi.endpoint import parse_availability, parse_capabilities

from cadcfs.archive.services import FILES, TAP, access_url, parse_registry
from cadcfs.demo.registry import SERVICES, Service
from cadcfs.demo.server import Served

SSO = "ivo://ivoa.net/sso#"
EVERYBODY = {None, f"{SSO}cookie", f"{SSO}tls-with-certificate", f"{SSO}token"}


@pytest.mark.parametrize("service", SERVICES, ids=lambda service: service.resource)
async def test_capabilities_are_read_by_others(
    client: httpx.AsyncClient, served: Served, service: Service
) -> None:
    listed = parse_registry((await client.get(served.registry_url)).text)
    address = listed[service.resource]
    assert address == f"{served.base_url}{service.path}/capabilities"
    document = (await client.get(address)).content
    found = {each.standardid: each for each in parse_capabilities(io.BytesIO(document))}
    for known in service.capabilities:
        ways = {way.accessurls[0].content: way for way in found[known.standard].interfaces}
        way = ways[served.base_url + known.path]
        assert way.accessurls[0].use == known.use
        assert {m.standardid for m in way.securitymethods} == {m or None for m in known.methods}
        assert access_url(document.decode(), known.standard, address) in ways
    availability = address.removesuffix("capabilities") + "availability"
    told = parse_availability(io.BytesIO((await client.get(availability)).content))
    assert told.available
    assert list(told.notes) == ["service is accepting requests"]


async def test_what_depends_on_who_asks_says_so(client: httpx.AsyncClient) -> None:
    for path, standard in (("/argus", TAP), ("/raven", FILES), ("/minoc", FILES)):
        document = (await client.get(f"{path}/capabilities")).content
        found = {each.standardid: each for each in parse_capabilities(io.BytesIO(document))}
        methods = {method.standardid for method in found[standard].interfaces[0].securitymethods}
        assert methods == EVERYBODY
