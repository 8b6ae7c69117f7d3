"""The origin: nginx with the bytes, in the clear and over TLS, and a small table service.

nginx writes an access log, which is the measure of requests and bytes. The table service answers
the few questions that the mount asks, from a list, as VOTable.
"""

from __future__ import annotations

import os
import re
import socket
import subprocess
import threading
import time
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Self
from urllib.parse import parse_qs

from bench.data import COLLECTION, Entry
from cadcfs.archive.queries import LISTED_COLUMNS

NGINX = """
{user}
worker_processes 1;
daemon off;
pid {where}/nginx.pid;
error_log {where}/error.log warn;
events {{ worker_connections 256; }}
http {{
    log_format bytes '$request_method $status $body_bytes_sent $uri $http_range';
    access_log {where}/access.log bytes;
    sendfile on;
    tcp_nopush on;
    keepalive_requests 1000000;
    default_type application/octet-stream;
    types {{ text/html html; }}
    server {{
        listen 127.0.0.1:{plain};
        listen 127.0.0.1:{tls} ssl;
        ssl_certificate {where}/server.pem;
        ssl_certificate_key {where}/server.key;
        root {root};
        autoindex on;
    }}
}}
"""


@dataclass(frozen=True)
class Moved:
    """What crossed the network: bytes of bodies, and requests."""

    bytes: int
    requests: int


class Origin:
    """Runs both servers; use as a context manager."""

    def __init__(self, root: Path, where: Path, entries: Iterable[Entry]) -> None:
        self._root = root
        self._where = where
        self.plain_port, self.tls_port = _free_port(), _free_port()
        self.certificate = where / "authority.pem"
        self._tables = Tables(entries)
        self._nginx: subprocess.Popen[bytes] | None = None
        self._read = 0

    def __enter__(self) -> Self:
        self._where.mkdir(parents=True, exist_ok=True)
        self._certify()
        (self._where / "nginx.conf").write_text(
            NGINX.format(
                user="user root;" * (os.geteuid() == 0),
                where=self._where,
                root=self._root,
                plain=self.plain_port,
                tls=self.tls_port,
            )
        )
        (self._where / "access.log").write_text("")
        self._nginx = subprocess.Popen(
            ["nginx", "-p", self._where, "-c", self._where / "nginx.conf"],
            stderr=subprocess.DEVNULL,
        )
        _wait_for(self.plain_port)
        threading.Thread(target=self._tables.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        assert self._nginx is not None
        self._nginx.terminate()
        self._nginx.wait(10)
        self._tables.shutdown()

    def url(self, *, tls: bool = False) -> str:
        """Base of all files, with a directory listing for peers that need one."""
        port = self.tls_port if tls else self.plain_port
        return f"http{'s' * tls}://{'localhost' if tls else '127.0.0.1'}:{port}"

    @property
    def tap_url(self) -> str:
        return f"http://127.0.0.1:{self._tables.server_port}/tap"

    @property
    def queries(self) -> int:
        return self._tables.asked

    def moved(self) -> Moved:
        """What nginx has sent since the last call; the log is written as answers end."""
        time.sleep(0.2)
        raw = (self._where / "access.log").read_bytes()
        lines = raw[self._read :].decode().splitlines()
        self._read = len(raw)
        return Moved(sum(int(line.split()[2]) for line in lines), len(lines))

    def _certify(self) -> None:
        import trustme

        authority = trustme.CA()
        authority.cert_pem.write_to_path(str(self.certificate))
        server = authority.issue_cert("localhost")
        server.private_key_pem.write_to_path(str(self._where / "server.key"))
        with (self._where / "server.pem").open("wb") as file:
            for blob in server.cert_chain_pems:
                file.write(blob.bytes())


class Tables(ThreadingHTTPServer):
    """TAP as far as a mount asks it."""

    daemon_threads = True

    def __init__(self, entries: Iterable[Entry]) -> None:
        super().__init__(("127.0.0.1", 0), TableHandler)
        self.asked = 0
        self.answers: dict[str, bytes] = {}
        by_observation: dict[str, list[Entry]] = {}
        for entry in entries:
            by_observation.setdefault(entry.observation, []).append(entry)
        for observation, listed in by_observation.items():
            rows = (tuple(row_of(entry)[column] for column in LISTED_COLUMNS) for entry in listed)
            self.answers[observation] = votable(len(LISTED_COLUMNS), rows)


def row_of(entry: Entry) -> dict[str, str]:
    """One artifact with its plane and observation, by column; what is not known is empty."""
    known = {
        "o.observationID": entry.observation,
        "p.productID": "p",
        "p.publisherID": f"ivo://x?{entry.observation}/p",
        "p.metaRelease": "2000-01-01T00:00:00.000",
        "p.dataRelease": "2000-01-01T00:00:00.000",
        "a.uri": entry.uri,
        "a.productType": "science",
        "a.releaseType": "data",
        "a.contentType": "application/fits",
        "a.contentLength": str(entry.size),
        "a.contentChecksum": f"md5:{entry.md5}" if entry.md5 else "",
        "a.lastModified": "2020-01-01T00:00:00.000",
    }
    return defaultdict(str, known)


class TableHandler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Tables

    def do_POST(self) -> None:
        self.server.asked += 1
        body = self.rfile.read(int(self.headers["Content-Length"])).decode()
        query = parse_qs(body)["QUERY"][0]
        self._send(self._answer(query))

    def _answer(self, query: str) -> bytes:
        if "SUM(num_tuples)" in query:
            return votable(2, [(COLLECTION, str(len(self.server.answers)))])
        if "EnumField" in query:
            return votable(6, [])
        if "LEFT OUTER JOIN" not in query:
            return votable(1, ((observation,) for observation in self.server.answers))
        asked = re.search(r"o\.observationID = '([^']*)'", query)
        return self.server.answers.get(asked[1] if asked else "", votable(len(LISTED_COLUMNS), []))

    def _send(self, body: bytes) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "application/x-votable+xml")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


def votable(columns: int, rows: Iterable[tuple[str, ...]]) -> bytes:
    """A whole VOTable of text columns."""
    fields = "".join(f'<FIELD name="c{n}" datatype="char" arraysize="*"/>' for n in range(columns))
    cells = "\n".join(
        "<TR>" + "".join(f"<TD>{value}</TD>" for value in row) + "</TR>" for row in rows
    )
    return (
        '<?xml version="1.0" encoding="UTF-8"?>'
        '<VOTABLE xmlns="http://www.ivoa.net/xml/VOTable/v1.3" version="1.3">'
        '<RESOURCE type="results"><INFO name="QUERY_STATUS" value="OK"/>'
        f"<TABLE>{fields}<DATA><TABLEDATA>{cells}</TABLEDATA></DATA></TABLE>"
        "</RESOURCE></VOTABLE>"
    ).encode()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _wait_for(port: int) -> None:
    for _ in range(100):
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
        except OSError:
            time.sleep(0.05)
        else:
            return
    raise TimeoutError(f"nothing listens on port {port}")
