"""Seeing inside: status, metrics, ids of requests, levels, and the dump of tasks."""

from __future__ import annotations

import json
import logging
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from cadcfs import logs
from cadcfs.kernel.requests import Requests
from cadcfs.metrics import METRICS
from tests.rig import CADCFS, Mount, Run, Server

TARGET = "collections/CFHT/by-target/M31"
FILE = f"{TARGET}/2376828p.fits.fz"


@pytest.fixture(scope="module")
def port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as free:
        return int(free.getsockname()[1])


@pytest.fixture(scope="module")
def seen(server: Server, tmp_path_factory: pytest.TempPathFactory, port: int) -> Iterator[Mount]:
    """One mount for all tests of this file, in which a file has been read."""
    place = tmp_path_factory.mktemp("inside")
    (place / "sky").mkdir()
    mounted = Mount(place / "sky", place / "cache", server.registry_url)
    mounted.start("-o", f"metrics_port={port},log_format=json")
    server.forget()
    (mounted.path / FILE).read_bytes()
    yield mounted
    mounted.stop()


def status(mount: Mount) -> dict[str, object]:
    found: dict[str, object] = json.loads((mount.path / ".cadcfs/status.json").read_text())
    return found


def log_lines(mount: Mount) -> list[dict[str, str]]:
    return [json.loads(line) for line in (mount.cache / "cadcfs.log").read_text().splitlines()]


def metrics(text: str) -> dict[str, list[tuple[dict[str, str], float]]]:
    """Samples by name; the client library's parser refuses what is no exposition."""
    found: dict[str, list[tuple[dict[str, str], float]]] = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            found.setdefault(sample.name, []).append((sample.labels, sample.value))
    return found


def test_the_status_tells_cache_reads_services_and_identity(seen: Mount, run: Run) -> None:
    size = (seen.path / FILE).stat().st_size
    facts = status(seen)
    assert facts["mountpoint"] == str(seen.path)
    assert facts["identity"] == {
        "name": "", "how": "", "until": None, "note": "", "text": "anonymous",
    }  # fmt: skip
    assert facts["reads"]["fetched_bytes"] >= size
    assert facts["cache"]["used"] >= size
    assert facts["cache"]["limit"] == 50 << 30
    assert any(s["service"].endswith("/argus") and s["is_well"] for s in facts["services"])
    assert facts["operations"]["lookup"]["count"] >= 4
    # The call that asks is not among those that wait.
    assert facts["under_way"] == []
    text = (seen.path / ".cadcfs/status").read_text()
    told = run(*CADCFS, "status", seen.path)
    assert told.returncode == 0
    for line in ("identity:                   anonymous", "do not answer:              none"):
        assert line in text
        assert line in told.stdout
    by_json = json.loads(run(*CADCFS, "status", "--json", seen.path).stdout)
    assert by_json.keys() == facts.keys()


