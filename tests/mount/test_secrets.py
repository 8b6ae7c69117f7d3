"""Credentials reach the archive's own addresses and nothing else, whatever it leads to."""

from __future__ import annotations

import errno
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from tests.mount.test_identity import FILE, PROPRIETARY, Person, person, status_of
from tests.recording.records import Recording
from tests.rig import Mount, Server

__all__ = ["person"]

pytestmark = pytest.mark.usefixtures("recorded")

Answer = Callable[[BaseHTTPRequestHandler], None]


class Host(ThreadingHTTPServer):
    """A host that notes the heads of all requests."""

    daemon_threads = True

    def __init__(self, answer: Answer, tls: ssl.SSLContext | None = None) -> None:
        self.seen: list[dict[str, str]] = []

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(handler) -> None:  # noqa: N805
                self.seen.append({k.lower(): v for k, v in handler.headers.items()})
                answer(handler)

            do_HEAD = do_GET  # noqa: N815

            def log_message(handler, *_: object) -> None:  # noqa: N805
                return

        super().__init__(("127.0.0.1", 0), Handler)
        self._scheme = "http"
        if tls is not None:
            self.socket, self._scheme = tls.wrap_socket(self.socket, server_side=True), "https"

    def handle_error(self, *_: object) -> None:
        return

    @property
    def url(self) -> str:
        return f"{self._scheme}://127.0.0.1:{self.server_port}"


@contextmanager
def serving(answer: Answer, tls: ssl.SSLContext | None = None) -> Iterator[Host]:
    with Host(answer, tls) as host:
        thread = threading.Thread(target=host.serve_forever)
        thread.start()
        try:
            yield host
        finally:
            host.shutdown()
            thread.join()


def leading(place: Callable[[BaseHTTPRequestHandler], str]) -> Answer:
    def answer(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(303)
        handler.send_header("Location", place(handler))
        handler.send_header("Content-Length", "0")
        handler.end_headers()

    return answer


def giving(content: bytes) -> Answer:
    def answer(handler: BaseHTTPRequestHandler) -> None:
        first, _, last = (handler.headers.get("Range") or "bytes=0-")[6:].partition("-")
        start, stop = int(first), int(last or len(content) - 1) + 1
        handler.send_response(206)
        handler.send_header("Content-Range", f"bytes {start}-{stop - 1}/{len(content)}")
        handler.send_header("Content-Length", str(stop - start))
        handler.end_headers()
        handler.wfile.write(content[start:stop])

    return answer


@contextmanager
def mounted(
    person: Person, server: Server, place: Path, files: Host, recorded: Recording
) -> Iterator[Path]:
    """A mount of that person's, logged in, whose files come from *files*."""
    recorded.know(files.url, own=True)
    login = person.cadcfs("login", "-u", "demo", said="demo\n")
    assert login.returncode == 0, login.stderr
    (place / "sky").mkdir()
    sky = Mount(place / "sky", place / "cache", server.registry_url)
    sky.start("-o", f"files_url={files.url}/files", environ=person.environ)
    try:
        assert status_of(sky).startswith("demo (")
        yield sky.path / PROPRIETARY / FILE
    finally:
        sky.stop()


def test_a_redirect_elsewhere_carries_nothing(
    person: Person, server: Server, tmp_path: Path, recorded: Recording
) -> None:
    content = server.archive.path_of(f"cadc:CFHT/{FILE}").read_bytes()
    with (
        serving(giving(content)) as elsewhere,
        serving(leading(lambda asked: elsewhere.url + asked.path)) as own,
        mounted(person, server, tmp_path, own, recorded) as private,
    ):
        assert private.read_bytes() == content
    assert own.seen
    assert all(head["authorization"].startswith("Bearer ") for head in own.seen)
    assert elsewhere.seen
    assert not any({"authorization", "cookie"} & head.keys() for head in elsewhere.seen)


def test_redirects_without_end_are_an_error(
    person: Person, server: Server, tmp_path: Path, recorded: Recording
) -> None:
    with (
        serving(leading(lambda asked: asked.path)) as own,
        mounted(person, server, tmp_path, own, recorded) as private,
    ):
        with pytest.raises(OSError, match="Input/output") as caught:
            private.read_bytes()
        assert caught.value.errno == errno.EIO
    assert len(own.seen) < 100
