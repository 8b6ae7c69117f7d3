"""The asynchronous TAP endpoint, over sockets: every resource of a UWS job."""

from __future__ import annotations

import io
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from xml.etree import ElementTree as ET

import httpx
import pytest
import trio
from astropy.io.votable import parse

from cadcfs.demo.archive import Archive
from cadcfs.demo.server import Served, serve

UWS = "{http://www.ivoa.net/xml/UWS/v1.0}"
HREF = "{http://www.w3.org/1999/xlink}href"
QUERY = "select top 3 observationID, collection from caom2.Observation"
ENDLESS = (
    "select count(*) from caom2.Plane a, caom2.Plane b, caom2.Plane c where "
    "a.productID || b.productID = c.productID"
)


async def create(client: httpx.AsyncClient, query: str = QUERY, **more: str) -> str:
    form = {"LANG": "ADQL", "QUERY": query, **more}
    reply = await client.post("/argus/async", data=form, follow_redirects=False)
    assert reply.status_code == 303
    return str(reply.headers["location"])


async def run(client: httpx.AsyncClient, job: str) -> None:
    reply = await client.post(f"{job}/phase", data={"PHASE": "RUN"}, follow_redirects=False)
    assert (reply.status_code, reply.headers["location"]) == (303, job)


async def ended(client: httpx.AsyncClient, job: str) -> ET.Element:
    """Wait, by the service's own long poll, until a job has ended."""
    while True:
        document = ET.fromstring((await client.get(job, params={"WAIT": "20"})).content)
        if document.findtext(f"{UWS}phase") not in ("PENDING", "QUEUED", "EXECUTING"):
            return document


async def phase(client: httpx.AsyncClient, job: str) -> str:
    return (await client.get(f"{job}/phase")).text


async def test_a_job_from_creation_to_its_result(client: httpx.AsyncClient) -> None:
    job = await create(client, RUNID="mine")
    assert await phase(client, job) == "PENDING"
    await run(client, job)
    document = await ended(client, job)
    assert [child.tag.removeprefix(UWS) for child in document] == [
        "jobId", "runId", "ownerId", "phase", "quote", "creationTime", "startTime", "endTime",
        "executionDuration", "destruction", "parameters", "results",
    ]  # fmt: skip
    assert document.get("version") == "1.1"
    assert document.findtext(f"{UWS}phase") == "COMPLETED"
    assert document.findtext(f"{UWS}runId") == "mine"
    results = [(r.get("id"), r.get(HREF)) for r in document.iter(f"{UWS}result")]
    assert [name for name, _ in results].count("diag") >= 3
    assert ("rowcount", "final:3") in results
    assert all(str(href).split(":")[-1].isdigit() for name, href in results if name == "diag")
    first = await client.get(f"{job}/results/result", follow_redirects=False)
    assert (first.status_code, first.headers["location"]) == (303, dict(results)["result"])
    table = parse(io.BytesIO((await client.get(f"{job}/results/result")).content))
    assert len(table.get_first_table().array) == 3


async def test_every_field_of_a_job_can_be_read(client: httpx.AsyncClient) -> None:
    job = await create(client)
    texts = {}
    for name in ("phase", "executionduration", "destruction", "quote", "owner"):
        reply = await client.get(f"{job}/{name}")
        assert reply.headers["content-type"].startswith("text/plain")
        texts[name] = reply.text
    assert (texts["phase"], texts["executionduration"], texts["owner"]) == ("PENDING", "14400", "")
    life = datetime.fromisoformat(texts["destruction"]) - datetime.fromisoformat(texts["quote"])
    assert timedelta(days=5) < life < timedelta(days=7)
    parameters = ET.fromstring((await client.get(f"{job}/parameters")).content)
    assert {p.get("id"): p.text for p in parameters} == {"LANG": "ADQL", "QUERY": QUERY}
    results = ET.fromstring((await client.get(f"{job}/results")).content)
    assert (results.tag, len(results)) == (f"{UWS}results", 0)
    assert (await client.get(f"{job}/results/result")).status_code == 404
    missing = await client.get(f"{job}/error")
    assert (missing.status_code, missing.text) == (404, f"{job.rpartition('/')[2]}/error")
    unknown = await client.get("/argus/async/0000000000000000")
    assert (unknown.status_code, unknown.text) == (404, "not found: 0000000000000000")


async def test_a_job_that_fails_says_why(client: httpx.AsyncClient) -> None:
    job = await create(client, "select nothing from caom2.Plane", phase="RUN")
    document = await ended(client, job)
    assert document.findtext(f"{UWS}phase") == "ERROR"
    summary = document.find(f"{UWS}errorSummary")
    assert summary is not None
    assert summary.attrib == {"type": "fatal", "hasDetail": "true"}
    assert 'IllegalArgumentException:column "nothing"' in str(summary.findtext(f"{UWS}message"))
    detail = await client.get(f"{job}/error")
    assert detail.history[0].status_code == 303
    assert 'name="QUERY_STATUS" value="ERROR"' in detail.text


