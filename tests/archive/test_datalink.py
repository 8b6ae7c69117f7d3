"""DataLink, over sockets; read by pyvo, astropy and stilts."""

from __future__ import annotations

import io
import re
import subprocess
import warnings

import httpx
import pytest
import trio
from astropy.io import fits
from astropy.io.votable import parse

from cadcfs.demo.archive import Archive
from cadcfs.demo.data.datalink import MAXREC
from cadcfs.demo.data.links import semantics_of
from cadcfs.demo.server import Served

CUBE = "ivo://cadc.nrc.ca/JCMT?acsis_00021_20190107T062424/reduced-345796MHz"
MOSAIC = "ivo://cadc.nrc.ca/CFHT?2376828/2376828p"
STACK = "ivo://cadc.nrc.ca/CFHTMEGAPIPE?MegaPipe.016.263/MegaPipe.016.263.G.MP9401"
GALACTIC = "ivo://cadc.nrc.ca/CGPS?MA1_DRAO-ST/1420MHz-I"
DISTORTED = "ivo://cadc.nrc.ca/OMM?C170324_0055/C170324_0055_SCIRED"
PRIVATE = "ivo://cadc.nrc.ca/CFHT?2999001/2999001o"
HIDDEN = "ivo://cadc.nrc.ca/CFHT?2999004/2999004o"
EMPTY = "ivo://cadc.nrc.ca/CFHT?2999002/2999002o"
COLUMNS = [
    "ID", "access_url", "service_def", "error_message", "semantics", "local_semantics",
    "description", "content_type", "content_length", "content_qualifier", "link_auth",
    "link_authorized",
]  # fmt: skip


async def links(client: httpx.AsyncClient, *numbers: str, **more: str) -> list[dict[str, object]]:
    """The rows of an answer, as astropy reads them."""
    pairs = [*(("ID", number) for number in numbers), *more.items()]
    reply = await client.get("/caom2ops/datalink", params=httpx.QueryParams(pairs))
    assert reply.status_code == 200
    assert reply.headers["content-type"] == "application/x-votable+xml;content=datalink"
    with warnings.catch_warnings(record=True) as complaints:
        warnings.simplefilter("always")
        table = parse(io.BytesIO(reply.content), verify="warn").get_first_table()
    # The UCD is SODA's own (1.0, 3.3), and limits of a band are single numbers at CADC.
    meant = re.compile(r".*(W06: Invalid UCD 'obs.field'|E02: Incorrect number of elements)")
    assert not [c for c in complaints if not meant.match(str(c.message).replace("\n", " "))]
    assert [field.name for field in table.fields] == COLUMNS
    rows = zip(*(table.array[name].tolist() for name in COLUMNS), strict=True)
    return [dict(zip(COLUMNS, row, strict=True)) for row in rows]


async def test_a_plane_has_files_cutouts_and_a_package(client: httpx.AsyncClient) -> None:
    found = await links(client, MOSAIC)
    kinds = [row["semantics"] for row in found]
    assert sorted(kinds) == [
        "#cutout", "#cutout", "#package", "#preview", "#preview", "#this", "#thumbnail",
    ]  # fmt: skip
    for row in found:
        assert row["ID"] == MOSAIC
        assert (row["link_auth"], row["link_authorized"]) == ("optional", True)
        assert not row["error_message"]
        if row["semantics"] == "#cutout":
            assert not row["access_url"]
            assert str(row["service_def"]).startswith("soda-")
            assert re.match("SODA-a?sync cutout of cadc:CFHT/2376828p", str(row["description"]))
        elif row["semantics"] == "#this":
            assert row["description"] == "download cadc:CFHT/2376828p.fits.fz"
            reply = await client.get(str(row["access_url"]))
            assert len(reply.content) == row["content_length"]


async def test_every_link_to_a_public_file_leads_to_it(
    client: httpx.AsyncClient, archive: Archive
) -> None:
    found = await links(client, STACK, REQUEST="downloads-only")
    assert {row["semantics"] for row in found} == {
        "#this",
        "#weight",
        "#preview",
        "#auxiliary",
        "#package",
    }
    for row in found:
        if row["semantics"] != "#package":
            uri = str(row["description"]).removeprefix("download ")
            reply = await client.get(str(row["access_url"]))
            assert reply.content == archive.path_of(uri).read_bytes()


async def test_what_cannot_be_linked_is_a_row_with_a_fault(client: httpx.AsyncClient) -> None:
    unknown = "ivo://cadc.nrc.ca/CFHT?no/such"
    found = await links(client, "nonsense", unknown, HIDDEN, EMPTY)
    assert [(row["ID"], row["error_message"]) for row in found] == [
        ("nonsense", "UsageFault: invalid ID: nonsense"),
        (unknown, f"NotFoundFault: {unknown}"),
        (HIDDEN, f"NotFoundFault: {HIDDEN}"),
        (EMPTY, f"NotFoundFault: {EMPTY}"),
    ]
    assert all(row["semantics"] == "#this" and not row["access_url"] for row in found)


async def test_a_file_without_an_address_is_a_fault_beside_its_plane(
    client: httpx.AsyncClient,
) -> None:
    (row,) = await links(client, "ivo://cadc.nrc.ca/OMM?lost_plate/lost_plate")
    assert row["error_message"] == (
        "FatalFault: failed to generate download URL: no resolver for scheme: tape"
    )
    assert not row["access_url"]


