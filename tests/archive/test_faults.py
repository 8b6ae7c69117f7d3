"""Faults on request: each does to the socket or the answer what its name says, and no more."""

from __future__ import annotations

import hashlib
import io
import re
import socket
import sqlite3
import ssl
from base64 import b64encode
from contextlib import closing
from functools import partial
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest
import trio
from astropy.io import fits

from cadcfs.demo.archive import Archive
from cadcfs.demo.faults.kinds import KINDS, FaultError
from cadcfs.demo.faults.rules import Fault
from cadcfs.demo.server import Served, serve

PATIENCE = 30
QUIET = 0.4


@pytest.fixture
def uri(archive: Archive) -> str:
    """A public image of some length, neither compressed nor in extensions."""
    with (
        closing(sqlite3.connect(archive.inventory)) as inventory,
        closing(sqlite3.connect(archive.database)) as database,
    ):
        stored = dict(inventory.execute("SELECT uri, contentLength FROM Artifact"))
        found = database.execute(
            "SELECT a.uri FROM Artifact a JOIN Plane p ON a.planeID = p.planeID"
            " WHERE a.contentRelease IS NULL AND a.contentType = 'application/fits'"
            " AND a.productType = 'science' AND p.dataRelease < '2021-01-01'"
            " GROUP BY a.uri HAVING count(*) = 1 ORDER BY a.uri"
        )
        large = (str(uri) for (uri,) in found if stored.get(uri, 0) > 200_000)
        return next(uri for uri in large if fits.getheader(archive.path_of(uri))["NAXIS"] == 2)


@pytest.fixture
def control(client: httpx.AsyncClient) -> Control:
    return Control(client)


class Control:
    """Says over HTTP what is to go wrong."""

    def __init__(self, client: httpx.AsyncClient) -> None:
        self.client = client

    async def add(self, kind: str, **told: object) -> int:
        reply = await self.client.post("/demo/faults", json={"kind": kind, **told})
        assert reply.status_code == 201, reply.text
        assert reply.headers["location"].endswith(f"/demo/faults/{reply.json()['id']}")
        return int(reply.json()["id"])

    async def fired(self) -> list[int]:
        return [fault["fired"] for fault in (await self.client.get("/demo/faults")).json()]


