"""Eight clients at once, each with its own identity and its own questions, get right answers."""

from __future__ import annotations

import csv
import hashlib
import io
import random
import sqlite3
from base64 import b64encode
from contextlib import aclosing, closing

import httpx
import pytest
import trio

from cadcfs.demo.archive import Archive
from cadcfs.demo.auth.users import TEAM
from cadcfs.demo.server import Served

CLIENTS = 8
ROUNDS = 5
PATIENCE = 120


class Person:
    """One client: logs in, asks, reads and runs jobs, and checks every answer."""

    def __init__(self, number: int, archive: Archive, base: str) -> None:
        self.name = ("", "guest", "demo")[number % 3]
        self.random = random.Random(number)
        self.archive = archive
        self.client = httpx.AsyncClient(base_url=base, follow_redirects=True, timeout=PATIENCE)
        self.headers: dict[str, str] = {}

    async def live(self, rounds: int) -> None:
        async with self.client:
            if self.name:
                form = {"username": self.name, "password": self.name}
                token = (await self.client.post("/ac/login", data=form)).text
                # Some by cookie, which httpx keeps over redirects only in its jar.
                if self.random.random() < 0.5:
                    self.client.cookies.set("CADC_SSO", f'"{token}"')
                else:
                    self.headers = {"Authorization": f"Bearer {token}"}
            for _ in range(rounds):
                for work in self.random.sample(
                    (self.ask, self.read, self.read_part, self.knock, self.run_a_job), 5
                ):
                    await work()

    def known(self, sql: str, *values: object) -> list[tuple[str, ...]]:
        with closing(sqlite3.connect(self.archive.database)) as database:
            found = database.execute(sql, values)
            return sorted(tuple(str(value) for value in row) for row in found)

    async def ask(self) -> None:
        collection = self.random.choice(("CFHT", "OMM", "JCMT", "GEMINI", "SIMSURVEY"))
        query = {
            "LANG": "ADQL", "RESPONSEFORMAT": "csv",
            "QUERY": "SELECT o.observationID, p.productID FROM caom2.Observation AS o JOIN"
            f" caom2.Plane AS p ON o.obsID = p.obsID WHERE o.collection = '{collection}'",
        }  # fmt: skip
        reply = await self.client.post("/argus/sync", data=query, headers=self.headers)
        assert reply.headers.get("x-vo-authenticated", "") == self.name
        seen = "metaRelease < '2026-01-01'"
        if self.name == "demo":
            seen = f"({seen} OR metaReadGroups = '{TEAM}')"
        expected = self.known(
            "SELECT o.observationID, p.productID FROM"
            f" (SELECT * FROM Observation WHERE {seen}) o JOIN"
            f" (SELECT * FROM Plane WHERE {seen}) p USING (obsID) WHERE o.collection = ?",
            collection,
        )
        got = sorted(tuple(row) for row in list(csv.reader(io.StringIO(reply.text)))[1:])
        assert got == expected

    def some_file(self) -> tuple[str, bytes]:
        stored = self.known(
            "SELECT DISTINCT a.uri FROM Artifact a JOIN Plane p USING (planeID)"
            " WHERE p.dataRelease < '2026-01-01' AND a.contentRelease IS NULL"
            " AND a.uri LIKE 'cadc:%' AND a.uri NOT LIKE 'cadc:SIMSURVEY/%'"
            " AND a.uri NOT LIKE 'cadc:SIMMONITOR/%'"
            " AND a.contentLength BETWEEN 1 AND 3000000"
        )
        (uri,) = self.random.choice(stored)
        return uri, self.archive.path_of(uri).read_bytes()

    async def bytes_of(self, uri: str, **more: str) -> tuple[httpx.Response, bytes]:
        """Read a body as it is stored: some files are stored with a Content-Encoding."""
        headers = {**self.headers, **more}
        async with (
            self.client.stream("GET", f"/raven/files/{uri}", headers=headers) as reply,
            aclosing(reply.aiter_raw()) as pieces,
        ):
            return reply, b"".join([piece async for piece in pieces])

    async def read(self) -> None:
        uri, data = self.some_file()
        reply, content = await self.bytes_of(uri)
        assert (reply.status_code, content) == (200, data)
        digest = b64encode(hashlib.md5(data).digest()).decode()
        assert reply.headers["digest"] == f"md5={digest}"

    async def read_part(self) -> None:
        uri, data = self.some_file()
        start = self.random.randrange(len(data))
        stop = min(len(data), start + self.random.randrange(1, 100_000))
        reply, content = await self.bytes_of(uri, Range=f"bytes={start}-{stop - 1}")
        assert (reply.status_code, content) == (206, data[start:stop])

    async def knock(self) -> None:
        reply = await self.client.get("/raven/files/cadc:CFHT/2999001o.fits", headers=self.headers)
        assert reply.status_code == (200 if self.name == "demo" else 403)
        who = await self.client.get("/ac/whoami", headers=self.headers)
        assert (f">{self.name}<" in who.text) if self.name else (who.status_code == 401)

    async def run_a_job(self) -> None:
        most = self.random.randrange(1, 50)
        form = {
            "LANG": "ADQL", "RESPONSEFORMAT": "csv", "PHASE": "RUN",
            "QUERY": f"SELECT TOP {most} observationID FROM caom2.Observation"
            " WHERE collection = 'SIMSURVEY'",
        }  # fmt: skip
        job = (await self.client.post("/argus/async", data=form, headers=self.headers)).url
        while (
            "COMPLETED"
            not in (await self.client.get(job, params={"WAIT": "10"}, headers=self.headers)).text
        ):
            pass
        result = await self.client.get(f"{job}/results/result", headers=self.headers)
        names = result.text.splitlines()[1:]
        assert len(set(names)) == most
        assert all(name.startswith("sim") for name in names)
        await self.client.delete(job, headers=self.headers)


async def crowd(archive: Archive, served: Served, rounds: int) -> None:
    with trio.fail_after(PATIENCE * rounds):
        async with trio.open_nursery() as nursery:
            for number in range(CLIENTS):
                nursery.start_soon(Person(number, archive, served.base_url).live, rounds)
    records = served.log.records()
    assert {record.user for record in records} == {None, "guest", "demo"}
    assert max(record.status for record in records) < 500
    assert len({record.number for record in records}) == len(records)


async def test_eight_clients_at_once_get_right_answers(archive: Archive, served: Served) -> None:
    await crowd(archive, served, ROUNDS)


@pytest.mark.soak
async def test_a_long_day_of_eight_clients(archive: Archive, served: Served) -> None:
    await crowd(archive, served, 20 * ROUNDS)