async def test_control_parameters_can_only_be_lowered(client: httpx.AsyncClient) -> None:
    job = await create(client)
    for value, expected in (("100", "100"), ("500", "100"), ("0", "100")):
        await client.post(f"{job}/executionduration", data={"EXECUTIONDURATION": value})
        assert (await client.get(f"{job}/executionduration")).text == expected
    soon = "2020-01-01T00:00:00.000"
    await client.post(f"{job}/destruction", data={"DESTRUCTION": "2099-01-01T00:00:00Z"})
    assert (await client.get(f"{job}/destruction")).text < "2099"
    for name, wrong in (("destruction", "tomorrow"), ("executionduration", "long")):
        reply = await client.post(f"{job}/{name}", data={name.upper(): wrong})
        assert (reply.status_code, wrong in reply.text) == (400, True)
    reply = await client.post(f"{job}/phase", data={"PHASE": "WALK"})
    assert (reply.status_code, reply.text) == (400, "invalid PHASE value: WALK")
    await client.post(f"{job}/parameters", data={"query": "select 1 as one from caom2.Plane"})
    parameters = ET.fromstring((await client.get(f"{job}/parameters")).content)
    assert [p.get("id") for p in parameters] == ["LANG", "query"]
    await client.post(f"{job}/destruction", data={"DESTRUCTION": soon})
    assert (await client.get(job)).status_code == 404


async def test_what_runs_cannot_be_changed_and_can_be_stopped(client: httpx.AsyncClient) -> None:
    job = await create(client, ENDLESS)
    await run(client, job)
    again = await client.post(f"{job}/phase", data={"PHASE": "RUN"})
    assert again.status_code == 400
    late = await client.post(f"{job}/executionduration", data={"EXECUTIONDURATION": "1"})
    assert late.status_code == 400
    await client.post(f"{job}/phase", data={"PHASE": "ABORT"})
    assert await phase(client, job) == "ABORTED"
    end = (await ended(client, job)).findtext(f"{UWS}endTime")
    assert end


@asynccontextmanager
async def endless_jobs(client: httpx.AsyncClient, count: int) -> AsyncIterator[list[str]]:
    """Start endless jobs; none outlives its test, for the next server would go on with them."""
    jobs: list[str] = []
    try:
        while len(jobs) < count:
            jobs.append(await create(client, ENDLESS, PHASE="RUN"))
        yield jobs
    finally:
        for job in jobs:
            await client.delete(job)


async def test_six_jobs_run_at_once_and_others_wait(client: httpx.AsyncClient) -> None:
    async with endless_jobs(client, 8) as jobs:
        phases = [await phase(client, job) for job in jobs]
        assert (phases.count("EXECUTING"), phases.count("QUEUED")) == (6, 2)
        first = phases.index("EXECUTING")
        waiting = phases.index("QUEUED")
        await client.post(f"{jobs[first]}/phase", data={"PHASE": "ABORT"})
        with trio.fail_after(120):
            while await phase(client, jobs[waiting]) == "QUEUED":
                # The change may come before the wait begins, which then sees no other.
                await client.get(jobs[waiting], params={"WAIT": "1"})
        assert await phase(client, jobs[waiting]) == "EXECUTING"


async def test_a_job_that_is_out_of_time_is_interrupted(client: httpx.AsyncClient) -> None:
    job = await create(client, ENDLESS, EXECUTIONDURATION="1", PHASE="RUN")
    with trio.fail_after(120):
        document = await ended(client, job)
    assert document.findtext(f"{UWS}phase") == "ERROR"
    assert "out of its time" in "".join(document.itertext())


async def test_a_wait_ends_when_the_phase_changes(client: httpx.AsyncClient) -> None:
    job = await create(client)
    seen: list[str | None] = []

    async def watch() -> None:
        reply = await client.get(job, params={"WAIT": "-1"}, timeout=120)
        seen.append(ET.fromstring(reply.content).findtext(f"{UWS}phase"))

    with trio.fail_after(30):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(watch)
            await trio.testing.wait_all_tasks_blocked(0.05)
            await client.post(f"{job}/phase", data={"PHASE": "ABORT"})
    assert seen == ["ABORTED"]
    wrong = await client.get(job, params={"wait": "soon"})
    assert (wrong.status_code, wrong.text) == (400, "invalid WAIT value: soon")


