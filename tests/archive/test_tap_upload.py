"""Tables that clients bring along: inline, from an address, with all their types."""

from __future__ import annotations

import io
import re

import httpx
import numpy as np
import pytest
from astropy.io.votable import parse_single_table
from astropy.io.votable.tree import Field, Resource, TableElement, VOTableFile

from cadcfs.demo.server import Served

POSITIONS = b"""<?xml version="1.0"?>
<VOTABLE version="1.4" xmlns="http://www.ivoa.net/xml/VOTable/v1.3"><RESOURCE><TABLE>
<FIELD name="Name" datatype="char" arraysize="*"/>
<FIELD name="ra" datatype="double" unit="deg" ucd="pos.eq.ra"/>
<FIELD name="dec" datatype="double" unit="deg"/>
<FIELD name="place" datatype="double" arraysize="2" xtype="point" unit="deg"/>
<DATA><TABLEDATA>
<TR><TD>M31</TD><TD>10.6847</TD><TD>41.2687</TD><TD>10.6847 41.2687</TD></TR>
<TR><TD>M33</TD><TD>23.4621</TD><TD>30.6599</TD><TD>23.4621 30.6599</TD></TR>
<TR><TD>nowhere</TD><TD/><TD/><TD>80 -80</TD></TR>
</TABLEDATA></DATA></TABLE></RESOURCE></VOTABLE>
"""


async def ask(
    client: httpx.AsyncClient, query: str, upload: str = "mine,param:table", **more: str
) -> httpx.Response:
    form = {"LANG": "ADQL", "QUERY": query, "UPLOAD": upload, **more}
    files = {"table": ("t.vot", POSITIONS, "application/x-votable+xml")}
    return await client.post("/argus/sync", data=form, files=files)


async def test_an_uploaded_table_is_joined_by_position(client: httpx.AsyncClient) -> None:
    near = "CONTAINS(POINT('ICRS', m.ra, m.dec), p.position_bounds) = 1"
    query = (
        "select distinct m.name, o.target_name from tap_upload.mine m, caom2.Plane p"
        f" join caom2.Observation o on o.obsID = p.obsID where {near} and o.collection = 'CFHT'"
    )
    reply = await ask(client, query, FORMAT="csv")
    assert sorted(reply.text.split()) == ["M31,M31", "M33,M33", "Name,target_name"]
    by_point = query.replace("POINT('ICRS', m.ra, m.dec)", "m.place")
    assert (await ask(client, by_point, FORMAT="csv")).text == reply.text


async def test_types_and_their_meaning_come_back(client: httpx.AsyncClient) -> None:
    table = parse_single_table(
        io.BytesIO((await ask(client, "select * from tap_upload.mine")).content)
    )
    described = [(f.name, f.datatype, f.arraysize, f.xtype, str(f.unit)) for f in table.fields]
    assert described == [
        ("Name", "char", "*", None, "None"), ("ra", "double", None, None, "deg"),
        ("dec", "double", None, None, "deg"), ("place", "double", "2", "point", "deg"),
    ]  # fmt: skip
    assert table.fields[1].ucd == "pos.eq.ra"
    assert [str(v) for v in table.array["Name"]] == ["M31", "M33", "nowhere"]
    assert table.array["place"].tolist()[2] == [80.0, -80.0]
    assert list(table.array["ra"].mask) == [False, False, True]


TYPES = {
    "boolean": [True, False], "unsignedByte": [0, 255], "short": [-32768, 32767],
    "int": [-(2**31), 2**31 - 1], "long": [-(2**63), 2**63 - 1], "float": [1.5, -2.25],
    "double": [1e300, -1e-300], "char": ["a", "z"], "unicodeChar": ["é", "η"],
}  # fmt: skip