def received(base: str, path: str, *, quiet_after: int | None = None) -> tuple[bytes, str]:
    """Read a raw answer to its end; say how it ended: FIN, RST or silence.

    Silence is told from slowness by where it begins: after so many bytes of the body.
    """
    place = urlsplit(base)
    with socket.create_connection((place.hostname, place.port), timeout=PATIENCE) as connection:
        connection.sendall(f"GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode())
        got = b""
        while True:
            if quiet_after is not None and len(body_of(got)) >= quiet_after:
                connection.settimeout(QUIET)
            try:
                piece = connection.recv(65536)
            except ConnectionResetError:
                return got, "RST"
            except TimeoutError:
                return got, "silence"
            if not piece:
                return got, "FIN"
            got += piece


async def completed(client: httpx.AsyncClient, job: httpx.URL) -> str:
    """Wait for a job's end; its document."""
    with trio.fail_after(PATIENCE):
        while "COMPLETED" not in (reply := await client.get(job, params={"WAIT": "5"})).text:
            pass
    return reply.text


def body_of(answer: bytes) -> bytes:
    return answer.partition(b"\r\n\r\n")[2]


async def test_a_reset_is_a_reset(
    control: Control, served: Served, archive: Archive, uri: str
) -> None:
    await control.add("reset", path="^/minoc/", after=100_000, count=1)
    path = f"/minoc/files/{uri}"
    got, end = await trio.to_thread.run_sync(received, served.base_url, path)
    # What was not read yet when the reset came is lost to the client.
    assert end == "RST"
    assert archive.path_of(uri).read_bytes().startswith(body_of(got))
    assert len(body_of(got)) <= 100_000
    again, end = await trio.to_thread.run_sync(received, served.base_url, path)
    assert (body_of(again), end) == (archive.path_of(uri).read_bytes(), "FIN")
    assert await control.fired() == [1]
    assert [r.faults for r in served.log.records()] == [("reset",), ()]
    assert served.log.records()[0].bytes_sent == 100_000


async def test_a_reset_goes_through_tls(control: Control, served: Served, uri: str) -> None:
    await control.add("reset", path="^/minoc/", after=1000)
    trusted = ssl.create_default_context(cafile=str(served.certificates.authority))
    secure = served.secure_registry_url.removesuffix("/reg/resource-caps")
    async with httpx.AsyncClient(base_url=secure, verify=trusted, timeout=PATIENCE) as client:
        with pytest.raises((httpx.ReadError, httpx.RemoteProtocolError)):
            await client.get(f"/minoc/files/{uri}")


async def test_a_short_body_ends_with_fin(control: Control, served: Served, uri: str) -> None:
    await control.add("short", path="^/minoc/", after=12_345)
    got, end = await trio.to_thread.run_sync(received, served.base_url, f"/minoc/files/{uri}")
    assert (len(body_of(got)), end) == (12_345, "FIN")
    assert served.log.records()[0].bytes_sent == 12_345
    with pytest.raises(httpx.RemoteProtocolError):
        await control.client.get(f"/minoc/files/{uri}")


async def test_there_may_be_no_answer_at_all(control: Control, served: Served) -> None:
    for kind, expected in (("reset", "RST"), ("short", "FIN"), ("stall", "silence")):
        number = await control.add(kind, path="^/argus/", after="nothing")
        quiet_after = 0 if kind == "stall" else None
        read = partial(received, served.base_url, "/argus/capabilities", quiet_after=quiet_after)
        got, end = await trio.to_thread.run_sync(read)
        assert (got, end) == (b"", expected)
        await control.client.delete(f"/demo/faults/{number}")
        assert "argus" in (await control.client.get("/argus/capabilities")).text


async def test_a_stalled_connection_stays_open(
    control: Control, served: Served, archive: Archive, uri: str
) -> None:
    number = await control.add("stall", path="^/minoc/", after=5000)
    read = partial(received, served.base_url, f"/minoc/files/{uri}", quiet_after=5000)
    got, end = await trio.to_thread.run_sync(read)
    assert (len(body_of(got)), end) == (5000, "silence")
    await control.client.delete(f"/demo/faults/{number}")
    await control.add("stall", path="^/minoc/", after=5000, seconds=0.2)
    got, end = await trio.to_thread.run_sync(received, served.base_url, f"/minoc/files/{uri}")
    assert (body_of(got), end) == (archive.path_of(uri).read_bytes(), "FIN")


async def test_one_byte_is_wrong(control: Control, archive: Archive, uri: str) -> None:
    right = archive.path_of(uri).read_bytes()
    for after in (0, len(right) - 1, "random"):
        number = await control.add("wrong", path="^/minoc/", after=after)
        reply = await control.client.get(f"/minoc/files/{uri}")
        places = [i for i in range(len(right)) if reply.content[i] != right[i]]
        assert len(places) == 1
        assert after == "random" or places == [after]
        digest = b64encode(hashlib.md5(right).digest()).decode()
        assert reply.headers["digest"] == f"md5={digest}"
        await control.client.delete(f"/demo/faults/{number}")


async def test_busy_as_often_as_told(control: Control) -> None:
    await control.add("busy", path="/tables$", count=2, retry_after=7)
    await control.add("busy", path="^/raven/", status=502, retry_after=0)
    replies = [await control.client.get("/argus/tables") for _ in range(3)]
    assert [reply.status_code for reply in replies] == [503, 503, 200]
    assert replies[0].headers["retry-after"] == "7"
    assert replies[0].text == "temporarily unavailable: /argus/tables"
    broken = await control.client.get("/raven/files/cadc:A/b")
    assert (broken.status_code, "retry-after" in broken.headers) == (502, False)
    assert await control.fired() == [2, 1]


async def test_latency_and_bandwidth(control: Control, archive: Archive, uri: str) -> None:
    size = archive.path_of(uri).stat().st_size
    await control.add("latency", path="^/argus/", seconds=0.2)
    await control.add("bandwidth", path="^/minoc/", rate=4 * size)
    begun = trio.current_time()
    await control.client.get("/argus/capabilities")
    assert trio.current_time() - begun >= 0.2
    begun = trio.current_time()
    async with trio.open_nursery() as nursery:
        # One line for both: twice the size takes twice the time.
        nursery.start_soon(control.client.get, f"/minoc/files/{uri}")
        nursery.start_soon(control.client.get, f"/minoc/files/{uri}")
    assert trio.current_time() - begun >= 0.49


async def test_logins_from_before_have_ended(control: Control) -> None:
    form = {"username": "demo", "password": "demo"}

    async def bearer() -> dict[str, str]:
        token = (await control.client.post("/ac/login", data=form)).text
        return {"Authorization": f"Bearer {token}"}

    before = await bearer()
    await control.add("expired")
    refused = await control.client.get("/ac/search", headers=before)
    assert (refused.status_code, refused.text) == (401, "token expired")
    assert refused.headers.get_list("www-authenticate")
    assert (await control.client.get("/ac/search", headers=await bearer())).status_code == 200
    assert (await control.client.get("/argus/tables")).status_code == 200


async def test_an_unavailable_service_says_so(control: Control) -> None:
    await control.add("unavailable", path="^/argus/", note="back at <noon>")
    document = await control.client.get("/argus/availability")
    assert document.status_code == 200
    assert "<vosi:available>false<" in document.text
    assert "<vosi:note>back at &lt;noon&gt;<" in document.text
    refused = await control.client.get("/argus/tables")
    assert (refused.status_code, refused.headers["retry-after"]) == (503, "180")
    assert "true" in (await control.client.get("/raven/availability")).text


async def test_an_empty_registry(control: Control) -> None:
    number = await control.add("empty-registry")
    reply = await control.client.get("/reg/resource-caps")
    assert (reply.status_code, reply.text) == (200, "")
    await control.client.delete(f"/demo/faults/{number}")
    assert "argus" in (await control.client.get("/reg/resource-caps")).text


async def test_a_replaced_file_is_another_everywhere(
    control: Control, archive: Archive, uri: str
) -> None:
    first = await control.client.get(f"/raven/files/{uri}")
    number = await control.add("replaced", uri=uri)
    second = await control.client.get(f"/raven/files/{uri}")
    assert second.status_code == 200
    assert second.content != first.content
    digest = hashlib.md5(second.content)
    assert second.headers["digest"] == f"md5={b64encode(digest.digest()).decode()}"
    assert int(second.headers["content-length"]) == len(second.content)
    assert second.headers["last-modified"] != first.headers["last-modified"]
    with fits.open(io.BytesIO(second.content), checksum=True) as hdus:
        assert any("version 2" in str(card) for card in hdus[0].header["HISTORY"])
    query = {
        "LANG": "ADQL", "RESPONSEFORMAT": "csv",
        "QUERY": f"select contentChecksum, contentLength from caom2.Artifact where uri='{uri}'",
    }  # fmt: skip
    row = (await control.client.get("/argus/sync", params=query)).text.splitlines()[1]
    assert row == f"md5:{digest.hexdigest()},{len(second.content)}"
    third = await control.add("replaced", uri=uri)
    assert (await control.client.get(f"/raven/files/{uri}")).content != second.content
    for each in (third, number):
        await control.client.delete(f"/demo/faults/{each}")
    assert (await control.client.get(f"/raven/files/{uri}")).content == first.content
    assert (
        hashlib.md5(archive.path_of(uri).read_bytes()).digest()
        == hashlib.md5(first.content).digest()
    )


async def test_many_versions_are_all_different_and_do_not_pile_up(
    control: Control, archive: Archive, uri: str
) -> None:
    seen = {archive.path_of(uri).read_bytes()}
    for _ in range(6):
        await control.add("replaced", uri=uri)
        reply = await control.client.get(f"/raven/files/{uri}")
        assert len(reply.content) == len(next(iter(seen)))
        for other in seen:
            different = sum(a != b for a, b in zip(reply.content, other, strict=True))
            assert different > len(other) // 4
        seen.add(reply.content)
    assert len(seen) == 7
    kept = [path for path in archive.root.parent.glob("serving-*/replaced/*") if path.is_file()]
    assert len([path for path in kept if not path.is_symlink()]) == 4


async def test_a_release_passes(control: Control, uri: str) -> None:
    number = await control.add("embargo", uri=uri, seconds=3600)
    assert (await control.client.get(f"/raven/files/{uri}")).status_code == 403
    await control.client.delete(f"/demo/faults/{number}")
    assert (await control.client.get(f"/raven/files/{uri}")).status_code == 200
    await control.add("embargo", uri=uri, seconds=0.2)
    with trio.fail_after(PATIENCE):
        while (await control.client.get(f"/raven/files/{uri}")).status_code != 200:
            pass


async def test_who_reads_while_a_file_is_replaced_reads_one_version(
    control: Control, archive: Archive, uri: str
) -> None:
    size = archive.path_of(uri).stat().st_size
    await control.add("bandwidth", path="^/minoc/", rate=4 * size)
    path = f"/minoc/files/{uri}"
    async with control.client.stream("GET", path) as reply:
        pieces = reply.aiter_raw()
        content = await anext(pieces)
        for _ in range(3):
            await control.add("replaced", uri=uri)
        content += b"".join([piece async for piece in pieces])
    digest = b64encode(hashlib.md5(content).digest()).decode()
    assert reply.headers["digest"] == f"md5={digest}"
    assert content == archive.path_of(uri).read_bytes()


async def test_answers_of_tap_are_cut(control: Control) -> None:
    await control.add("row-cap", rows=3)
    query = {"LANG": "ADQL", "QUERY": "select collection from caom2.Observation"}
    document = (await control.client.get("/argus/sync", params=query)).text
    assert document.count("<TR>") == 3
    assert 'value="OVERFLOW"' in document
    text = await control.client.get("/argus/sync", params={**query, "RESPONSEFORMAT": "csv"})
    assert len(text.text.splitlines()) == 1 + 3
    fewer = await control.client.get("/argus/sync", params={**query, "MAXREC": "2"})
    assert fewer.text.count("<TR>") == 2
    job = await control.client.post("/argus/async", data={**query, "PHASE": "RUN"})
    await completed(control.client, job.url)
    result = await control.client.get(f"{job.url}/results/result")
    assert result.text.count("<TR>") == 3
    assert 'value="OVERFLOW"' in result.text


async def test_queries_without_an_index_are_late(control: Control, served: Served) -> None:
    await control.add("like-cadc", seconds=0.3, per_id=0.2)
    by_index = "select productID from caom2.Plane where publisherID='x'"
    for adql, least in ((by_index, 0.0), ("select obsID from caom2.Plane", 0.3)):
        query = {"LANG": "ADQL", "QUERY": adql}
        await control.client.post("/argus/sync", data=query)
        record = served.log.records()[-1]
        assert record.seconds >= least
        assert record.faults == (("like-cadc",) if least else ())
    job = await control.client.post("/argus/async", data={**query, "PHASE": "RUN"})
    with trio.fail_after(PATIENCE):
        while (
            "COMPLETED"
            not in (text := await control.client.get(job.url, params={"WAIT": "5"})).text
        ):
            pass
    diagnosis = re.search(r"query:execute:(\d+)", text.text)
    assert diagnosis
    assert int(diagnosis[1]) >= 300


async def test_what_a_killed_server_left_is_removed(
    archive: Archive, nursery: trio.Nursery
) -> None:
    served = await nursery.start(serve, archive)
    place = archive.root.parent
    in_use = set(place.glob("serving-*/"))
    (place / "serving-abandoned").mkdir()
    (place / "serving-abandoned" / "replaced").mkdir()
    await nursery.start(serve, archive)
    assert in_use < set(place.glob("serving-*/"))
    assert not (place / "serving-abandoned").exists()
    async with httpx.AsyncClient(base_url=served.base_url, timeout=120) as client:
        assert (await client.get("/argus/tables")).status_code == 200


async def test_chance_is_the_same_in_every_run(archive: Archive, nursery: trio.Nursery) -> None:
    def faulty(task_status: trio.TaskStatus[Served]) -> object:
        fault = Fault.from_text("busy path=/tables probability=0.5 seed=3")
        return serve(archive, faults=[fault], task_status=task_status)

    runs = []
    for _ in range(2):
        served = await nursery.start(faulty)
        async with httpx.AsyncClient(base_url=served.base_url, timeout=120) as client:
            runs.append([(await client.get("/argus/tables")).status_code for _ in range(20)])
    assert runs[0] == runs[1]
    assert set(runs[0]) == {200, 503}


@pytest.mark.parametrize(
    ("told", "words"),
    [
        ({}, "kind"),
        ([], "kind"),
        ({"kind": "meteor"}, "unknown fault: meteor"),
        ({"kind": "reset", "before": 3}, "reset takes no before"),
        ({"kind": "reset", "after": -1}, "after cannot be -1"),
        ({"kind": "reset", "after": "soon"}, "after cannot be 'soon'"),
        ({"kind": "busy", "path": "("}, "no regular expression"),
        ({"kind": "bandwidth"}, "needs rate"),
        ({"kind": "busy", "probability": 2}, "probability cannot be 2"),
        ({"kind": "replaced", "uri": "cadc:NO/such.fits"}, "no file"),
        ({"kind": "replaced", "uri": "nonsense"}, "nonsense"),
    ],
)
async def test_what_is_no_fault_is_refused_in_one_sentence(
    control: Control, told: object, words: str
) -> None:
    reply = await control.client.post("/demo/faults", json=told)
    assert reply.status_code == 400
    assert words in reply.text
    assert len(reply.text.splitlines()) == 1
    assert await control.fired() == []
    assert (await control.client.post("/demo/faults", content=b"{")).status_code == 400
    assert (await control.client.delete("/demo/faults/9")).status_code == 404


async def test_all_faults_end_at_once(control: Control) -> None:
    for kind in ("busy", "empty-registry"):
        await control.add(kind)
    assert (await control.client.get("/argus/tables")).status_code == 503
    assert (await control.client.delete("/demo/faults")).status_code == 204
    assert await control.fired() == []
    assert (await control.client.get("/argus/tables")).status_code == 200


def test_a_fault_is_written_as_at_a_shell() -> None:
    fault = Fault.from_text("unavailable 'note=see you later' path='^/a b'")
    assert fault.options["note"] == "see you later"
    assert fault.options["path"] == "^/a b"
    for text in ("", "reset after", "'", "reset after=x"):
        with pytest.raises(FaultError):
            Fault.from_text(text)


def test_the_documentation_tells_every_fault_and_option() -> None:
    text = (Path(__file__).parents[2] / "docs" / "demo.md").read_text()
    for name, kind in KINDS.items():
        assert f"`{name}`" in text
        for option in kind.options:
            assert f"`{option}`" in text
