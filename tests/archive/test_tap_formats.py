"""The same rows in every result format, and what the formats say of them."""

from __future__ import annotations

import csv
import io

import httpx
import pyarrow.parquet
import pytest
from astropy.io.votable import parse, parse_single_table

BINARY2 = "application/x-votable+xml;serialization=binary2"
MIXED = (
    "select top 200 o.observationID, p.calibrationLevel, p.time_exposure, p.position_bounds,"
    " p.energy_bounds, p.position_dimension_naxis1, o.metaRelease, centroid(p.position_bounds),"
    " o.typeCode, o.target_name, p.dataRelease from caom2.Observation o join caom2.Plane p"
    " on o.obsID = p.obsID where o.collection != 'SIMSURVEY'"
)


async def ask(client: httpx.AsyncClient, adql: str, form: str, **more: str) -> httpx.Response:
    data = {"LANG": "ADQL", "QUERY": adql, "RESPONSEFORMAT": form, **more}
    return await client.post("/argus/sync", data=data)


async def test_all_formats_hold_the_same_rows(client: httpx.AsyncClient) -> None:
    text = (await ask(client, MIXED, "csv")).text
    rows = list(csv.reader(io.StringIO(text)))
    tab = (await ask(client, MIXED, "tsv")).text
    assert rows == list(csv.reader(io.StringIO(tab), delimiter="\t"))
    tables = {
        name: parse_single_table(io.BytesIO((await ask(client, MIXED, name)).content))
        for name in ("votable", BINARY2)
    }
    columns = pyarrow.parquet.read_table(
        io.BytesIO((await ask(client, MIXED, "parquet")).content)
    ).to_pydict()
    assert len(rows) - 1 == len(columns["observationID"]) > 20
    for place, field in enumerate(tables["votable"].fields):
        written = [row[place] for row in rows[1:]]
        assert [_plain(v) for v in columns[field.name]] == written, field.name
        for name, table in tables.items():
            column = table.array[field.name]
            pairs = zip(column.data, column.mask, strict=True)
            values = ["" if _masked(mask) else _plain(value) for value, mask in pairs]
            # A char is ASCII in BINARY2; in TABLEDATA the reader strips blanks.
            ascii_only = [text.replace("η", "?") for text in written]
            expected = ascii_only if name == BINARY2 else [text.strip() for text in written]
            assert values == expected, (name, field.name)


def _masked(mask: object) -> bool:
    return bool(mask.all()) if hasattr(mask, "all") else bool(mask)


def _plain(value: object) -> str:
    if value is None:
        return ""
    if hasattr(value, "tolist"):
        value = value.tolist()
    if isinstance(value, list):
        text = " ".join(repr(float(part)) for part in value)
        # An array of a fixed length is not empty in a VOTable.
        return "" if set(text.split()) == {"nan"} else text
    return str(value)


async def test_fields_tell_what_the_columns_are(client: httpx.AsyncClient) -> None:
    reply = await ask(client, MIXED, "votable")
    fields = {field.name: field for field in parse_single_table(io.BytesIO(reply.content)).fields}
    bounds = fields["energy_bounds"]
    assert (bounds.datatype, bounds.arraysize, bounds.xtype) == ("double", "2", "interval")
    assert (str(bounds.unit), bounds.utype) == ("m", "caom2:Plane.energy.bounds")
    middle = fields["centroid"]
    assert (middle.datatype, middle.arraysize, middle.xtype) == ("double", "2", "point")
    assert fields["position_bounds"].xtype == "shape"
    assert all(field.description for name, field in fields.items() if name != "centroid")


async def test_publisher_ids_come_with_their_link_service(client: httpx.AsyncClient) -> None:
    reply = await ask(client, "select top 2 publisherID from caom2.Plane", "votable")
    document = parse(io.BytesIO(reply.content))
    service = document.resources[1]
    assert (service.type, service.utype) == ("meta", "adhoc:service")
    params = {param.name: param.value for param in service.params}
    assert params["accessURL"] == f"{client.base_url}/caom2ops/datalink".replace("//caom", "/caom")
    reference = service.groups[0].entries[0].ref
    assert reference == document.get_first_table().fields[0].ID == "caomPublisherID"


@pytest.mark.parametrize(
    ("name", "content_type"),
    [
        ("votable", "application/x-votable+xml; serialization=tabledata"),
        ("text/xml", "application/x-votable+xml; serialization=tabledata"),
        (BINARY2, "application/x-votable+xml; serialization=binary2"),
        ("text/csv", "text/csv; header=present"),
        ("tsv", "text/tab-separated-values"),
        ("application/vnd.apache.parquet", "application/vnd.apache.parquet"),
    ],
)
async def test_formats_are_known_by_their_exact_names(
    client: httpx.AsyncClient, name: str, content_type: str
) -> None:
    reply = await ask(client, "select top 1 obsID from caom2.Plane", name)
    assert (reply.status_code, reply.headers["content-type"]) == (200, content_type)
    refused = await ask(client, "select top 1 obsID from caom2.Plane", name.title())
    assert (refused.status_code, f"unknown format: {name.title()}" in refused.text) == (400, True)


async def test_an_error_is_text_where_text_was_asked_for(client: httpx.AsyncClient) -> None:
    reply = await ask(client, "select nothing from caom2.Plane", "csv")
    assert (reply.status_code, reply.headers["content-type"]) == (400, "text/plain")
    assert reply.text.startswith('"column ""nothing"" does not exist at line 1, column 8"')


async def test_a_cut_result_is_marked_in_a_votable_alone(client: httpx.AsyncClient) -> None:
    query = "select obsID from caom2.Plane"
    for name in ("votable", BINARY2):
        text = (await ask(client, query, name, MAXREC="2")).text
        assert text.count('<INFO name="QUERY_STATUS" value="OVERFLOW"/>\n</RESOURCE>') == 1
    assert len((await ask(client, query, "csv", MAXREC="2")).text.splitlines()) == 3
    exact = (await ask(client, "select top 2 obsID from caom2.Plane", "votable", MAXREC="2")).text
    assert "OVERFLOW" not in exact


async def test_what_xml_cannot_hold_is_replaced(client: httpx.AsyncClient) -> None:
    query = "select 'a\x01<&>b' as odd, 1e400 as big, collection from caom2.EnumField"
    table = parse_single_table(io.BytesIO((await ask(client, query, "votable")).content))
    assert str(table.array["odd"][0]) == "a\N{REPLACEMENT CHARACTER}<&>b"
    assert table.array["big"][0] == float("inf")
