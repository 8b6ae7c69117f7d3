"""The synchronous TAP endpoint, over sockets."""

from __future__ import annotations

import csv
import io
from functools import partial

import httpx
import pytest
import trio
from astropy.io.votable import parse

from cadcfs.demo.archive import Archive
from cadcfs.demo.server import Served, serve
from tests.conftest import ExpectLog

OBSERVATIONS = "select observationID, collection, metaRelease from caom2.Observation"


async def ask(client: httpx.AsyncClient, adql: str, **more: str) -> httpx.Response:
    return await client.post("/argus/sync", data={"LANG": "ADQL", "QUERY": adql, **more})


async def test_post_redirects_to_a_job_and_get_runs_it(client: httpx.AsyncClient) -> None:
    form = {"LANG": "ADQL", "query": OBSERVATIONS, "RESPONSEFORMAT": "csv"}
    first = await client.post("/argus/sync", data=form, follow_redirects=False)
    assert first.status_code == 303
    job = first.headers["location"].split("/")[-2]
    reply = await client.get(first.headers["location"])
    assert reply.headers["content-disposition"] == f'inline; filename="result_{job}.csv"'
    assert reply.headers["content-type"].startswith("text/csv")
    direct = await client.get("/argus/sync", params=form)
    assert direct.text == reply.text


async def test_a_job_runs_once_and_tells_of_itself(client: httpx.AsyncClient) -> None:
    form = {"LANG": "ADQL", "QUERY": OBSERVATIONS, "MAXREC": "2"}
    run = (await client.post("/argus/sync", data=form, follow_redirects=False)).headers["location"]
    job = run.removesuffix("/run")
    assert "<uws:phase>PENDING</uws:phase>" in (await client.get(job)).text
    assert (await client.get(run)).status_code == 200
    told = (await client.get(job)).text
    assert "<uws:phase>COMPLETED</uws:phase>" in told
    assert 'id="rowcount" xlink:href="final:2"' in told
    again = await client.get(run)
    name = job.rpartition("/")[2]
    assert again.status_code == 400
    assert again.text == f"cannot execute job {name} when phase = COMPLETED"


async def test_an_answer_that_fails_on_the_way_breaks_off(
    archive: Archive, nursery: trio.Nursery, expect_log: ExpectLog
) -> None:
    """Never a shorter table that looks whole: neither XML nor CSV."""
    expect_log("an answer broke off: the query was stopped: it ran out of its time")
    server = await nursery.start(partial(serve, archive, query_seconds=0.5))
    endless = "select a.planeID from caom2.Plane a, caom2.Plane b, caom2.Plane c"
    form = {"LANG": "ADQL", "QUERY": endless, "FORMAT": "csv"}
    async with httpx.AsyncClient(follow_redirects=True, timeout=120) as client:
        with pytest.raises(httpx.RemoteProtocolError):
            await client.post(f"{server.base_url}/argus/sync", data=form)


async def test_all_formats_tell_the_same(client: httpx.AsyncClient) -> None:
    comma = (await ask(client, OBSERVATIONS, RESPONSEFORMAT="csv")).text
    tab = (await ask(client, OBSERVATIONS, FORMAT="tsv")).text
    rows = list(csv.reader(io.StringIO(comma)))
    assert rows == list(csv.reader(io.StringIO(tab), delimiter="\t"))
    assert rows[0] == ["observationID", "collection", "metaRelease"]
    table = parse(io.BytesIO((await ask(client, OBSERVATIONS)).content)).get_first_table()
    assert [str(v) for v in table.array["observationID"]] == [row[0] for row in rows[1:]]


async def test_a_cut_votable_says_so(client: httpx.AsyncClient) -> None:
    cut = await ask(client, OBSERVATIONS, MAXREC="2")
    assert 'value="OVERFLOW"' in cut.text
    assert cut.text.count("<TR>") == 2
    whole = await ask(client, OBSERVATIONS)
    assert "OVERFLOW" not in whole.text
    none = await ask(client, OBSERVATIONS, MAXREC="0")
    assert none.text.count("<FIELD ") == 3
    assert "<TR>" not in none.text


@pytest.mark.parametrize(
    ("adql", "more", "message"),
    [
        ("select nothing from caom2.Plane", {}, "column &quot;nothing&quot;"),
        (OBSERVATIONS, {"RESPONSEFORMAT": "fits"}, "unknown format: fits"),
        (OBSERVATIONS, {"MAXREC": "-1"}, "Invalid MAXREC: -1"),
        (OBSERVATIONS, {"LANG": "PQL"}, "unknown LANG: PQL"),
        (OBSERVATIONS, {"LANG": ""}, "missing required parameter: LANG"),
        ("select obsID from caom2.Plane p join caom2.Observation o on p.obsID=o.obsID", {},
         "ambiguous"),
        ("", {}, "missing required parameter: QUERY"),
        ("select sum(contentLength * 9000000000000) from caom2.Artifact", {}, "integer overflow"),
        ("select top 1.5 obsID from caom2.Plane", {}, "TOP takes a whole number"),
        ("select substring(obsID, 'x') from caom2.Plane", {}, "a function was given a value"),
    ],
)  # fmt: skip
async def test_a_bad_request_is_a_400_with_a_votable(
    client: httpx.AsyncClient, adql: str, more: dict[str, str], message: str
) -> None:
    reply = await ask(client, adql, **more)
    assert reply.status_code == 400
    assert 'name="QUERY_STATUS" value="ERROR"' in reply.text
    assert message.replace("&quot;", '"') in reply.text


