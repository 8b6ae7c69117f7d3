"""An origin of large files that are made as they are asked for, and a mount of it."""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from bench.data import COLLECTION, Entry
from bench.origin import Tables
from tests.rig import Mount

SIZE = 1 << 30
FILES = 64
BLOCK = 65536


@cache
def _pattern() -> bytes:
    return bytes(range(256)) * (BLOCK // 256 - 1)


def block(number: int, index: int) -> bytes:
    """One block of one file: 256 bytes that tell which, and a pattern."""
    return f"{number} {index} ".encode().ljust(256, b".") + _pattern()


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        number = int(self.path.rpartition("/")[2].removesuffix(".fits"))
        found = re.match(r"bytes=(\d+)-(\d+)", self.headers["Range"])
        assert found
        start, stop = int(found[1]), int(found[2]) + 1
        self.send_response(206)
        self.send_header("Content-Range", f"bytes {start}-{stop - 1}/{SIZE}")
        self.send_header("Content-Length", str(stop - start))
        self.end_headers()
        for index in range(start // BLOCK, -(-stop // BLOCK)):
            begin = index * BLOCK
            content = block(number, index)
            self.wfile.write(content[max(0, start - begin) : stop - begin])

    def handle(self) -> None:
        try:
            super().handle()
        except ConnectionError:
            return

    def log_message(self, *_: object) -> None:
        pass


class Origin(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128


@contextmanager
def running(where: Path) -> Iterator[tuple[Mount, list[Path]]]:
    entries = [Entry("large", f"cadc:{COLLECTION}/{number}.fits", SIZE) for number in range(FILES)]
    with Tables(entries) as tables, Origin(("127.0.0.1", 0), Handler) as origin:
        threads = [
            threading.Thread(target=server.serve_forever, args=(0.05,))
            for server in (tables, origin)
        ]
        for thread in threads:
            thread.start()
        path = where / "large"
        path.mkdir()
        mount = Mount(path, where / "cache", "http://127.0.0.1:9/unused")
        urls = f"tap_url=http://127.0.0.1:{tables.server_port}/tap"
        urls += f",files_url=http://127.0.0.1:{origin.server_port}/files"
        mount.start("-o", f"{urls},cache_size=2G")
        try:
            directory = path / "collections" / COLLECTION / "by-observation" / "large"
            yield mount, [directory / f"{number}.fits" for number in range(FILES)]
        finally:
            mount.stop()
            for server in (tables, origin):
                server.shutdown()
            for thread in threads:
                thread.join()
