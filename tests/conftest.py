"""Shared rules: a log line at WARNING or above that a test did not expect fails it."""

from __future__ import annotations

import fcntl
import logging
import re
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import hypothesis
import pytest

from tests.recording.fixtures import (
    all_is_recorded,
    pytest_terminal_summary,
    pytest_testnodedown,
    recorded,
    recorded_by_name,
    recorder,
)
from tests.recording.records import Recording
from tests.rig import Mount, Run, Server, running_server, until

__all__ = [
    "all_is_recorded", "pytest_terminal_summary", "pytest_testnodedown", "recorded",
    "recorded_by_name", "recorder",
]  # fmt: skip

# How long an example takes is no verdict: the machine may be busy.
hypothesis.settings.register_profile("untimed", deadline=None)
hypothesis.settings.load_profile("untimed")

ExpectLog = Callable[[str], None]


def pytest_sessionstart(session: pytest.Session) -> None:
    """Queries without end, left by a run that was ended, would take the places of this run's."""
    config = session.config
    if hasattr(config, "workerinput") or config.cache is None:
        return
    for lock in config.cache.mkdir("archive").parent.glob("*/jobs*/lock"):
        with lock.open("a") as held:
            try:
                fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                continue
            for job in lock.parent.iterdir():
                if job.is_dir():
                    shutil.rmtree(job)


@pytest.fixture
def expected_log() -> list[str]:
    """Patterns of the warnings that the test means to cause."""
    return []


@pytest.fixture
def expect_log(expected_log: list[str]) -> ExpectLog:
    """Call it with a pattern of each warning that the test means to cause."""
    return expected_log.append


@pytest.fixture(autouse=True)
def no_unexpected_warnings(
    caplog: pytest.LogCaptureFixture, expected_log: list[str]
) -> Iterator[None]:
    yield
    lines = [
        f"{record.name}: {record.getMessage()}"
        for record in caplog.get_records("call")
        if record.levelno >= logging.WARNING and record.name.startswith("cadcfs")
    ]
    unexpected = [line for line in lines if not any(re.search(p, line) for p in expected_log)]
    assert not unexpected, f"unexpected log lines: {unexpected}"


SECRET = re.compile(rb"dXNlcklEP[\w-]{8,}~[\w-]{16}|dXJpP[\w-]{8,}~[\w-]{16}|PRIVATE KEY-")
"""The embedded archive's tokens, of logins and of addresses that let in; keys of certificates."""
LARGE = 4 << 20
"""Bytes on disk of a file that holds the archive's own bytes, not what the mount writes."""


@pytest.fixture(scope="session", autouse=True)
def no_secret_is_left(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """After all tests: neither a log nor a cache of any mount holds a secret."""
    yield
    caches = [log.parent for log in tmp_path_factory.getbasetemp().rglob("cadcfs.log")]
    files = [path for cache in caches for path in cache.rglob("*") if path.is_file()]
    told = [
        str(path)
        for path in files
        if path.stat().st_blocks * 512 < LARGE and SECRET.search(path.read_bytes())
    ]
    assert not told, f"secrets in {told}"


@pytest.fixture(scope="session")
def data_dir(request: pytest.FixtureRequest) -> Path:
    """Where the embedded archive is built once and kept between runs."""
    assert request.config.cache is not None
    return request.config.cache.mkdir("archive")


@pytest.fixture(scope="session")
def server(data_dir: Path, recorder: Recording) -> Iterator[Server]:
    with running_server(data_dir) as running:
        yield running


@pytest.fixture
def mount(server: Server, tmp_path: Path, expected_log: list[str]) -> Iterator[Mount]:
    """A fresh mount with an empty cache; unexpected warnings in its log fail the test."""
    path = tmp_path / "sky"
    path.mkdir()
    mounted = Mount(path, tmp_path / "cache", server.registry_url)
    server.forget()
    mounted.start()
    # A mount asks for the collections by itself, which no test means to count.
    until(server.queries)
    server.forget()
    yield mounted
    if mounted.is_mounted():
        mounted.stop()
    unexpected = [
        line for line in mounted.warnings() if not any(re.search(p, line) for p in expected_log)
    ]
    assert not unexpected, unexpected


@pytest.fixture
def run() -> Run:
    """Run a program to its end; its output as text."""

    def runner(*command: object, timeout: float = 120) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [str(word) for word in command],
            capture_output=True, text=True, timeout=timeout, check=False,
        )  # fmt: skip

    return runner
