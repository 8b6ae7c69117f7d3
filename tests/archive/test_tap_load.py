"""Many clients at once, answers longer than memory should hold, and queries that never end."""

from __future__ import annotations

import threading
from pathlib import Path

import httpx
import pytest
import trio

from cadcfs.demo.archive import Archive
from cadcfs.demo.tap.engine import Control, Engine, QueryFailedError, Setting
from cadcfs.demo.tap.question import Question
from cadcfs.demo.tap.running import Result
from cadcfs.demo.tap.submission import Submission
from tests.rig import Server

SURVEY = "select top 3000 observationID from caom2.Observation where collection = 'SIMSURVEY'"
ENDLESS = (
    "select a.planeID from caom2.Plane a, caom2.Plane b, caom2.Plane c where "
    "a.productID || b.productID = c.productID || 'x'"
)
SORTED_CROSS = "select a.planeID from caom2.Plane a, caom2.Plane b order by b.planeID || a.planeID"


async def test_eight_clients_at_once_get_right_answers(client: httpx.AsyncClient) -> None:
    base = str(client.base_url)
    expected = {}
    for collection in ("CFHT", "SIMSURVEY", "HST", "GEMINI"):
        query = (
            "select o.observationID, p.productID, a.uri from caom2.Observation o"
            " join caom2.Plane p on o.obsID = p.obsID join caom2.Artifact a"
            f" on p.planeID = a.planeID where o.collection = '{collection}'"
        )
        form = {"LANG": "ADQL", "QUERY": query, "FORMAT": "csv"}
        expected[collection] = form, (await client.post("/argus/sync", data=form)).text
    wrong: list[str] = []

    async def ask(turn: int) -> None:
        async with httpx.AsyncClient(base_url=base, follow_redirects=True, timeout=120) as own:
            for step in range(4):
                form, text = list(expected.values())[(turn + step) % 4]
                if (await own.post("/argus/sync", data=form)).text != text:
                    wrong.append(form["QUERY"])

    async with trio.open_nursery() as nursery:
        for turn in range(8):
            nursery.start_soon(ask, turn)
    assert wrong == []
    assert all(len(text.splitlines()) > 3 for _, text in expected.values())


def _memory(pid: int) -> int:
    """Resident bytes of a process, and the most there ever were."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024
    raise AssertionError("no such process")


@pytest.mark.parametrize("form", ["csv", "votable"])
def test_an_answer_is_never_held_whole(server: Server, form: str) -> None:
    """400,000 rows of 120 bytes: the service's memory grows by a fraction of that."""
    base = server.registry_url.removesuffix("/reg/resource-caps")
    query = (
        "select a.planeID, b.planeURI, a.publisherID from caom2.EnumField e, caom2.EnumField f,"
        " caom2.Plane a join caom2.Plane b on a.planeID = b.planeID"
    )
    data = {"LANG": "ADQL", "QUERY": query, "FORMAT": form, "MAXREC": "400000"}
    httpx.post(f"{base}/argus/sync", data={**data, "MAXREC": "1"}, follow_redirects=True)
    before = _memory(server.process.pid)
    size = 0
    with (
        httpx.Client(follow_redirects=True, timeout=120) as client,
        client.stream("POST", f"{base}/argus/sync", data=data) as reply,
    ):
        for piece in reply.iter_raw():
            size += len(piece)
    assert size > 40_000_000
    assert _memory(server.process.pid) - before < 24_000_000


async def test_whoever_hangs_up_stops_the_query(client: httpx.AsyncClient) -> None:
    """Eight queries without end, given up, leave room for others."""
    form = {"LANG": "ADQL", "QUERY": ENDLESS}

    async def give_up(how: str) -> None:
        async with httpx.AsyncClient(
            base_url=client.base_url, follow_redirects=True, timeout=0.5
        ) as own:
            with pytest.raises(httpx.ReadTimeout):
                await own.request(how, "/argus/sync", params=form)

    async with trio.open_nursery() as nursery:
        for turn in range(8):
            nursery.start_soon(give_up, ("GET", "POST")[turn % 2])
    with trio.fail_after(60):
        reply = await client.get("/argus/sync", params={"LANG": "ADQL", "QUERY": SURVEY})
    assert reply.status_code == 200


def test_a_query_out_of_time_is_interrupted(archive: Archive) -> None:
    engine = Engine.over(archive.database)
    with pytest.raises(QueryFailedError, match="out of its time"):
        _read(engine, ENDLESS, Control(0.3))


def test_a_query_can_be_stopped_from_outside(archive: Archive) -> None:
    engine, control = Engine.over(archive.database), Control()
    threading.Timer(0.2, control.stop).start()
    with pytest.raises(QueryFailedError, match="was stopped"):
        _read(engine, ENDLESS, control)


def test_a_query_that_needs_too_much_memory_is_cut(archive: Archive) -> None:
    engine = Engine.over(archive.database)
    with pytest.raises(QueryFailedError, match="too much memory"):
        _read(engine, SORTED_CROSS, Control())


def _read(engine: Engine, adql: str, control: Control) -> int:
    question = Question.of(Submission((("LANG", "ADQL"), ("QUERY", adql))))
    result = Result.begin(engine, question, Setting(), control)
    try:
        while result.next():
            pass
    finally:
        result.close()
    return result.count
