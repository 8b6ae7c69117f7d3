"""Requests at random, and almost right ones, never make the data services fail."""

from __future__ import annotations

import string

import httpx
import pytest
import trio
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cadcfs.demo.archive import Archive
from cadcfs.demo.server import Served, serve

PATHS = (
    "/caom2ops/datalink", "/caom2ops/sync", "/caom2ops/async", "/caom2ops/pkg",
    "/raven/files/cadc:CFHT/shared.fits", "/minoc/files/cadc:CFHT/2376828p.fits.fz",
    "/minoc/files/cadc:JCMT/acsis_00021_20190107T062424_cube.fits", "/raven/files/",
    "/uvic/minoc/files/", "/minoc/files/token~sign/", "/raven/locate", "/data/pub/", "/data/auth/",
    "/data/pub/CFHT/shared.fits", "/caom2ops/soda-echo/", "/cadc-target-resolver/find",
    "/caom2ops/meta",
)  # fmt: skip
NAMES = (
    "ID", "id", "POS", "CIRCLE", "POLYGON", "BAND", "TIME", "POL", "SUB", "META", "MAXREC",
    "REQUEST", "RESPONSEFORMAT", "RUNID", "LABEL", "target", "format", "service", "detail",
    "fhead", "cutout", "PHASE", "WAIT",
)  # fmt: skip
WORDS = st.sampled_from((
    "ivo://cadc.nrc.ca/CFHT?2376828/2376828p", "caom:CFHT/2376828/2376828p", "ivo://x?a/b",
    "cadc:CFHT/shared.fits", "cadc:CFHT/2376828p.fits.fz", "cadc:../../etc/passwd", "noao:x",
    "CIRCLE 10.68 41.27 0.1", "CIRCLE 0 0 180", "CIRCLE 0 90 1e-300", "RANGE -Inf +Inf -Inf Inf",
    "RANGE 0 360 -90 90", "POLYGON 0 0 1 0 1 1", "POLYGON 0 0 0 0 0 0", "10.68 41.27 NaN",
    "1e308 1e308 1e308", "8.6e-4 8.7e-4", "-Inf Inf", "1 0", "[0]", "[1][*,*]", "[1][-*,1:2:3]",
    "[ccd00,1]", "[0][0:0]", "[1][99999999999999999999:1]", "[", "[1][1:2,1:2,1:2,1:2]", "true",
    "downloads-only", "0", "-1", "99999999999999999999", "text/xml", "I", "V", "m31", "JSON",
    "NED", "\x00", "\ud7ff", "%", "é", "../../..", "a" * 3000, "",
))  # fmt: skip
VALUES = st.one_of(
    WORDS,
    st.text(max_size=60),
    st.text(string.digits + " .:,[]-+*einfNaN", max_size=40),
    st.lists(st.floats(), min_size=1, max_size=9).map(lambda f: " ".join(map(repr, f))),
    st.tuples(
        st.sampled_from(("CIRCLE", "POLYGON", "RANGE")),
        st.lists(st.floats(-400, 400), min_size=2, max_size=8),
    ).map(lambda pair: f"{pair[0]} {' '.join(map(repr, pair[1]))}"),
)
REQUESTS = st.tuples(
    st.sampled_from(("GET", "GET", "POST", "HEAD")),
    st.sampled_from(PATHS),
    st.one_of(st.just(""), VALUES),
    st.lists(st.tuples(st.sampled_from(NAMES), VALUES), max_size=5),
)


async def ask(served: Served, requests: list[tuple[str, str, str, list[tuple[str, str]]]]) -> None:
    async with httpx.AsyncClient(base_url=served.base_url, timeout=120) as client:
        for method, path, more, pairs in requests:
            address = path + (
                httpx.QueryParams({"x": more}).__str__()[2:] if path[-1] == "/" else ""
            )
            given = {"data": _form(pairs)} if method == "POST" else {"params": pairs}
            if path == "/raven/locate":
                given = {"content": more.encode(), "headers": {"Content-Type": "text/xml"}}
            reply = await client.request(method, address, **given)
            assert reply.status_code < 500, (method, address, pairs, reply.text)
            assert "Traceback" not in reply.text


def _form(pairs: list[tuple[str, str]]) -> dict[str, list[str]]:
    form: dict[str, list[str]] = {}
    for name, value in pairs:
        form.setdefault(name, []).append(value)
    return form


def run(archive: Archive, count: int) -> None:
    """Ask that many requests, made anew from the same seed each time."""
    requests: list[tuple[str, str, str, list[tuple[str, str]]]] = []

    @settings(
        max_examples=count, deadline=None, database=None, derandomize=True,
        suppress_health_check=list(HealthCheck),
    )  # fmt: skip
    @given(REQUESTS)
    def collect(request: tuple[str, str, str, list[tuple[str, str]]]) -> None:
        requests.append(request)

    collect()

    async def main() -> None:
        async with trio.open_nursery() as nursery:
            served = await nursery.start(serve, archive)
            await ask(served, requests)
            nursery.cancel_scope.cancel()

    trio.run(main)


def test_no_request_makes_it_fail(archive: Archive) -> None:
    run(archive, 200)


@pytest.mark.soak
def test_no_request_of_thousands_makes_it_fail(archive: Archive) -> None:
    run(archive, 5000)
