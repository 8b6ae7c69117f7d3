"""nginx as the cache of a site: each public byte crosses once, and nothing depends on it."""

from __future__ import annotations

import contextlib
import hashlib
import shutil
import socket
import subprocess
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from urllib.parse import urlsplit

import fsspec
import pytest

from cadcfs import config
from cadcfs.archive import site_cache
from cadcfs.engine import acting_as, running
from cadcfs.fsspec import CadcFileSystem
from cadcfs.network.redirects import Domains, Wallet
from tests.conftest import ExpectLog
from tests.rig import Server, until

CONFIGURATION = Path(__file__).parents[2] / "docs" / "site" / "nginx.conf"
MOSAIC = "collections/CFHT/by-target/M31/2376828p.fits.fz"
WHOLE = """daemon off; pid {root}/pid; error_log {root}/error.log warn; worker_processes 2;
user {user}; events {{ worker_connections 256; }}
http {{ access_log off; client_body_temp_path {root}/b; proxy_temp_path {root}/t;
fastcgi_temp_path {root}/f; uwsgi_temp_path {root}/u; scgi_temp_path {root}/s;
{site} }}
"""


class Asked(BaseHTTPRequestHandler):
    """One request to something that should be a cache and is not."""

    size: int
    """Bytes of the file that is asked for."""

    def log_message(self, *_: object) -> None:
        pass


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@dataclass
class Nginx:
    url: str
    process: subprocess.Popen[bytes]

    def stop(self) -> None:
        self.process.terminate()
        self.process.wait(20)


@contextlib.contextmanager
def nginx_for(registry_url: str, root: Path, address: str = "127.0.0.1") -> Iterator[Nginx]:
    """nginx with the configuration that is shipped, of an embedded archive."""
    outer, inner = free_port(), free_port()
    origin = urlsplit(registry_url)
    site = CONFIGURATION.read_text()
    for old, new in {
        "listen 8080": f"listen {address}:{outer}",
        "127.0.0.1:8081": f"127.0.0.1:{inner}",
        "https://ws.cadc-ccda.hia-iha.nrc-cnrc.gc.ca": f"http://{origin.netloc}",
        "/var/cache/nginx/cadc": f"{root}/cache",
        "max_size=2000g": "max_size=1g",
    }.items():
        assert old in site
        site = site.replace(old, new)
    (root / "nginx.conf").write_text(WHOLE.format(root=root, site=site, user="root"))
    process = subprocess.Popen(
        [shutil.which("nginx") or "/usr/sbin/nginx", "-c", root / "nginx.conf"]
    )
    running = Nginx(f"http://{address}:{outer}", process)

    def listens() -> bool:
        with contextlib.suppress(OSError), socket.create_connection((address, outer), 1):
            return True
        return False

    try:
        until(listens, 20)
        yield running
    finally:
        running.stop()


@pytest.fixture
def nginx(server: Server, tmp_path: Path) -> Iterator[Nginx]:
    (tmp_path / "nginx").mkdir()
    with nginx_for(server.registry_url, tmp_path / "nginx") as running:
        yield running


def node(server: Server, url: str, cache: Path) -> CadcFileSystem:
    """One of a site's machines, with a cache of its own."""
    found = fsspec.filesystem(
        "cadc", registry_url=server.registry_url, cache_dir=str(cache), site_cache=url
    )
    assert isinstance(found, CadcFileSystem)
    return found


