"""A forward proxy, as institutes have them: notes the head of all that passes it."""

from __future__ import annotations

import http.client
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit

PIECE = 1 << 16
OF_A_HOP = ("connection", "proxy-connection", "keep-alive", "transfer-encoding")


@dataclass(frozen=True)
class Passed:
    """A request as the proxy saw it; names of headers in lower case."""

    method: str
    url: str
    headers: dict[str, str]


class Handler(BaseHTTPRequestHandler):
    """Passes a request on, and its answer back; a connection each."""

    server: ForwardProxy

    def _pass(self) -> None:
        parts = urlsplit(self.path)
        told = {name.lower(): value for name, value in self.headers.items()}
        self.server.passed.append(Passed(self.command, self.path, told))
        body = self.rfile.read(int(told.get("content-length", 0)))
        there = http.client.HTTPConnection(parts.netloc, timeout=60)
        try:
            kept = {name: value for name, value in told.items() if name not in OF_A_HOP}
            there.request(self.command, self.path.partition(parts.netloc)[2], body, kept)
            self._give_back(there.getresponse())
        finally:
            there.close()

    do_GET = do_HEAD = do_POST = do_DELETE = _pass  # noqa: N815

    def _give_back(self, reply: http.client.HTTPResponse) -> None:
        self.send_response_only(reply.status, reply.reason)
        for name, value in reply.getheaders():
            if name.lower() not in OF_A_HOP:
                self.send_header(name, value)
        self.end_headers()
        while piece := reply.read(PIECE):
            self.wfile.write(piece)

    def log_message(self, *_: object) -> None:
        return


class ForwardProxy(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.passed: list[Passed] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"

    @property
    def environ(self) -> dict[str, str]:
        """What sends a program's requests through it."""
        return {"HTTP_PROXY": self.url, "http_proxy": self.url, "NO_PROXY": "", "no_proxy": ""}


@contextmanager
def proxying() -> Iterator[ForwardProxy]:
    with ForwardProxy() as proxy:
        thread = threading.Thread(target=proxy.serve_forever, args=(0.05,))
        thread.start()
        try:
            yield proxy
        finally:
            proxy.shutdown()
            thread.join()