@pytest.mark.parametrize("how", ["DELETE", "POST"])
async def test_a_deleted_job_is_gone(client: httpx.AsyncClient, how: str) -> None:
    job = await create(client, PHASE="RUN")
    await ended(client, job)
    result = (await client.get(f"{job}/results/result")).url
    form = {"ACTION": "DELETE"} if how == "POST" else None
    reply = await client.request(how, job, data=form, follow_redirects=False)
    assert (reply.status_code, reply.headers["location"]) == (303, job.rpartition("/")[0])
    assert (await client.get(job)).status_code == 404
    assert (await client.get(result)).status_code == 404


async def listed(client: httpx.AsyncClient, person: dict[str, str], **more: str) -> list[str]:
    reply = await client.get("/argus/async", params=more, headers=person)
    return [str(job.get("id")) for job in ET.fromstring(reply.content)]


async def test_jobs_are_listed_for_their_owner_alone(client: httpx.AsyncClient) -> None:
    reply = await client.get("/argus/async")
    assert (reply.status_code, reply.text) == (403, "anonymous job listing not permitted")
    people = {}
    for name in ("demo", "guest"):
        token = (await client.post("/ac/login", data={"username": name, "password": name})).text
        people[name] = {"Authorization": f"Bearer {token}"}
    form = {"LANG": "ADQL", "QUERY": QUERY}
    jobs = [
        str((await client.post("/argus/async", data=form, headers=people["demo"])).url)
        for _ in range(3)
    ]
    names = [job.rpartition("/")[2] for job in jobs]
    await client.post(f"{jobs[0]}/phase", data={"PHASE": "ABORT"}, headers=people["demo"])
    created = [
        ET.fromstring((await client.get(job, headers=people["demo"])).content).findtext(
            f"{UWS}creationTime"
        )
        for job in jobs
    ]
    assert (await listed(client, people["demo"]))[:3] == names[::-1]
    assert await listed(client, people["demo"], LAST="2") == names[:0:-1]
    assert (await listed(client, people["demo"], PHASE="ABORTED"))[0] == names[0]
    assert names[0] not in await listed(client, people["demo"], PHASE="PENDING")
    assert await listed(client, people["demo"], AFTER=str(created[1])) == names[2:]
    assert not set(names) & set(await listed(client, people["guest"]))
    for person, status in (({}, 403), (people["guest"], 403), (people["demo"], 200)):
        assert (await client.get(jobs[1], headers=person)).status_code == status
    for wrong in ({"LAST": "0"}, {"LAST": "x"}, {"PHASE": "DONE"}, {"AFTER": "monday"}):
        bad = await client.get("/argus/async", params=wrong, headers=people["demo"])
        assert bad.status_code == 400
    for job in jobs:
        await client.delete(job, headers=people["demo"])


async def test_jobs_survive_a_restart(archive: Archive, nursery: trio.Nursery) -> None:
    async with trio.open_nursery() as first:
        server = await first.start(serve, archive)
        assert isinstance(server, Served)
        async with httpx.AsyncClient(
            base_url=server.base_url, follow_redirects=True, timeout=120
        ) as client:
            done = await create(client, PHASE="RUN")
            await ended(client, done)
            text = (await client.get(f"{done}/results/result")).text
            under_way = await create(client, ENDLESS, PHASE="RUN")
            form = {"LANG": "ADQL", "QUERY": "select * from tap_upload.t", "UPLOAD": "t,param:a/b"}
            files = {"a/b": ("t.vot", (await client.get(f"{done}/results/result")).content)}
            waiting = str((await client.post("/argus/async", data=form, files=files)).url)
        first.cancel_scope.cancel()
    again = await nursery.start(serve, archive)
    async with httpx.AsyncClient(
        base_url=again.base_url, follow_redirects=True, timeout=120
    ) as client:
        path = {job: "/argus/async/" + job.rpartition("/")[2] for job in (done, under_way, waiting)}
        assert await phase(client, path[done]) == "COMPLETED"
        assert (await client.get(f"{path[done]}/results/result")).text == text
        assert await phase(client, path[under_way]) in ("QUEUED", "EXECUTING")
        assert await phase(client, path[waiting]) == "PENDING"
        await client.post(f"{path[under_way]}/phase", data={"PHASE": "ABORT"})
        await run(client, again.base_url + path[waiting])
        assert (await ended(client, path[waiting])).findtext(f"{UWS}phase") == "COMPLETED"


async def test_an_async_result_is_cut_by_its_width(client: httpx.AsyncClient) -> None:
    job = await create(client, "select obsID from caom2.Observation", MAXREC="2", PHASE="RUN")
    await ended(client, job)
    text = (await client.get(f"{job}/results/result")).text
    assert text.count("<TR>") == 2
    assert '<INFO name="QUERY_STATUS" value="OVERFLOW"/>' in text