async def test_a_file_that_another_archive_keeps_is_linked_there(
    client: httpx.AsyncClient,
) -> None:
    (row,) = await links(client, "ivo://cadc.nrc.ca/NOAO?tu636792/tu636792")
    assert row["access_url"] == "http://archive1.dm.noao.edu:7003/?fileRef=tu636792.fits.fz"
    assert not row["content_type"]


async def test_links_to_proprietary_files_are_not_for_everybody(client: httpx.AsyncClient) -> None:
    found = await links(client, PRIVATE)
    said = {str(row["semantics"]): row["link_authorized"] for row in found}
    assert said == {"#this": False, "#preview": True, "#package": False}


async def test_a_plane_may_be_named_by_its_uri_and_in_a_form(client: httpx.AsyncClient) -> None:
    uri = "caom:CFHT/2376828/2376828p"
    named = await links(client, uri)
    assert [row["description"] for row in named] == [
        row["description"] for row in await links(client, MOSAIC)
    ]
    assert {row["ID"] for row in named} == {uri}
    posted = await client.post("/caom2ops/datalink", data={"id": [MOSAIC, CUBE]})
    assert posted.text.count("<TR>") == 10


async def test_an_answer_ends_after_the_plane_that_fills_it(client: httpx.AsyncClient) -> None:
    numbers = [MOSAIC] * 20
    assert len(await links(client, *numbers)) == 7 * (MAXREC // 7 + 1)
    assert len(await links(client, *numbers, MAXREC="8")) == 14
    assert len(await links(client, *numbers, MAXREC="0")) == 0
    whole = await links(client, *numbers, REQUEST="downloads-only")
    assert len(whole) == 20 * 5
    reply = await client.get("/caom2ops/datalink", params={"ID": MOSAIC, "MAXREC": "x"})
    assert reply.status_code == 400
    assert "Invalid MAXREC: x" in reply.text
    parse(io.BytesIO(reply.content))


async def test_a_manifest_is_lines_of_addresses(client: httpx.AsyncClient) -> None:
    asked = {"ID": CUBE, "RESPONSEFORMAT": "application/x-download-manifest+txt"}
    reply = await client.get("/caom2ops/datalink", params=asked)
    (line,) = reply.text.splitlines()
    assert re.fullmatch(r"OK\thttp://.*/raven/files/cadc:JCMT/acsis_.*_cube\.fits", line)
    refused = await client.get("/caom2ops/datalink", params=asked | {"RESPONSEFORMAT": "fits"})
    assert (refused.status_code, "unknown format: fits" in refused.text) == (400, True)


async def test_pyvo_finds_the_services_and_cuts_by_them(served: Served, archive: Archive) -> None:
    def ask() -> tuple[list[str], list[str], bytes]:
        from pyvo.dal.adhoc import DatalinkResults

        found = DatalinkResults.from_result_url(f"{served.base_url}/caom2ops/datalink?ID={CUBE}")
        rows = list(found.bysemantics("#cutout", include_narrower=False))
        services = [found.get_adhocservice_by_id(row.service_def) for row in rows]
        standards = [
            str(param.value)
            for each in services
            for param in each.params
            if param.name == "standardID"
        ]
        (inputs,) = [group for group in services[0].groups if group.name == "inputParams"]
        names = [str(param.name) for param in inputs.entries]
        with rows[0].processed(circle=(83.8104, -5.3751, 0.01)) as cutout:
            return standards, names, cutout.read()

    standards, names, data = await trio.to_thread.run_sync(ask)
    assert standards == [
        "ivo://ivoa.net/std/SODA#sync-1.0", "ivo://ivoa.net/std/SODA#async-1.0",
    ]  # fmt: skip
    assert names == ["ID", "POS", "CIRCLE", "POLYGON", "BAND"]
    with fits.open(io.BytesIO(data)) as hdus:
        assert hdus[0].data.shape == (100, 12, 12)


@pytest.mark.parametrize(
    ("product_type", "term"),
    [
        ("science", "#this"), ("calibration", "#this"), ("catalog", "#derivation"),
        ("weight", "#weight"), ("noise", "#noise"), ("info", "#auxiliary"),
    ],
)  # fmt: skip
def test_product_types_have_terms_of_the_vocabulary(product_type: str, term: str) -> None:
    assert semantics_of(product_type) == term


def lint(served: Served, number: str) -> str:
    done = subprocess.run(
        ["stilts", "datalinklint", f"votable={served.base_url}/caom2ops/datalink?ID={number}"],
        capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    return done.stdout + done.stderr


@pytest.mark.parametrize("number", [CUBE, GALACTIC, DISTORTED])
async def test_stilts_finds_no_error(served: Served, number: str) -> None:
    report = await trio.to_thread.run_sync(lint, served, number)
    assert "Service descriptors defined: 2" in report
    assert not re.findall(r"^[EF]-.*", report, re.MULTILINE)


@pytest.mark.parametrize("number", [MOSAIC, STACK])
async def test_stilts_finds_nothing_but_terms_that_are_younger_than_it(
    served: Served, number: str
) -> None:
    """The vocabulary within Debian's stilts is older than #package and #thumbnail."""
    report = await trio.to_thread.run_sync(lint, served, number)
    assert "Datalink table rows checked: " in report
    found = re.findall(r"^[EF]-.*", report, re.MULTILINE)
    assert not [line for line in found if not re.search(r"'(package|thumbnail)' from core", line)]
