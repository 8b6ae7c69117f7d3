"""The carrier and the stored file, against a real server with faults of its own."""

from __future__ import annotations

import base64
import gzip
import hashlib
import random
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
import trio

from cadcfs.archive.storage import StoredFile, address, parse_digest
from cadcfs.errors import CadcfsError, Forbidden, NotFound, RemoteChanged, Unavailable
from cadcfs.network.carrier import Carrier

CONTENT = random.Random(4).randbytes(300_000)
MD5 = hashlib.md5(CONTENT).hexdigest()


class Handler(BaseHTTPRequestHandler):
    """raven and minoc in one, with one fault after the other from the server's list."""

    protocol_version = "HTTP/1.1"
    server: Server
    encoding = ""

    def do_HEAD(self) -> None:
        self.send_response(200)
        self.send_header("Content-Length", str(len(CONTENT)))
        self.send_header("Digest", f"md5={base64.b64encode(bytes.fromhex(MD5)).decode()}")
        self.end_headers()

    def do_GET(self) -> None:
        self.server.paths.append(self.path)
        if self.path.startswith("/raven/"):
            self._redirect()
        else:
            getattr(self, self.server.faults.pop(0) if self.server.faults else "good")()

    def _redirect(self) -> None:
        self.send_response(303)
        self.send_header("Location", self.path.replace("/raven/", "/minoc/token/"))
        self.send_header("Content-Length", "0")
        self.end_headers()

    def _range(self) -> tuple[int, int]:
        first, last = self.headers["Range"].removeprefix("bytes=").split("-")
        return int(first), int(last) + 1

    def _answer(self, status: int, body: bytes, said: str | None, length: int | None = -1) -> None:
        self.send_response(status)
        if said:
            self.send_header("Content-Range", said)
        if length is not None:
            self.send_header("Content-Length", str(len(body) if length == -1 else length))
        if self.encoding:
            self.send_header("Content-Encoding", self.encoding)
        self.encoding = ""
        self.end_headers()
        self.wfile.write(body)

    def good(self) -> None:
        start, stop = self._range()
        said = f"bytes {start}-{stop - 1}/{len(CONTENT)}"
        self._answer(206, CONTENT[start:stop], said)

    def short(self) -> None:
        start, stop = self._range()
        said = f"bytes {start}-{stop - 1}/{len(CONTENT)}"
        self._answer(206, CONTENT[start : (start + stop) // 2], said, stop - start)
        self.close_connection = True

    def reset(self) -> None:
        self.close_connection = True

    def wrong_range(self) -> None:
        start, stop = self._range()
        body = CONTENT[start + 1 : stop + 1]
        self._answer(206, body, f"bytes {start + 1}-{stop}/{len(CONTENT)}")

    def other_size(self) -> None:
        start, stop = self._range()
        self._answer(206, CONTENT[start:stop], f"bytes {start}-{stop - 1}/{len(CONTENT) + 5}")

    def whole(self) -> None:
        self._answer(200, CONTENT, None)

    def long(self) -> None:
        start, stop = self._range()
        said = f"bytes {start}-{stop - 1}/{len(CONTENT)}"
        self._answer(206, CONTENT[start:stop] + bytes(300_000), said)

    def unmeasured(self) -> None:
        start, stop = self._range()
        said = f"bytes {start}-{stop - 1}/{len(CONTENT)}"
        self._answer(206, CONTENT[start:stop], said, None)
        self.close_connection = True

    def stored_packed(self) -> None:
        self.encoding = "gzip"
        self.good()

    def packed_on_the_way(self) -> None:
        self.encoding = "gzip"
        self._answer(200, gzip.compress(CONTENT), None, None)
        self.close_connection = True

    def other_whole(self) -> None:
        self._answer(200, CONTENT[:-1], None)

    def busy(self) -> None:
        self._answer(503, b"System is offline", None)

    def lost(self) -> None:
        self._answer(404, b"not found", None)

    def closed(self) -> None:
        self._answer(403, b"permission denied", None)

    def other_digest(self) -> None:
        start, stop = self._range()
        self.send_response(206)
        self.send_header("Content-Range", f"bytes {start}-{stop - 1}/{len(CONTENT)}")
        self.send_header("Content-Length", str(stop - start))
        self.send_header("Digest", f"md5={base64.b64encode(bytes(16)).decode()}")
        self.end_headers()
        self.wfile.write(bytes(stop - start))

    def cut_head(self) -> None:
        """A head of which a part comes, as many bytes as the server says."""
        start, stop = self._range()
        digest = base64.b64encode(bytes.fromhex(MD5)).decode()
        head = (
            f"HTTP/1.1 206 Partial Content\r\nContent-Length: {stop - start}\r\n"
            f"Digest: md5={digest}\r\n"
            f"Content-Range: bytes {start}-{stop - 1}/{len(CONTENT)}\r\n\r\n"
        ).encode()
        self.server.head = len(head)
        self.wfile.write(head[: self.server.cut])
        self.close_connection = True

    def log_message(self, *_: object) -> None:
        pass


class Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.faults: list[str] = []
        self.paths: list[str] = []
        self.head = self.cut = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/raven/files"


@pytest.fixture
def server() -> Iterator[Server]:
    with Server() as running:
        thread = threading.Thread(target=running.serve_forever, args=(0.01,))
        thread.start()
        yield running
        running.shutdown()
        thread.join()


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("random.uniform", lambda low, high: 0.0)


async def fetched(file: StoredFile, start: int, stop: int) -> bytes:
    found = bytearray()

    def take(offset: int, data: bytes) -> None:
        assert offset == start + len(found)
        found.extend(data)

    await file.fetch(start, stop, take)
    return bytes(found)


@pytest.mark.parametrize(
    "faults",
    [
        [], ["short"], ["reset"], ["busy", "busy"], ["wrong_range"], ["whole"], ["long"],
        ["unmeasured"], ["stored_packed"], ["packed_on_the_way", "good"],
        ["short", "short", "busy", "short", "reset"], ["other_digest"], ["other_size"],
    ],
)  # fmt: skip
async def test_the_bytes_arrive(server: Server, faults: list[str]) -> None:
    server.faults = list(faults)
    file = StoredFile(
        address(server.url, "cadc:X/a+b [1].fits"),
        "cadc:X/a+b [1].fits",
        len(CONTENT),
        MD5,
        Carrier(),
    )
    assert await fetched(file, 1000, 200_000) == CONTENT[1000:200_000]
    assert server.paths[0] == "/raven/files/cadc:X/a+b%20%5B1%5D.fits"


@pytest.mark.parametrize(
    ("fault", "kind"),
    [
        ("other_size", RemoteChanged),
        ("other_whole", RemoteChanged),
        ("other_digest", RemoteChanged),
        ("packed_on_the_way", Unavailable),
        ("lost", NotFound),
        ("closed", Forbidden),
        ("busy", Unavailable),
        ("reset", Unavailable),
    ],
)
async def test_what_is_wrong_is_an_error_and_never_a_byte(
    server: Server, fault: str, kind: type[CadcfsError]
) -> None:
    server.faults = [fault] * 10
    file = StoredFile(
        address(server.url, "cadc:X/a.fits"), "cadc:X/a.fits", len(CONTENT), MD5, Carrier()
    )
    found = bytearray()
    with pytest.raises(kind):
        await file.fetch(10, 1000, lambda _, data: found.extend(data))
    assert not found


async def test_a_head_that_breaks_off_is_no_other_version(server: Server) -> None:
    file = StoredFile(
        address(server.url, "cadc:X/a.fits"), "cadc:X/a.fits", len(CONTENT), MD5, Carrier()
    )
    while server.cut <= server.head:
        server.faults = ["cut_head"]
        assert await fetched(file, 10, 1000) == CONTENT[10:1000], server.cut
        server.cut += 3
    assert server.head > 100


async def test_the_site_is_kept_and_asked_for_again_when_it_refuses(server: Server) -> None:
    file = StoredFile(
        address(server.url, "cadc:X/a.fits"), "cadc:X/a.fits", len(CONTENT), MD5, Carrier()
    )
    await fetched(file, 0, 10)
    await fetched(file, 10, 20)
    server.faults = ["closed"]
    assert await fetched(file, 20, 30) == CONTENT[20:30]
    assert [path.split("/")[1] for path in server.paths] == [
        "raven", "minoc", "minoc", "minoc", "raven", "minoc",
    ]  # fmt: skip


async def test_refused_and_broken_answers_give_their_connections_back(server: Server) -> None:
    carrier = Carrier(connections=2)
    server.faults = ["whole", "busy", "short", "closed", "other_size"] * 4
    with trio.fail_after(20):
        for number in range(12):
            file = StoredFile(
                address(server.url, f"cadc:X/{number}.fits"),
                f"cadc:X/{number}.fits",
                len(CONTENT),
                MD5,
                carrier,
            )
            try:
                await fetched(file, 5, 5000)
            except CadcfsError:
                continue
        server.faults = []
        assert await fetched(file, 5, 5000) == CONTENT[5:5000]


async def test_head(server: Server) -> None:
    head = await StoredFile.head(server.url, "cadc:X/a.fits", Carrier())
    assert (head.size, head.md5) == (len(CONTENT), MD5)


def test_digests_of_both_kinds() -> None:
    raw = base64.b64encode(bytes.fromhex(MD5)).decode()
    text = base64.b64encode(MD5.encode()).decode()
    assert parse_digest(f"md5={raw}") == parse_digest(f"MD5={text}") == MD5
    assert parse_digest("sha-256=x") is None
    assert parse_digest("md5=!") is None
    assert parse_digest("") is None