@pytest.fixture(scope="module")
def right(server: Server, tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """The mosaic as the archive itself sends it."""
    cache = str(tmp_path_factory.mktemp("alone"))
    cadc = fsspec.filesystem("cadc", registry_url=server.registry_url, cache_dir=cache)
    return bytes(cadc.cat_file(MOSAIC))


def sent(server: Server) -> int:
    return server.bytes_sent("minoc/files")


def test_the_archive_sends_each_byte_once_to_a_site(
    server: Server, nginx: Nginx, tmp_path: Path
) -> None:
    first, second = (node(server, nginx.url, tmp_path / name) for name in ("a", "b"))
    server.forget()
    whole = first.cat_file(MOSAIC)
    once = sent(server)
    assert once == first.info(MOSAIC)["size"] == len(whole)
    assert second.cat_file(MOSAIC) == whole
    assert sent(server) == once


async def test_an_account_asks_the_archive_itself(server: Server, tmp_path: Path) -> None:
    settings = config.load(
        {
            "registry_url": server.registry_url,
            "cache_dir": tmp_path,
            "site_cache": "http://127.0.0.1:1",
        }
    )
    nobody = Wallet(Domains(()))
    async with running(settings) as public, acting_as("demo", nobody, settings, public) as own:
        assert (await public.files.source("cadc:CFHT/x.fits", 1, "0" * 32)).asks_nearby
        assert not (await own.files.source("cadc:CFHT/x.fits", 1, "0" * 32)).asks_nearby


def test_without_it_everything_goes_on(
    server: Server, nginx: Nginx, tmp_path: Path, expect_log: ExpectLog,
    caplog: pytest.LogCaptureFixture,
) -> None:  # fmt: skip
    expect_log("the site's cache fails")
    cadc = node(server, nginx.url, tmp_path / "c")
    begin = cadc.cat_file(MOSAIC, 0, 4 << 20)
    nginx.stop()
    whole = cadc.cat_file(MOSAIC)
    assert whole.startswith(begin)
    told = [r for r in caplog.records if "the site's cache fails" in r.getMessage()]
    assert len(told) == 1


def test_it_may_go_while_it_fills(
    server: Server, nginx: Nginx, right: bytes, tmp_path: Path, expect_log: ExpectLog,
    caplog: pytest.LogCaptureFixture,
) -> None:  # fmt: skip
    expect_log("the site's cache fails")
    nodes = [node(server, nginx.url, tmp_path / name) for name in ("f", "g")]
    server.forget()
    slow = server.fault("bandwidth", rate=20e6)
    with ThreadPoolExecutor(2) as threads:
        reading = [threads.submit(one.cat_file, MOSAIC) for one in nodes]
        until(lambda: sent(server) > 0 or any(one.done() for one in reading))
        nginx.stop()
        server.mend(slow)
        found = [one.result(60) for one in reading]
    assert [one == right for one in found] == [True, True]
    told = [r for r in caplog.records if "the site's cache fails" in r.getMessage()]
    assert len(told) <= 2, "a line for each node at most"


def test_wrong_bytes_are_noticed_and_asked_of_the_archive(
    server: Server, nginx: Nginx, tmp_path: Path, expect_log: ExpectLog
) -> None:
    expect_log("the bytes that arrived have MD5")
    right = hashlib.md5(node(server, nginx.url, tmp_path / "d").cat_file(MOSAIC)).digest()
    spoilt = 0
    for file in (tmp_path / "nginx" / "cache").rglob("*"):
        if file.is_file() and file.stat().st_size > 500_000:
            with file.open("r+b") as entry:
                entry.seek(-1000, 2)
                entry.write(b"x" * 500)
            spoilt += 1
    assert spoilt
    other = node(server, nginx.url, tmp_path / "e").cat_file(MOSAIC)
    assert hashlib.md5(other).digest() == right


def answers_502(asked: Asked) -> None:
    asked.send_error(502)


def answers_with_all_and_other_bytes(asked: Asked) -> None:
    asked.send_response(200)
    asked.send_header("Content-Length", str(asked.size))
    asked.end_headers()
    with contextlib.suppress(OSError):
        asked.wfile.write(b"x" * asked.size)


def answers_with_a_page(asked: Asked) -> None:
    asked.send_response(200)
    asked.send_header("Content-Length", "5")
    asked.end_headers()
    asked.wfile.write(b"login")


def breaks_off(asked: Asked) -> None:
    start, stop = (int(number) for number in asked.headers["Range"][6:].split("-"))
    asked.send_response(206)
    asked.send_header("Content-Range", f"bytes {start}-{stop}/{asked.size}")
    asked.send_header("Content-Length", str(stop - start + 1))
    asked.end_headers()


def says_nothing(asked: Asked) -> None:
    asked.connection.settimeout(30)
    with contextlib.suppress(OSError):
        asked.rfile.read(1)


@pytest.mark.parametrize(
    ("answer", "told"),
    [
        (answers_502, "the site's cache fails"),
        (answers_with_all_and_other_bytes, "the bytes that arrived have MD5"),
        (answers_with_a_page, "the site's cache fails"),
        (breaks_off, "the site's cache fails"),
        (says_nothing, "the site's cache fails"),
    ],
)
def test_whatever_is_wrong_with_it_the_bytes_are_right(
    answer: Callable[[Asked], None], told: str, server: Server, right: bytes, tmp_path: Path,
    expect_log: ExpectLog, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.setattr(site_cache, "STALL", 1.0)
    expect_log(told)
    handler = type("Handler", (Asked,), {"do_GET": answer, "size": len(right)})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as wrong:
        wrong.daemon_threads = True
        Thread(target=wrong.serve_forever, daemon=True).start()
        found = node(server, f"http://127.0.0.1:{wrong.server_port}", tmp_path).cat_file(MOSAIC)
        wrong.shutdown()
    assert hashlib.md5(found).digest() == hashlib.md5(right).digest()
    assert len([r for r in caplog.records if told in r.getMessage()]) == 1
