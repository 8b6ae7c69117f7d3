"""Packages, both sites, locate, the old addresses and the resolver, over sockets."""

from __future__ import annotations

import io
import tarfile
from xml.etree import ElementTree as ET

import httpx
import pytest

from cadcfs.demo.archive import Archive
from cadcfs.demo.data.files import SITES

URI = "cadc:CFHT/2376828o.fits.fz"
RAW = "ivo://cadc.nrc.ca/CFHT?2376828/2376828o"
REDUCED = "ivo://cadc.nrc.ca/CFHT?2376828/2376828p"
PRIVATE = "cadc:CFHT/2999001o.fits"
VOSPACE = "{http://www.ivoa.net/xml/VOSpace/v2.0}"
TRANSFER = (
    '<vos:transfer xmlns:vos="http://www.ivoa.net/xml/VOSpace/v2.0" version="2.1">'
    "<vos:target>{}</vos:target><vos:direction>pullFromVoSpace</vos:direction>"
    '<vos:protocol uri="ivo://ivoa.net/vospace/core#httpsget"/></vos:transfer>'
)


async def test_a_package_holds_the_files_but_no_previews(
    client: httpx.AsyncClient, archive: Archive
) -> None:
    asked = httpx.QueryParams([("ID", RAW), ("ID", REDUCED), ("RUNID", "abc")])
    reply = await client.get("/caom2ops/pkg", params=asked)
    assert reply.headers["content-type"] == "application/x-tar"
    named = reply.headers["content-disposition"]
    assert named == 'inline; filename="cadc-download-abc.tar"'
    assert "content-length" not in reply.headers
    with tarfile.open(fileobj=io.BytesIO(reply.content)) as package:
        assert sorted(package.getnames()) == [
            "CFHT/2376828o.fits.fz", "CFHT/2376828o_empty.txt", "CFHT/2376828o_log.txt",
            "CFHT/2376828p.fits.fz",
        ]  # fmt: skip
        for member in package:
            inside = package.extractfile(member)
            assert inside is not None
            assert inside.read() == archive.path_of(f"cadc:{member.name}").read_bytes()


async def test_one_plane_names_its_package(client: httpx.AsyncClient) -> None:
    reply = await client.get("/caom2ops/pkg", params={"ID": RAW})
    named = reply.headers["content-disposition"]
    assert named == 'inline; filename="CFHT-2376828-2376828o.tar"'


async def test_a_package_of_nothing_is_empty(client: httpx.AsyncClient) -> None:
    reply = await client.get("/caom2ops/pkg", params={"ID": "ivo://cadc.nrc.ca/CFHT?no/such"})
    assert (reply.status_code, reply.content) == (200, b"")
    wrong = await client.get("/caom2ops/pkg", params={"ID": "nonsense"})
    assert (wrong.status_code, wrong.text) == (400, "invalid URI found: nonsense\n")


async def test_both_sites_have_the_same_bytes_and_raven_uses_both(
    client: httpx.AsyncClient,
) -> None:
    plain = [await client.get(f"{site}/files/{URI}") for site in SITES]
    assert len({reply.content for reply in plain}) == 1
    assert len({str(reply.headers["x-artifact-id"]) for reply in plain}) == 1
    sent = set()
    for _ in range(20):
        reply = await client.get(f"/raven/files/{URI}", follow_redirects=False)
        sent.add(httpx.URL(reply.headers["location"]).path.partition("/files/")[0])
    assert sent == set(SITES)
    head = await client.head(f"/raven/files/{URI}", follow_redirects=False)
    assert head.status_code == 200


@pytest.mark.parametrize("method", ["GET", "HEAD"])
async def test_what_is_mirrored_and_not_here_is_asked_for_at_its_own_archive(
    client: httpx.AsyncClient, method: str
) -> None:
    address = "/raven/files/mast:HST/product/id5n04lfq_drc.fits"
    reply = await client.request(method, address, follow_redirects=False)
    assert (reply.status_code, reply.headers["location"]) == (
        303, "https://mast.stsci.edu/portal/Download/file/HST/product/id5n04lfq_drc.fits",
    )  # fmt: skip


async def locate(
    client: httpx.AsyncClient, document: str, kind: str = "text/xml"
) -> httpx.Response:
    return await client.post("/raven/locate", content=document, headers={"Content-Type": kind})


async def test_locate_names_every_address(client: httpx.AsyncClient, archive: Archive) -> None:
    reply = await locate(client, TRANSFER.format(URI))
    assert reply.headers["content-type"].startswith("text/xml")
    root = ET.fromstring(reply.content)
    assert root.findtext(f"{VOSPACE}target") == URI
    assert root.findtext(f"{VOSPACE}direction") == "pullFromVoSpace"
    protocols = root.findall(f"{VOSPACE}protocol")
    assert {p.get("uri") for p in protocols} == {"ivo://ivoa.net/vospace/core#httpsget"}
    addresses = [str(p.findtext(f"{VOSPACE}endpoint")) for p in protocols]
    assert len(addresses) == 2 * len(SITES)
    assert ["~" in address for address in addresses] == [True, False] * len(SITES)
    for address in addresses:
        assert (await client.get(address)).content == archive.path_of(URI).read_bytes()


