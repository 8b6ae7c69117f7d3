"""Private files through `cadc://`: for the worker's own account, and never through the site."""

from __future__ import annotations

import os
import subprocess
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest

from tests.mount.test_identity import FILE, PROPRIETARY, Person
from tests.rig import Server

pytestmark = pytest.mark.usefixtures("recorded")

PATH = f"{PROPRIETARY}/{FILE}"
WORKER = """
import signal, sys, time, fsspec
signal.alarm(120)
path, url, cache, site = sys.argv[1:]
cadc = fsspec.filesystem("cadc", registry_url=url, cache_dir=cache, site_cache=site)
def answer(read):
    try:
        return read()
    except PermissionError:
        return "refused"
print(answer(lambda: cadc.cat_file(path, 0, 6)), flush=True)
sys.stdin.readline()
while (found := answer(lambda: cadc.cat_file(path, 0, 6))) == "refused":
    time.sleep(0.05)
print(found, flush=True)
file = cadc.open(path)
sys.stdin.readline()
while answer(lambda: cadc.cat_file(path, 0, 6)) != "refused":
    time.sleep(0.05)
print(answer(lambda: file.read(6)), flush=True)
"""


def test_an_account_reads_until_its_logout_and_past_the_site(
    server: Server, tmp_path: Path
) -> None:
    asked: list[str] = []

    class Site(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            self.send_error(502)

    person = Person(server, tmp_path / "state")
    with ThreadingHTTPServer(("127.0.0.1", 0), Site) as site:
        Thread(target=site.serve_forever, daemon=True).start()
        words = [PATH, server.registry_url, str(tmp_path / "cache"),
                 f"http://127.0.0.1:{site.server_port}"]  # fmt: skip
        with subprocess.Popen(
            [sys.executable, "-c", WORKER, *words], env=os.environ | person.environ, text=True,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        ) as worker:  # fmt: skip
            assert worker.stdin is not None
            assert worker.stdout is not None
            assert worker.stdout.readline() == "refused\n"
            person.login()
            print(file=worker.stdin, flush=True)
            assert worker.stdout.readline() == "b'SIMPLE'\n"
            person.logout()
            print(file=worker.stdin, flush=True)
            assert worker.stdout.readline() == "refused\n"
        site.shutdown()
    assert not [path for path in asked if FILE in path]
