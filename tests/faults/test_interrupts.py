"""^C and kill end a wait for the network within a second, and nobody else's."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from cadcfs.kernel.interrupts import told_to_stop
from tests.rig import Mount, Server, running_server, until

COLD = "collections/CFHT/by-target/M31"
SHELL_IS_BACK = 1.0
"""Seconds; the tests allow ten times as much, for the machine may be busy."""


@pytest.fixture
def stalled(data_dir: Path) -> Iterator[Server]:
    """A server of this test alone, to be stopped and continued."""
    with running_server(data_dir) as running:
        yield running
        running.process.send_signal(signal.SIGCONT)


@pytest.fixture
def place(stalled: Server, tmp_path: Path) -> Iterator[Path]:
    path = tmp_path / "sky"
    path.mkdir()
    mounted = Mount(path, tmp_path / "cache", stalled.registry_url)
    mounted.start()
    yield path
    mounted.stop()


def asleep_in(pid: int, word: str) -> bool:
    """True once the process waits in the kernel for an answer of ours."""
    try:
        return word in Path(f"/proc/{pid}/wchan").read_text()
    except OSError:
        return False


def start(*command: object) -> subprocess.Popen[str]:
    process = subprocess.Popen(
        [*map(str, command)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    until(lambda: asleep_in(process.pid, "fuse") or asleep_in(process.pid, "request_wait"))
    return process


def code(process: subprocess.Popen[str]) -> int:
    """How it ended; soon."""
    process.communicate(timeout=10 * SHELL_IS_BACK)
    return process.returncode


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_one_is_stopped_and_the_others_wait_on(
    stalled: Server, place: Path, number: signal.Signals
) -> None:
    stalled.process.send_signal(signal.SIGSTOP)
    told, other = start("ls", place / COLD), start("ls", place / COLD)
    told.send_signal(number)
    assert code(told) == -number
    assert other.poll() is None
    stalled.process.send_signal(signal.SIGCONT)
    out, err = other.communicate(timeout=120)
    assert other.returncode == 0, err
    assert sorted(out.split()) == sorted(os.listdir(place / COLD))
    assert sum("m31" in adql for adql in stalled.queries()) == 1


def test_a_read_is_stopped(stalled: Server, place: Path) -> None:
    file = place / COLD / "2376828p.fits.fz"
    file.stat()
    stalled.process.send_signal(signal.SIGSTOP)
    reader = start("cat", file)
    reader.send_signal(signal.SIGINT)
    assert code(reader) == -signal.SIGINT
    stalled.process.send_signal(signal.SIGCONT)
    assert len(file.read_bytes()) == file.stat().st_size


def test_a_python_program_hears_its_keyboard_interrupt(stalled: Server, place: Path) -> None:
    stalled.process.send_signal(signal.SIGSTOP)
    program = "import os, sys\ntry: os.listdir(sys.argv[1])\nexcept KeyboardInterrupt: sys.exit(7)"
    waiter = start("python3", "-c", program, place / COLD)
    waiter.send_signal(signal.SIGINT)
    assert code(waiter) == 7


def test_what_does_not_mean_stop_does_not_stop(stalled: Server, place: Path) -> None:
    stalled.process.send_signal(signal.SIGSTOP)
    program = (
        "import os, signal, sys\n"
        "for s in (signal.SIGALRM, signal.SIGURG, signal.SIGWINCH): signal.signal(s, print)\n"
        "signal.signal(signal.SIGINT, signal.SIG_IGN)\n"
        "print(len(os.listdir(sys.argv[1])))"
    )
    waiter = start("python3", "-c", program, place / COLD)
    for number in (signal.SIGALRM, signal.SIGURG, signal.SIGWINCH, signal.SIGINT):
        waiter.send_signal(number)
    assert not told_to_stop(waiter.pid)
    stalled.process.send_signal(signal.SIGCONT)
    out, err = waiter.communicate(timeout=120)
    assert waiter.returncode == 0, err
    assert int(out.split()[-1]) == len(os.listdir(place / COLD))


def test_who_cannot_be_seen_is_never_stopped() -> None:
    assert not told_to_stop(0)
    assert not told_to_stop(1 << 30)
