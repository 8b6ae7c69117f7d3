"""An origin of large files that are made as they are asked for, and a mount of it."""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator, Mapping
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
    server: Origin

    def _number(self) -> int:
        return int(self.path.rpartition("/")[2].removesuffix(".fits"))

    def do_HEAD(self) -> None:
        self.send_response(200)
        self.send_header("Content-Length", str(self.server.size(self._number())))
        self.end_headers()

    def do_GET(self) -> None:
        number = self._number()
        found = re.match(r"bytes=(\d+)-(\d+)", self.headers["Range"])
        assert found
        start, stop = int(found[1]), int(found[2]) + 1
        self.server.asked.append((number, start, stop))
        content = self.server.contents.get(number)
        self.send_response(206)
        self.send_header("Content-Range", f"bytes {start}-{stop - 1}/{self.server.size(number)}")
        self.send_header("Content-Length", str(stop - start))
        self.end_headers()
        if content is not None:
            self.wfile.write(content[start:stop])
            return
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
    """Serves blocks, or what *contents* has under a file's number; *asked* tells of each range."""

    daemon_threads = True
    request_queue_size = 128

    def __init__(self, contents: Mapping[int, bytes]) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.contents = contents
        self.asked: list[tuple[int, int, int]] = []

    def size(self, number: int) -> int:
        return len(self.contents[number]) if number in self.contents else SIZE

    def moved(self) -> tuple[int, int]:
        """Requests and bytes since the last call."""
        taken, self.asked = self.asked, []
        return len(taken), sum(stop - start for _, start, stop in taken)


def _entries(origin: Origin, listed: int, told: Mapping[int, int]) -> list[Entry]:
    prefix = f"cadc:{COLLECTION}"
    found = [
        Entry("large", f"{prefix}/{n}.fits", told.get(n, origin.size(n))) for n in range(FILES)
    ]
    return found + [Entry("long", f"{prefix}/e{n}.fits", 1000 + n) for n in range(listed)]


@contextmanager
def running(
    where: Path,
    contents: Mapping[int, bytes] | None = None,
    listed: int = 1,
    told: Mapping[int, int] | None = None,
) -> Iterator[tuple[Mount, list[Path], Origin]]:
    """A mount, the paths of its large files, and their origin; *listed* files are a directory.

    *told* are sizes that the metadata have wrong.
    """
    with (
        Origin(contents or {}) as origin, Tables(_entries(origin, listed, told or {})) as tables,
        _serving(origin), _serving(tables),
    ):  # fmt: skip
        path = where / "large"
        path.mkdir()
        mount = Mount(path, where / "cache", "http://127.0.0.1:9/unused")
        urls = f"tap_url=http://127.0.0.1:{tables.server_port}/tap"
        urls += f",files_url=http://127.0.0.1:{origin.server_port}/files"
        mount.start("-o", f"{urls},cache_size=2G")
        try:
            directory = path / "collections" / COLLECTION / "by-observation" / "large"
            yield mount, [directory / f"{number}.fits" for number in range(FILES)], origin
        finally:
            mount.stop()


@contextmanager
def _serving(server: ThreadingHTTPServer) -> Iterator[None]:
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    try:
        yield
    finally:
        server.shutdown()
        thread.join()