async def test_rows_not_public_yet_are_absent(client: httpx.AsyncClient) -> None:
    reply = await ask(
        client, "select obsID from caom2.Observation where metaRelease > now()", FORMAT="csv"
    )
    assert reply.text.splitlines() == ["obsID"]


async def test_tap_schema_describes_the_tables(client: httpx.AsyncClient) -> None:
    reply = await ask(
        client,
        "select column_name from tap_schema.columns where table_name='caom2.Plane'",
        FORMAT="csv",
    )
    assert "publisherID" in reply.text.splitlines()


async def test_queries_are_logged_with_their_text(
    client: httpx.AsyncClient, served: Served
) -> None:
    await ask(client, OBSERVATIONS)
    assert [r.adql for r in served.log.records() if r.status == 200] == [OBSERVATIONS]
    assert served.log.counts() == {"tap": 2}
    listed = (await client.get("/demo/requests")).json()
    assert [r["method"] for r in listed] == ["POST", "GET"]
    await client.delete("/demo/requests")
    assert served.log.records() == ()


MEMBERS = (
    (
        "select m.memberID from caom2.ObservationMember m join caom2.Observation o"
        " on m.parentID = o.obsID where o.typeCode = 'D'"
    ),
    "select members from caom2.Observation where members is not null",
)
INPUTS = (
    "select i.inputID from caom2.ProvenanceInput i join caom2.Plane p on i.outputID = p.planeID",
    "select provenance_inputs from caom2.Plane where provenance_inputs is not null",
)


@pytest.mark.parametrize(("joined", "listed"), [MEMBERS, INPUTS])
async def test_join_tables_hold_what_their_columns_list(
    client: httpx.AsyncClient, joined: str, listed: str
) -> None:
    uris = (await ask(client, joined, FORMAT="csv")).text.split()[1:]
    assert sorted(uris) == sorted((await ask(client, listed, FORMAT="csv")).text.split()[1:])
    assert uris


async def test_obscore_describes_the_science_planes(
    client: httpx.AsyncClient, served: Served
) -> None:
    core = await ask(
        client,
        "select obs_publisher_did, dataproduct_type, s_ra, t_min, access_url from ivoa.ObsCore"
        " where obs_collection = 'CFHT'",
        FORMAT="csv",
    )
    rows = list(csv.DictReader(io.StringIO(core.text)))
    planes = await ask(
        client,
        "select p.publisherID, p.time_bounds_lower from caom2.Plane p join caom2.Observation o"
        " on p.obsID = o.obsID where o.collection = 'CFHT' and o.intent = 'science'"
        " and p.dataProductType is not null",
        FORMAT="csv",
    )
    expected = {row["publisherID"]: row for row in csv.DictReader(io.StringIO(planes.text))}
    assert {row["obs_publisher_did"] for row in rows} == set(expected)
    for row in rows:
        plane = expected[row["obs_publisher_did"]]
        assert row["t_min"] == plane["time_bounds_lower"]
        assert row["access_url"].startswith(
            f"{str(client.base_url).rstrip('/')}/caom2ops/datalink?"
        )
    links = await client.get(rows[0]["access_url"])
    assert parse(io.BytesIO(links.content)).get_first_table().array["ID"][0] in expected


async def test_enumerations_count_planes(client: httpx.AsyncClient) -> None:
    for counted, table in (("caom2.EnumField", "caom2.Plane"),
                           ("caom2.ObsCoreEnumField", "ivoa.ObsCore")):  # fmt: skip
        total = (await ask(client, f"select sum(num_tuples) from {counted}", FORMAT="csv")).text
        rows = (await ask(client, f"select count(*) from {table}", FORMAT="csv")).text
        assert abs(int(total.split()[1]) - int(rows.split()[1])) <= 5, counted
    names = (await ask(client, "select * from caom2.distinct_proposal_id", FORMAT="csv")).text
    assert names.split()[0] == "num_tuples,proposal_id"
    assert len(names.split()) > 1


async def test_parts_lead_down_to_the_arrays(client: httpx.AsyncClient) -> None:
    query = (
        "select t.name, c.naxis, c.position_axis_axis1_ctype from caom2.Artifact a"
        " join caom2.Part t on t.artifactID = a.artifactID"
        " join caom2.Chunk c on c.partID = t.partID where a.uri = 'cadc:CFHT/2376828o.fits.fz'"
    )
    text = (await ask(client, query, FORMAT="csv")).text
    rows = list(csv.DictReader(io.StringIO(text)))
    assert len(rows) == 40
    assert {(row["naxis"], row["position_axis_axis1_ctype"]) for row in rows} == {("2", "RA---TAN")}
