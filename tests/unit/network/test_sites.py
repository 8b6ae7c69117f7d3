"""A range that one site is slow with comes from another, and every byte is right."""

from __future__ import annotations

import random
import threading
from collections.abc import Iterator
from contextlib import ExitStack
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
import trio

from cadcfs.archive.sites import Locator, Paces, endpoints, host_of
from cadcfs.archive.storage import StoredFile
from cadcfs.errors import Unavailable
from cadcfs.network.carrier import Carrier

CONTENT = random.Random(11).randbytes(2_000_000)


class Handler(BaseHTTPRequestHandler):
    """A site, and a locator that sends everybody to the first of its sites."""

    protocol_version = "HTTP/1.1"
    server: Site

    def do_GET(self) -> None:
        if self.path.startswith("/raven/"):
            self.send_response(303)
            self.send_header("Location", f"{self.server.sites[0].url}/minoc/token/x")
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        first, last = self.headers["Range"].removeprefix("bytes=").split("-")
        body = CONTENT[int(first) : int(last) + 1]
        self.server.asked.append((int(first), int(last) + 1))
        self.send_response(206)
        self.send_header("Content-Range", f"bytes {first}-{last}/{len(CONTENT)}")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.server.stalls_after is not None:
            self.wfile.write(body[: self.server.stalls_after])
            self.wfile.flush()
            self.server.go_on.wait(30)
            self.close_connection = True
            return
        self.wfile.write(body)

    def do_POST(self) -> None:
        document = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.located.append(document)
        listed = "".join(
            "<vos:protocol uri='ivo://ivoa.net/vospace/core#httpget'>"
            f"<vos:endpoint>{site.url}/minoc/token/x</vos:endpoint></vos:protocol>"
            for site in self.server.sites
        )
        body = (
            "<vos:transfer xmlns:vos='http://www.ivoa.net/xml/VOSpace/v2.0'>"
            f"{listed}</vos:transfer>"
        ).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


class Site(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.asked: list[tuple[int, int]] = []
        self.located: list[bytes] = []
        self.sites: list[Site] = [self]
        self.stalls_after: int | None = None
        self.go_on = threading.Event()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


class KnownServices:
    """The addresses of one locator."""

    def __init__(self, locator: Site) -> None:
        self._locator = locator

    async def locate_url(self) -> str:
        return f"{self._locator.url}/raven/locate"


@pytest.fixture
def sites() -> Iterator[tuple[Site, Site]]:
    with ExitStack() as stack:
        found = stack.enter_context(Site()), stack.enter_context(Site())
        for site in found:
            thread = threading.Thread(target=site.serve_forever, args=(0.01,))
            thread.start()
            stack.callback(thread.join)
            stack.callback(site.shutdown)
            stack.callback(site.go_on.set)
            site.sites = list(found)
        yield found


def stored(site: Site, carrier: Carrier, paces: Paces) -> StoredFile:
    locator = Locator(KnownServices(site), carrier)  # type: ignore[arg-type]
    return StoredFile(
        f"{site.url}/raven/files/x", "cadc:X/a&b.fits", len(CONTENT), None, carrier, locator, paces
    )


async def fetched(file: StoredFile, start: int, stop: int) -> bytes:
    found = bytearray()

    def take(offset: int, data: bytes) -> None:
        assert offset == start + len(found)
        found.extend(data)

    with trio.fail_after(20):
        await file.fetch(start, stop, take)
    return bytes(found)


@pytest.mark.parametrize("stalls_after", [0, 300_000])
async def test_a_slow_range_is_asked_again_at_another_site(
    sites: tuple[Site, Site], stalls_after: int
) -> None:
    fast, slow = sites
    carrier, paces = Carrier(), Paces()
    for _ in range(3):
        file = stored(fast, carrier, paces)
        assert await fetched(file, 0, 1_000_000) == CONTENT[:1_000_000]
    assert fast.located == []
    fast.stalls_after = stalls_after
    file = stored(fast, carrier, paces)
    assert await fetched(file, 5, 1_900_000) == CONTENT[5:1_900_000]
    assert len(fast.located) == 1
    assert b"<vos:target>cadc:X/a&amp;b.fits</vos:target>" in fast.located[0]
    assert slow.asked == [(slow.asked[0][0], 1_900_000)]
    assert slow.asked[0][0] >= min(stalls_after, 131_072)
    # The site that delivered is kept for this file.
    assert await fetched(file, 10, 500) == CONTENT[10:500]
    assert slow.asked[-1] == (10, 500)


async def test_with_one_site_only_the_range_goes_on(sites: tuple[Site, Site]) -> None:
    site, _ = sites
    site.sites = [site]
    carrier, paces = Carrier(), Paces()
    paces.note(host_of(site.url), 0.01, 1 << 20, 0.02)
    site.stalls_after = 1000
    found = bytearray()
    with trio.move_on_after(1.5) as scope:
        await stored(site, carrier, paces).fetch(0, 5000, lambda _, data: found.extend(data))
    assert scope.cancelled_caught
    assert len(site.asked) == 1
    assert len(site.located) == 1


async def test_when_both_sites_fail_the_first_error_is_told(sites: tuple[Site, Site]) -> None:
    one, other = sites
    carrier, paces = Carrier(stall=0.6), Paces()
    paces.note(host_of(one.url), 0.01, 1 << 20, 0.02)
    one.stalls_after = other.stalls_after = 0
    with pytest.raises(Unavailable):
        await fetched(stored(one, carrier, paces), 0, 5000)


def test_endpoints_are_one_for_each_host() -> None:
    document = b"""<?xml version="1.0"?>
      <v:transfer xmlns:v="http://www.ivoa.net/xml/VOSpace/v2.0">
        <v:protocol uri="x"><v:endpoint>https://a/minoc/files/secret/cadc:X/y</v:endpoint></v:protocol>
        <v:protocol uri="x"><v:endpoint>https://b/minoc/files/secret/cadc:X/y</v:endpoint></v:protocol>
        <v:protocol uri="x"><v:endpoint>https://a/minoc/files/cadc:X/y</v:endpoint></v:protocol>
        <v:protocol uri="x"><v:endpoint>file:///etc/passwd</v:endpoint></v:protocol>
      </v:transfer>"""
    assert [host_of(url) for url in endpoints(document)] == ["a", "b"]
    assert endpoints(b"<html>busy") == ()


def test_patience_follows_what_a_host_usually_does() -> None:
    paces = Paces()
    assert paces.patience("a", 1 << 20) == (3.0, 1)
    for _ in range(20):
        paces.note("a", 0.5, 4 << 20, 1.5)
    seconds, expected = paces.patience("a", 16 << 20)
    assert 5.5 < seconds < 6.5
    assert expected == 4 << 20
    assert paces.patience("b", 10) == (3.0, 1)