def test_status_watches_until_it_is_told_to_stop(seen: Mount) -> None:
    command = [*CADCFS, "status", "--watch", "--json", str(seen.path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        looks = [json.loads(process.stdout.readline()) for _ in range(2)]
        process.send_signal(signal.SIGINT)
        process.stdout.read()
    assert process.returncode == 130
    assert looks[0]["process"] == looks[1]["process"]


def test_metrics_are_what_prometheus_reads(seen: Mount, port: int) -> None:
    text = (seen.path / ".cadcfs/metrics").read_text()
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=120) as reply:
        served = reply.read().decode()
    for found in (metrics(text), metrics(served)):
        assert found["cadcfs_cache_misses_total"][0][1] >= 1
        assert found["cadcfs_logged_in"] == [({}, 0.0)]
        assert {labels["operation"] for labels, _ in found["cadcfs_request_seconds_count"]} >= {
            "lookup", "open", "read",
        }  # fmt: skip
        assert found["process_resident_memory_bytes"][0][1] > 1 << 20
    families = {f.name for f in text_string_to_metric_families(text) if f.name.startswith("cadcfs")}
    # Nobody has logged in, so that there is no end of it to tell.
    assert families == METRICS - {"cadcfs_login_expiry_seconds"}


def test_a_port_that_is_taken_is_one_sentence(tmp_path: Path, seen: Mount, port: int) -> None:
    (tmp_path / "sky").mkdir()
    done = subprocess.run(
        [*CADCFS, "mount", "--registry-url", seen.registry_url, "--cache-dir", tmp_path / "cache",
         "-o", f"metrics_port={port}", tmp_path / "sky"],
        capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert done.returncode == 1
    assert done.stderr.startswith(f"cadcfs: metrics_port {port} cannot be used")
    assert len(done.stderr.splitlines()) == 1


def test_a_request_has_one_id_here_and_at_the_archive(seen: Mount, server: Server) -> None:
    server.forget()
    os.listdir(seen.path / "region/83.63_22.01_0.02")
    asked = [r for r in server.requests() if r["adql"] and "83.63" in str(r["adql"])]
    ids = {str(r["run_id"]) for r in asked}
    assert len(ids) == 1
    (run_id,) = ids
    assert re.fullmatch(r"cadcfs-[0-9a-f]{8}-\d+", run_id)
    lines = [line for line in log_lines(seen) if line.get("run_id") == run_id]
    assert any("83.63" in line["message"] for line in lines)
    assert f"[{run_id}]" in (seen.path / ".cadcfs/log").read_text()


def test_levels_change_while_it_runs(seen: Mount) -> None:
    level = seen.path / ".cadcfs/log_level"
    assert level.read_text() == "info\n"
    with pytest.raises(OSError, match="Invalid argument"):
        level.write_text("chatty")
    level.write_text("debug\n")
    try:
        with pytest.raises(FileNotFoundError):
            (seen.path / "collections/NOSUCH/by-target").stat()
        assert any(line["level"] == "DEBUG" for line in log_lines(seen))
    finally:
        level.write_text("info\n")
    assert status(seen)["log_level"] == "info"


def test_config_tells_the_settings_in_force(seen: Mount, port: int) -> None:
    text = (seen.path / ".cadcfs/config").read_text()
    assert f"metrics_port = {port}\n" in text
    assert f'cache_dir = "{seen.cache}"\n' in text


def test_what_waits_is_told_with_path_age_and_process(seen: Mount, server: Server) -> None:
    fault = server.fault("latency", seconds=20, path="/argus/")
    script = f"import os; os.listdir({str(seen.path / 'region/10.68_41.27_0.01')!r})"
    reader = subprocess.Popen([sys.executable, "-c", script])
    try:
        while not (waiting := status(seen)["under_way"]):
            assert reader.poll() is None
            time.sleep(0.05)
        (call,) = waiting
        assert call["path"] == "/region/10.68_41.27_0.01"
        assert call["pid"] == reader.pid
        assert "python" in call["program"]
        assert 0 <= call["age"] < 60
        assert f"by {call['program']} ({reader.pid})" in (seen.path / ".cadcfs/status").read_text()
    finally:
        server.mend(fault)
        reader.kill()
        reader.wait(timeout=120)


def test_a_failure_is_among_the_last_errors_and_is_counted(seen: Mount) -> None:
    with pytest.raises(OSError, match="Invalid argument"):
        os.listdir(seen.path / "region/400_0_1")
    facts = status(seen)
    assert facts["errors"]["EINVAL"] >= 1
    assert any("400" in line and "EINVAL" in line for line in facts["last_errors"])


def test_a_signal_has_all_tasks_told(seen: Mount) -> None:
    os.kill(seen.pid(), signal.SIGUSR1)
    deadline = time.monotonic() + 30
    while not (told := [e for e in log_lines(seen) if e["message"].startswith("SIGUSR1")]):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    message = told[0]["message"]
    assert re.search(r"\d+ tasks:", message)
    assert "_end_on_signal" in message
    assert re.search(r"\d+ threads:", message)


def test_the_journal_gets_fields(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    place = tmp_path / "journal"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as journal:
        journal.bind(str(place))
        monkeypatch.setattr(logs, "JOURNAL", place)
        logger = logging.getLogger("cadcfs")
        before, level = list(logger.handlers), logger.level
        logs.start(form=logs.LogFormat.journal)
        try:
            with logs.caused_by("cadcfs-1-2"):
                logger.info("a word")
            told = journal.recv(65536).decode()
        finally:
            for handler in set(logger.handlers) - set(before):
                logger.removeHandler(handler)
                if hasattr(handler, "transport"):
                    handler.transport.socket.close()
            logger.setLevel(level)
    assert "MESSAGE=a word\n" in told
    assert "EXTRA_RUN_ID=cadcfs-1-2\n" in told
    assert "PRIORITY=6\n" in told


def test_requests_are_counted_by_operation_and_duration() -> None:
    requests = Requests()
    first, second = requests.begin("read", (None,)), requests.begin("read", (None,))
    assert requests.under_way() == [first, second]
    seen_by_thread: list[str] = []
    thread = threading.Thread(target=lambda: seen_by_thread.append(logs.run_id()))
    thread.start()
    thread.join()
    # A thread of nobody's has no cause; what the task starts has.
    assert seen_by_thread == [""]
    assert logs.run_id() == str(second)
    requests.end(first)
    assert requests.under_way() == [second]
    ((name, told),) = requests.statistics()
    assert (name, told.count, sum(told.buckets)) == ("read", 1, 1)
    logs.set_cause("")
