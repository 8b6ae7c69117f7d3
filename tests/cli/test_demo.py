"""The command that serves the embedded archive."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import urllib.error
import urllib.request
from pathlib import Path

import pytest

from cadcfs.cli.demo import PID_FILE, _stop, port_of_last_time
from cadcfs.demo.faults.kinds import FILTERS, KINDS
from tests.rig import running_server, wait_for_end

CADCFS = (sys.executable, "-m", "cadcfs")


def test_the_help_tells_every_fault_and_option() -> None:
    done = subprocess.run(
        [*CADCFS, "demo", "--help"], capture_output=True, text=True, timeout=120, check=True
    )
    words = " ".join(done.stdout.split())
    for name, kind in KINDS.items():
        assert f"{name}: {kind.help}." in words
        for option in (*kind.options, *FILTERS):
            assert f"{option}: " in words


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        ("meteor", "unknown fault: meteor"),
        ("reset after=soon", "after cannot be"),
        ("replaced uri=cadc:NO/such.fits", "there is no file"),
    ],
)
def test_a_fault_that_is_none_is_one_sentence(data_dir: Path, fault: str, words: str) -> None:
    command = [*CADCFS, "demo", "--serve-only", "--data-dir", str(data_dir), "--fault", fault]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("cadcfs: --fault: ")
    assert len(done.stderr.splitlines()) == 1
    assert words in done.stderr


def test_a_port_that_is_taken_is_one_sentence(data_dir: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        for option in ("--port", "--tls-port"):
            command = [*CADCFS, "demo", "--serve-only", "--data-dir", str(data_dir)]
            done = subprocess.run(
                [*command, option, str(port)],
                capture_output=True, text=True, timeout=120, check=False,
            )  # fmt: skip
            assert (done.returncode, done.stdout) == (1, "")
            assert done.stderr == "cadcfs: cannot serve on 127.0.0.1: Address already in use\n"


def test_what_is_said_at_the_start_is_all_that_is_needed(data_dir: Path, tmp_path: Path) -> None:
    log = tmp_path / "requests.txt"
    options = ("--fault", "busy path=/availability$ status=500", "--request-log", str(log))
    with running_server(data_dir, *options) as server:
        said = server.said
        base = server.registry_url.removesuffix("/reg/resource-caps")
        for words in (f"{base}/demo/requests", f"{base}/demo/faults", str(log), "https://"):
            assert any(words in line for line in said)
        paths = [Path(word) for line in said for word in line.split() if word.endswith(".pem")]
        assert [path.name for path in paths] == ["ca.pem", "demo.pem"]
        assert all(path.is_file() for path in paths)
        with pytest.raises(urllib.error.HTTPError) as caught:
            urllib.request.urlopen(f"{base}/argus/availability", timeout=120)
        caught.value.close()
        assert caught.value.code == 500
        number = server.fault("empty-registry")
        with urllib.request.urlopen(server.registry_url, timeout=120) as reply:
            assert reply.read() == b""
        server.mend(number)
        assert [record["faults"] for record in server.requests()] == [["busy"], ["empty-registry"]]
    lines = log.read_text().splitlines()
    assert [line.split("\t")[8] for line in lines[1:]] == ["busy", "empty-registry"]


def test_short_options_are_faults(data_dir: Path) -> None:
    options = ("--like-cadc", "--latency", "0.01", "--bandwidth", "1e9", "--token-life", "0")
    with running_server(data_dir, *options) as server:
        base = server.registry_url.removesuffix("/reg/resource-caps")
        with urllib.request.urlopen(f"{base}/demo/faults", timeout=120) as reply:
            told = {fault["kind"]: fault for fault in json.load(reply)}
        assert set(told) == {"like-cadc", "latency", "bandwidth"}
        assert told["latency"]["seconds"] == 0.01
        assert told["bandwidth"]["rate"] == 1e9
        form = b"username=demo&password=demo"
        with urllib.request.urlopen(f"{base}/ac/login", form, timeout=120) as reply:
            token = reply.read().decode()
        request = urllib.request.Request(
            f"{base}/ac/whoami", headers={"Authorization": f"Bearer {token}"}
        )
        with pytest.raises(urllib.error.HTTPError) as caught:
            urllib.request.urlopen(request, timeout=120)
        caught.value.close()
        assert caught.value.code == 401


def test_a_mount_point_whose_daemon_was_killed_is_used_again(
    data_dir: Path, tmp_path: Path
) -> None:
    place = tmp_path / "sky"
    command = [*CADCFS, "demo", "--background", "--data-dir", str(data_dir), str(place)]
    stop = [*CADCFS, "demo", "--stop", "--data-dir", str(data_dir), str(place)]
    try:
        for _ in range(2):
            done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
            assert (done.returncode, done.stderr) == (0, "")
            assert (place / "README.txt").is_file()
            pid = int((data_dir / "demo.pid").read_text())
            os.kill(pid, signal.SIGKILL)
            wait_for_end(pid)
    finally:
        subprocess.run(stop, timeout=120, check=True)
    assert not os.path.ismount(place)
    assert int((data_dir / "port").read_text()) > 0


def test_a_demo_that_does_not_end_is_ended(
    data_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(_stop.__globals__, "STOP_TIME", 0.5)
    command = [*CADCFS, "demo", "--serve-only", "--background", "--data-dir", str(data_dir)]
    subprocess.run(command, capture_output=True, timeout=120, check=True)
    pid_file = data_dir / PID_FILE
    pid = int(pid_file.read_text())
    os.kill(pid, signal.SIGSTOP)
    _stop(pid_file, tmp_path / "sky")
    wait_for_end(pid)
    assert not pid_file.exists()


def test_the_port_of_the_last_mount_is_taken_if_it_is_free(tmp_path: Path) -> None:
    """Jobs and answers go by the archive's address."""
    file = tmp_path / "port"
    assert port_of_last_time(file) == 0
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        file.write_text(f"{port}\n")
        assert port_of_last_time(file) == 0
    assert port_of_last_time(file) == port
    file.write_text("no port\n")
    assert port_of_last_time(file) == 0