@pytest.mark.parametrize("serialization", ["tabledata", "binary", "binary2"])
async def test_every_type_survives_there_and_back(
    client: httpx.AsyncClient, serialization: str
) -> None:
    votable = VOTableFile(version="1.4")
    resource = Resource()
    votable.resources.append(resource)
    table = TableElement(votable)
    resource.tables.append(table)
    for name, values in TYPES.items():
        size = "*" if isinstance(values[0], str) else None
        table.fields.append(Field(votable, name=name, datatype=name, arraysize=size))
    table.fields.append(Field(votable, name="pair", datatype="short", arraysize="2"))
    table.create_arrays(2)
    for place in range(2):
        table.array[place] = (*(values[place] for values in TYPES.values()), [place, -place])
    table.format = serialization
    written = io.BytesIO()
    votable.to_xml(written)
    for form in ("votable", "application/x-votable+xml;serialization=binary2"):
        data = {"LANG": "ADQL", "UPLOAD": "t,param:x", "RESPONSEFORMAT": form,
                "QUERY": "select * from tap_upload.t"}  # fmt: skip
        files = {"x": ("x.vot", written.getvalue())}
        reply = await client.post("/argus/sync", data=data, files=files)
        back = parse_single_table(io.BytesIO(reply.content))
        assert [f.datatype for f in back.fields] == [*TYPES, "short"], reply.text
        for name, values in TYPES.items():
            assert back.array[name].tolist() == values, (form, name)
        assert np.array(back.array["pair"]).tolist() == [[0, 0], [1, -1]]


async def test_a_table_from_an_address(client: httpx.AsyncClient, served: Served) -> None:
    address = f"{served.base_url}/argus/sync?LANG=ADQL&MAXREC=3&QUERY=select+*+from+ivoa.ObsCore"
    upload = f"here,{address.replace(',', '%2C')}"
    reply = await ask(client, "select count(*) from tap_upload.here", upload, FORMAT="csv")
    assert reply.text.split() == ["count", "3"]


async def test_a_job_has_its_tables_after_a_while(client: httpx.AsyncClient) -> None:
    form = {"LANG": "ADQL", "UPLOAD": "mine,param:table", "FORMAT": "csv",
            "QUERY": "select count(*) from tap_upload.mine"}  # fmt: skip
    reply = await client.post("/argus/async", data=form, files={"table": POSITIONS})
    job = str(reply.url)
    await client.post(f"{job}/phase", data={"PHASE": "RUN"})
    while (await client.get(f"{job}/phase")).text in ("QUEUED", "EXECUTING"):
        await client.get(job, params={"WAIT": "10"})
    assert (await client.get(f"{job}/results/result")).text.split() == ["count", "3"]


@pytest.mark.parametrize(
    ("upload", "message"),
    [
        ("mine,param:none", "there is no part none"),
        ("mine", "UPLOAD URI is missing"),
        ("other.mine,param:table", "UPLOAD table schema name is invalid"),
        ("my table,param:table", "not a valid ADQL identifier"),
        ("mine,param:table;MINE,param:table", "UPLOAD table name is a duplicate"),
        ("mine,http://example.org/table.vot", "only addresses of this machine"),
        ("mine,file:///etc/passwd", "only addresses of this machine"),
        ("mine,http://127.0.0.1:1/table.vot", "cannot be read"),
        ("", "UPLOAD parameter is empty"),
    ],
)
async def test_an_upload_out_of_order_is_refused(
    client: httpx.AsyncClient, upload: str, message: str
) -> None:
    reply = await ask(client, "select * from tap_upload.mine", upload)
    assert (reply.status_code, message in reply.text) == (400, True), reply.text


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"no table", "failed to parse uploaded table mine"),
        (POSITIONS.replace(b'name="dec"', b'name="ra"'), "duplicate column name"),
        (POSITIONS.replace(b'name="dec"', b"name='a\"b'"), "not the name of a column"),
        (re.sub(rb"<TR>.*</TR>", b"", POSITIONS, flags=re.DOTALL).replace(b"double", b"bit"),
         "ra is bit, which is not supported"),
        (POSITIONS.replace(b"<TABLEDATA>", b'<BINARY><STREAM href="file:///etc/passwd"/></BINARY>'),
         "a STREAM with href is not read"),
    ],
)  # fmt: skip
async def test_a_table_out_of_order_is_refused(
    client: httpx.AsyncClient, content: bytes, message: str
) -> None:
    form = {"LANG": "ADQL", "UPLOAD": "mine,param:t", "QUERY": "select * from tap_upload.mine"}
    reply = await client.post("/argus/sync", data=form, files={"t": content})
    assert (reply.status_code, message in reply.text) == (400, True), reply.text