@pytest.mark.parametrize(
    ("document", "kind", "status", "text"),
    [
        (TRANSFER.format("cadc:CFHT/no.fits"), "text/xml", 404, "not found: cadc:CFHT/no.fits"),
        (TRANSFER.format(PRIVATE), "text/xml", 403, "permission denied"),
        (TRANSFER.format("nonsense"), "text/xml", 400, "illegal artifact URI: nonsense"),
        (TRANSFER.format(URI), "text/plain", 400, "expecting text/xml input document"),
        ("<no", "text/xml", 400, "invalid transfer document"),
        ("<!DOCTYPE x []><x/>", "text/xml", 400, "invalid transfer document"),
        (TRANSFER.replace("pullFrom", "pushTo").format(URI), "text/xml", 400,
         "unexpected transfer direction: pushToVoSpace"),
    ],
)  # fmt: skip
async def test_locate_refuses_in_words(
    client: httpx.AsyncClient, document: str, kind: str, status: int, text: str
) -> None:
    reply = await locate(client, document, kind)
    assert reply.status_code == status
    assert reply.text.startswith(text)


async def test_old_addresses_lead_to_the_new_ones(
    client: httpx.AsyncClient, archive: Archive
) -> None:
    reply = await client.get("/data/pub/CFHT/2376828o.fits.fz")
    assert reply.content == archive.path_of(URI).read_bytes()
    head = await client.head("/data/pub/CFHT/2376828o.fits.fz")
    # Every anonymous answer says how to log in.
    told = set(head.headers) - {"www-authenticate"}
    assert told == {"content-length", "digest", "last-modified", "date"}
    text = await client.get("/data/pub/CFHT/2376828o.fits.fz", params={"fhead": "true"})
    assert text.text.startswith("SIMPLE  =")
    cut = await client.get("/data/pub/CFHT/2376828o.fits.fz", params={"cutout": "[1][1:9,1:9]"})
    assert len(cut.content) == 2 * 2880
    other = await client.get("/data/pub/GEMINI/N20190107S0001.fits")
    assert other.content == archive.path_of("gemini:GEMINI/N20190107S0001.fits").read_bytes()
    missing = await client.get("/data/pub/CFHT/no.fits")
    assert (missing.status_code, missing.text) == (404, "CFHT/no.fits")
    assert "GEMINI: gemini cadc" in (await client.get("/data/uri-scheme-map")).text


async def test_old_addresses_of_private_files_ask_for_a_password(
    client: httpx.AsyncClient, archive: Archive
) -> None:
    reply = await client.get("/data/pub/CFHT/2999001o.fits")
    assert reply.status_code == 401
    assert reply.request.url.path == "/data/auth/CFHT/2999001o.fits"
    asked = reply.headers.get_list("www-authenticate")
    assert 'Basic realm="Canadian Astronomy Data Centre"' in asked
    given = await client.get("/data/auth/CFHT/2999001o.fits", auth=("guest", "guest"))
    assert given.status_code == 403


@pytest.mark.parametrize("name", ["m31", "M 31", "Andromeda Galaxy", "NGC224", "M31 6"])
async def test_the_resolver_knows_objects(client: httpx.AsyncClient, name: str) -> None:
    reply = await client.get("/cadc-target-resolver/find", params={"target": name})
    assert reply.status_code == 200
    lines = dict(line.split("=", 1) for line in reply.text.split("\r\n") if line)
    assert lines.pop("time(ms)").isdecimal()
    assert lines == {
        "target": name, "service": "ned(ned.ipac.caltech.edu)", "coordsys": "ICRS",
        "ra": "10.684799", "dec": "41.269076",
    }  # fmt: skip


async def test_the_resolver_knows_targets_of_the_archive(client: httpx.AsyncClient) -> None:
    asked = {"target": "CGPS MA1", "format": "json", "detail": "MAX", "service": "SIMBAD"}
    reply = await client.get("/cadc-target-resolver/find", params=asked)
    found = reply.json()
    assert found["service"] == "simbad(simbad.cds.unistra.fr)"
    assert (found["ra"], found["dec"]) == pytest.approx((51.04, 58.10), abs=0.05)
    assert found["oname"] == "CGPS MA1"


async def test_the_resolver_has_a_status_of_its_own_for_unknown_names(
    client: httpx.AsyncClient,
) -> None:
    reply = await client.get("/cadc-target-resolver/find", params={"target": "no such thing"})
    assert reply.status_code == 425
    assert reply.text.startswith("error=Target not found\r\ntarget=no such thing\r\n")
    assert (await client.get("/cadc-target-resolver/find")).status_code == 425
    hidden = await client.get("/cadc-target-resolver/find", params={"target": "Hidden"})
    assert hidden.status_code == 425
