"""The real embedded archive and a real kernel mount, each in a process of its own."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from cadcfs.demo.archive import Archive, open_or_build
from cadcfs.kernel import mountpoints
from tests.recording.records import declare

CADCFS = (sys.executable, "-m", "cadcfs")
LOGGED = re.compile(r"^\S+ \S+ (WARNING|ERROR|CRITICAL) ")


@dataclass
class Server:
    """The embedded archive in a process of its own."""

    archive: Archive
    registry_url: str
    process: subprocess.Popen[str]
    said: list[str]
    """What it printed when it began, line by line; the first is the registry's URL."""

    @property
    def secure_registry_url(self) -> str:
        """The same services with TLS, for clients with a certificate."""
        return next(line.split()[-1] for line in self.said if "https://" in line)

    @property
    def certificates(self) -> Path:
        """Directory of ca.pem, demo.pem and guest.pem."""
        return next(Path(line.split()[-1]) for line in self.said if line.endswith("ca.pem")).parent

    def requests(self) -> list[dict[str, object]]:
        """What was asked since the last `forget`."""
        with self._ask("requests") as reply:
            found: list[dict[str, object]] = json.load(reply)
        return found

    def forget(self) -> None:
        self._ask("requests", "DELETE").close()

    def queries(self) -> list[str]:
        """The ADQL of each query that was run."""
        return [str(r["adql"]) for r in self.requests() if r["adql"] and r["status"] == 200]

    def bytes_sent(self, path_part: str) -> int:
        return sum(
            int(str(r["bytes_sent"])) for r in self.requests() if path_part in str(r["path"])
        )

    def fault(self, kind: str, **told: object) -> int:
        """Let something go wrong from now on; returns the number to mend it by."""
        with self._ask("faults", "POST", json.dumps({"kind": kind, **told}).encode()) as reply:
            return int(json.load(reply)["id"])

    def mend(self, number: int | None = None) -> None:
        """End a fault, or all of them."""
        self._ask("faults" if number is None else f"faults/{number}", "DELETE").close()

    def _ask(
        self, what: str, method: str = "GET", body: bytes | None = None
    ) -> http.client.HTTPResponse:
        url = self.registry_url.replace("/reg/resource-caps", f"/demo/{what}")
        request = urllib.request.Request(url, method=method, data=body)
        # By no proxy: it is the test that asks.
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        reply = opener.open(request, timeout=120)
        assert isinstance(reply, http.client.HTTPResponse)
        return reply


@dataclass
class Mount:
    """A mount by the command, in the background as users have it."""

    path: Path
    cache: Path
    registry_url: str
    command: tuple[str, ...] = CADCFS

    def start(self, *options: str, environ: dict[str, str] | None = None) -> None:
        command = [*self.command, "mount", "--registry-url", self.registry_url]
        command += ["--cache-dir", str(self.cache), *options, str(self.path)]
        # All tests are one group of processes, which asks more than any person would.
        unguarded = {"CADCFS_WALK_ALLOWANCE": "0"}
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=120, check=False,
            env=os.environ | unguarded | (environ or {}),
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        assert done.stdout == ""

    def stop(self) -> None:
        pid = self.pid() if self.answers() else None
        done = subprocess.run(
            [*CADCFS, "umount", "--lazy", str(self.path)],
            capture_output=True, text=True, timeout=120, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        if pid is not None:
            wait_for_end(pid)

    def answers(self) -> bool:
        return self.is_mounted() and not mountpoints.is_dead(self.path)

    def restart(self) -> None:
        self.stop()
        self.start()

    def pid(self) -> int:
        status = (self.path / ".cadcfs" / "status").read_text()
        found = re.search(r"^process: *(\d+)$", status, re.MULTILINE)
        assert found
        return int(found[1])

    def is_mounted(self) -> bool:
        return mountpoints.mounted_type(self.path) is not None

    def log(self) -> str:
        file = self.cache / "cadcfs.log"
        return file.read_text() if file.exists() else ""

    def warnings(self) -> list[str]:
        return [line for line in self.log().splitlines() if LOGGED.match(line)]


def wait_for_end(pid: int, seconds: float = 120) -> None:
    import select

    try:
        process = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    try:
        assert select.select([process], [], [], seconds)[0], f"process {pid} does not end"
    finally:
        os.close(process)


def until(condition: Callable[[], object], seconds: float = 120) -> None:
    """Return when *condition* holds; the time is a safety net, not a measurement."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it does not happen"
        time.sleep(0.02)


def copied(source: Path, target: Path) -> None:
    """Copy a directory: by links, or whole where *target* is on another file system."""
    is_same = source.stat().st_dev == target.parents[1].stat().st_dev
    shutil.copytree(
        source, target, symlinks=True, copy_function=os.link if is_same else shutil.copy2
    )


@contextlib.contextmanager
def running_server(data_dir: Path, *options: str) -> Iterator[Server]:
    """An embedded archive of one's own, in a process of its own."""
    archive = open_or_build(data_dir, small="--small" in options)
    process = subprocess.Popen(
        [*CADCFS, "demo", "--serve-only", "--data-dir", str(data_dir), *options],
        stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert process.stdout is not None
    said = [process.stdout.readline().rstrip("\n")]
    url = said[0]
    assert url.startswith("http://127.0.0.1:"), url
    while "/demo/faults" not in said[-1]:
        said.append(process.stdout.readline().rstrip("\n"))
    try:
        running = Server(archive, url, process, said)
        declare(url)
        declare(running.secure_registry_url, certificates=running.certificates)
        yield running
    finally:
        process.send_signal(signal.SIGTERM)
        code = process.wait(timeout=120)
        process.stdout.close()
    assert code == 0


Run = Callable[..., subprocess.CompletedProcess[str]]
