"""The client of small things, against a server whose line repeats what was said."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from cadcfs.network.client import Client


class Server(ThreadingHTTPServer):
    """Leads to the place that was asked as often as `repeated` says, then answers."""

    repeated = 0
    asked = 0


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Server

    def do_GET(self) -> None:
        self.server.asked += 1
        again = self.server.asked <= self.server.repeated
        self.send_response(303 if again else 200)
        if again:
            self.send_header("Location", self.path)
        body = b"" if again else b"rows"
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture
def server() -> Iterator[Server]:
    with Server(("127.0.0.1", 0), Handler) as running:
        threading.Thread(target=running.serve_forever, daemon=True).start()
        yield running
        running.shutdown()


async def test_a_way_that_leads_to_itself_is_asked_for_anew(server: Server) -> None:
    server.repeated = 1
    async with Client() as client:
        url = f"http://127.0.0.1:{server.server_port}/argus/sync/a/run"
        assert (await client.get(url, seconds=60)).body == b"rows"
    assert server.asked == 2
