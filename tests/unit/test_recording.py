"""The proxy that records the tests sees what went astray, with and without TLS."""

from __future__ import annotations

import ssl
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import httpx
import pytest

from cadcfs.demo.auth.certificates import Certificates
from tests.recording.records import PIECE, Recording, recording, traces

TOKEN = "a-token-of-some-length"
BEARER = {"Authorization": f"Bearer {TOKEN}"}


class Answer(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.send_response(200)
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"ok")

    do_POST = do_GET  # noqa: N815

    def log_message(self, *_: object) -> None:
        return


@pytest.fixture
def ports(tmp_path: Path) -> Iterator[tuple[int, int]]:
    """Two servers, the second with TLS."""
    certificates = Certificates.open_or_make(tmp_path / "certificates")
    with (
        ThreadingHTTPServer(("127.0.0.1", 0), Answer) as plain,
        ThreadingHTTPServer(("127.0.0.1", 0), Answer) as secure,
    ):
        secure.socket = certificates.server_context().wrap_socket(secure.socket, server_side=True)
        for server in (plain, secure):
            Thread(target=server.serve_forever, daemon=True).start()
        yield plain.server_port, secure.server_port
        for server in (plain, secure):
            server.shutdown()


def client(record: Recording, tmp_path: Path, user: str = "") -> httpx.Client:
    context = ssl.create_default_context(cafile=str(tmp_path / "certificates/ca.pem"))
    if user:
        context.load_cert_chain(tmp_path / f"certificates/{user}.pem")
    return httpx.Client(proxy=record.environ["HTTP_PROXY"], verify=context, timeout=120)


def test_a_credential_that_goes_astray_is_seen(ports: tuple[int, int], tmp_path: Path) -> None:
    plain, secure = ports
    own, leads = f"https://ws.archive.invalid:{secure}/a", f"http://ws.archive.invalid:{plain}/a"
    with recording() as record, client(record, tmp_path) as asking:
        record.know(own, tmp_path / "certificates", own=True)
        record.know(leads, own=True)
        record.know(f"https://elsewhere.invalid:{secure}", tmp_path / "certificates", own=False)
        record.tests.append((time.time(), "test_x"))
        for url in (own, f"http://127.0.0.1:{plain}/b?password=x"):
            assert asking.get(url).text == "ok"
        assert asking.get(own, headers=BEARER).text == "ok"
        assert record.leaks() == []
        for url in (leads, f"http://127.0.0.1:{plain}/c", f"https://elsewhere.invalid:{secure}/d"):
            assert asking.get(url, headers=BEARER).text == "ok"
        form = {"username": "me", "password": "of some length"}
        assert asking.post(f"http://127.0.0.1:{plain}/login", data=form).text == "ok"
        with client(record, tmp_path, "demo") as known:
            assert known.get(own).text == "ok"
            assert known.get(f"https://elsewhere.invalid:{secure}/e").text == "ok"
        assert record.leaks() == [
            f"a credential for another host: GET http://127.0.0.1:{plain}/c in test_x",
            f"a credential for another host: GET https://elsewhere.invalid:{secure}/d in test_x",
            f"a credential for another host: GET https://elsewhere.invalid:{secure}/e in test_x",
            f"a credential for another host: POST http://127.0.0.1:{plain}/login in test_x",
            f"a credential without TLS: GET {leads} in test_x",
        ]
        assert {TOKEN.encode(), b"of some length"} <= record.secrets()


def test_a_secret_that_is_left_behind_is_found(ports: tuple[int, int], tmp_path: Path) -> None:
    key = (tmp_path / "certificates/demo.pem").read_text().partition("PRIVATE KEY-----\n")[2]
    told = {
        "token.log": f"asked with {TOKEN}",
        "key.log": repr(key[:130]),
        "password.log": "{'username': 'demo', 'password': 'demo'}",
        "basic.log": "Basic ZGVtbzpkZW1v",
        "nothing.log": "the password of demo is wrong",
    }
    place = tmp_path / "cache"
    place.mkdir()
    for name, text in told.items():
        (place / name).write_text(text)
    for name, before in (("border", PIECE - 5), ("hole", 0)):
        with (place / name).open("wb") as file:
            file.write(b"x" * before)
            file.seek(before or PIECE * 9)
            file.write(TOKEN.encode())
            file.truncate(1 << 34)
    with recording() as record, client(record, tmp_path) as asking:
        record.know(f"https://127.0.0.1:{ports[1]}", tmp_path / "certificates", own=True)
        asking.get(f"https://127.0.0.1:{ports[1]}/", headers=BEARER)
        found = traces([place], record.secrets())
    assert sorted(Path(path).name for path in found) == sorted(
        {*told, "border", "hole"} - {"nothing.log"}
    )
