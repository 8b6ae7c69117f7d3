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
    async with httpx.AsyncClient(follow_redirects=True, timeout=60) as client:
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
