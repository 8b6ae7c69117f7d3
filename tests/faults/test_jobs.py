"""Jobs while the archive fails: it restarts, does not know long polls, stalls, refuses."""

from __future__ import annotations

import re
import signal
import subprocess
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import httpx
import pytest
import trio
from hypercorn.config import Config
from hypercorn.trio import serve
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from cadcfs.archive.services import Services
from cadcfs.archive.uws import Uws
from cadcfs.cache.listings import Listings
from cadcfs.config import Settings
from cadcfs.jobs.engine import Jobs
from cadcfs.jobs.record import Phase
from cadcfs.jobs.registry import Registry
from cadcfs.network.client import Client
from tests.mount.test_jobs import QUERY, SLOW, ended, ran, rows
from tests.rig import CADCFS, Mount, Server, copied, until


@pytest.fixture
def own_data(server: Server, tmp_path: Path) -> Path:
    """A copy of the built archive."""
    place = tmp_path / "data"
    root = server.archive.root
    copied(root, place / root.name)
    return place


def started(data: Path, port: str) -> tuple[subprocess.Popen[str], str]:
    process = subprocess.Popen(
        [*CADCFS, "demo", "--serve-only", "--data-dir", str(data), "--port", port],
        stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert process.stdout is not None
    return process, process.stdout.readline().strip()


def stopped(process: subprocess.Popen[str], number: signal.Signals) -> None:
    process.send_signal(number)
    process.wait(timeout=120)
    assert process.stdout is not None
    process.stdout.close()


def test_the_archive_restarts_in_the_middle(own_data: Path, tmp_path: Path) -> None:
    process, url = started(own_data, "0")
    port = re.findall(r":(\d+)/", url)[0]
    path = tmp_path / "sky"
    path.mkdir()
    mounted = Mount(path, tmp_path / "cache", url)
    try:
        mounted.start()
        job = path / "jobs/slow"
        job.mkdir()
        (job / "query.adql").write_text(SLOW)
        (job / "phase").write_text("RUN\n")
        until(lambda: (job / "phase").read_text() == "EXECUTING\n")
        stopped(process, signal.SIGKILL)
        assert (job / "phase").read_text() == "EXECUTING\n"
        (path / "jobs/later").mkdir()
        (path / "jobs/later/query.adql").write_text(QUERY)
        (path / "jobs/later/phase").write_text("RUN\n")
        until(lambda: "trying again" in (path / "jobs/later/.error").read_text())
        assert (path / "jobs/later/phase").read_text() == "QUEUED\n"
        process, again = started(own_data, port)
        assert again == url
        assert ended(job) == "COMPLETED"
        assert len(rows(job)) == 2
        assert ended(path / "jobs/later") == "COMPLETED"
    finally:
        mounted.stop()
        stopped(process, signal.SIGTERM)


@pytest.fixture
def faults(server: Server) -> Iterator[Callable[..., None]]:
    url = server.registry_url.replace("/reg/resource-caps", "/demo/faults")

    def arm(**fault: object) -> None:
        httpx.post(url, json=fault, timeout=120).raise_for_status()

    yield arm
    httpx.delete(url, timeout=120)


@pytest.mark.parametrize(
    "fault",
    [
        {"kind": "busy", "path": "^/argus/async", "count": 4, "retry_after": 0},
        {"kind": "reset", "path": "^/argus/(async|results)", "count": 4, "after": 100},
        {"kind": "short", "path": "^/argus/results", "count": 2, "after": 200},
    ],
    ids=lambda fault: str(fault["kind"]),
)
def test_what_passes_is_gone_by_itself(
    mount: Mount, faults: Callable[..., None], fault: dict[str, object], expected_log: list[str]
) -> None:
    expected_log += ["trying again", "the result of job"]
    job = mount.path / "jobs/patient"
    job.mkdir()
    (job / "query.adql").write_text(QUERY)
    faults(**fault)
    assert ran(job) == "COMPLETED"
    assert len(rows(job)) == 6


def test_a_result_that_the_archive_cuts_says_so(mount: Mount, faults: Callable[..., None]) -> None:
    faults(kind="row-cap", path="^/argus/async", rows=7)
    job = mount.path / "jobs/cut"
    job.mkdir()
    (job / "query.adql").write_text("SELECT obsID, observationID FROM caom2.Observation")
    assert ran(job) == "COMPLETED"
    assert len(rows(job)) == 8
    told = (job / "error.txt").read_text()
    assert "OVERFLOW" in told
    assert "cut after 7 rows, the archive's limit for a result of 2 columns" in told


class OldService:
    """A service of UWS 1.0, which answers at once whatever WAIT says."""

    def __init__(self) -> None:
        self.polls: list[float] = []
        self.ends = 0.0

    async def create(self, request: Request) -> Response:
        return RedirectResponse("/tap/async/1", 303)

    async def phase(self, request: Request) -> Response:
        self.ends = trio.current_time() + 6
        return RedirectResponse("/tap/async/1", 303)

    async def job(self, request: Request) -> Response:
        self.polls.append(trio.current_time())
        phase = "PENDING" if not self.ends else "EXECUTING"
        if self.ends and trio.current_time() > self.ends:
            phase = "COMPLETED"
        text = (
            '<job xmlns="http://www.ivoa.net/xml/UWS/v1.0"><jobId>1</jobId>'
            f"<phase>{phase}</phase><results/></job>"
        )
        return Response(text, media_type="text/xml")

    async def result(self, request: Request) -> Response:
        text = (
            '<VOTABLE version="1.3"><RESOURCE><TABLE><FIELD name="a" datatype="int"/><DATA>'
            "<TABLEDATA><TR><TD>1</TD></TR></TABLEDATA></DATA></TABLE></RESOURCE></VOTABLE>"
        )
        return Response(text, media_type="text/xml")

    def app(self) -> Starlette:
        return Starlette(
            routes=[
                Route("/tap/async", self.create, methods=["POST"]),
                Route("/tap/async/1", self.job),
                Route("/tap/async/1/phase", self.phase, methods=["POST"]),
                Route("/tap/async/1/results/result", self.result),
            ]
        )


@pytest.fixture
async def old_service(nursery: trio.Nursery) -> AsyncIterator[tuple[OldService, str]]:
    service = OldService()
    config = Config()
    config.bind = ["127.0.0.1:0"]
    config.accesslog = config.errorlog = None
    (bound,) = await nursery.start(serve, service.app(), config)
    yield service, f"{bound}/tap"
    nursery.cancel_scope.cancel()


async def test_a_service_without_long_polls_is_asked_with_pauses(
    old_service: tuple[OldService, str], tmp_path: Path, nursery: trio.Nursery
) -> None:
    service, url = old_service
    settings = Settings(tap_url=url, files_url=url)
    registry = Registry(tmp_path / "jobs.sqlite", "old", "anonymous")
    async with Client() as client, trio.open_nursery() as inner:
        listings = Listings(tmp_path / "answers", inner)
        uws = Uws(client, Services(client, listings, settings), 10)
        jobs = Jobs(registry, uws, tmp_path, inner, polled=2)
        job = await jobs.add("one", "SELECT 1")
        await jobs.run(job)
        with trio.fail_after(60):
            job = await jobs.ended(job.key)
        assert job.phase is Phase.COMPLETED, job.error
        assert (await jobs.result(job.key)).read_text().count("<TR>") == 1
        listings.close()
        inner.cancel_scope.cancel()
    registry.close()
    # Six seconds with pauses of 1, 1.5, 2.25, 3.4: not a poll more than those and the telling.
    assert len(service.polls) <= 10


def test_words_for_time_that_ran_out() -> None:
    from cadcfs.cli.query import RAN_OUT

    for words in (
        "the query was stopped: it ran out of its time",
        "ERROR: canceling statement due to statement timeout",
        "https://example.org/sync: HTTP 504: Gateway Time-out",
        "Query timed out (took longer than 60 s)",
        "execution duration exceeded",
    ):
        assert RAN_OUT.search(words), words
    for words in ("table x does not exist", "column time_exposure is unknown", "HTTP 503: busy"):
        assert not RAN_OUT.search(words), words
