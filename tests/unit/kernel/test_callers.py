"""Who asks, told by the process behind a thread."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from cadcfs.config import LOOKERS
from cadcfs.kernel.callers import Lookers, caller_of


def test_a_thread_is_its_process() -> None:
    found = []

    def look() -> None:
        found.append(caller_of(threading.get_native_id(), 0))

    thread = threading.Thread(target=look, name="another name")
    thread.start()
    thread.join()
    assert found[0].names >= {Path("/proc/self/comm").read_text().strip()}
    assert found[0].group == f"group {os.getpgrp()}"


@pytest.mark.parametrize("pid", [0, -1, 2**22 + 1])
def test_who_cannot_be_seen_is_unknown_and_shares_with_its_user(pid: int) -> None:
    caller = caller_of(pid, 1000)
    assert caller.names == frozenset()
    assert caller.group == "uid 1000"
    assert not Lookers(LOOKERS.split()).has(caller)


@pytest.mark.parametrize("name", ["ls", "xdg-desktop-portal-gtk", "jupyter-notebook"])
def test_lookers_are_known_by_what_the_kernel_keeps_of_their_names(
    name: str, tmp_path: Path
) -> None:
    program = tmp_path / name
    shutil.copy(shutil.which("cat") or "", program)
    process = started([program])
    try:
        assert Lookers(LOOKERS.split()).has(caller_of(process.pid, 0))
        assert not Lookers(["other"]).has(caller_of(process.pid, 0))
    finally:
        process.kill()
        process.communicate()


def started(command: list[object]) -> subprocess.Popen[bytes]:
    """A process that has answered, so that its name is its own."""
    process = subprocess.Popen(
        [str(word) for word in command], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write(b"here\n")
    process.stdin.flush()
    assert process.stdout.readline() == b"here\n"
    return process


@pytest.mark.parametrize("name", ["ranger", "ds9.tcl"])
def test_scripts_are_known_by_what_is_run(name: str, tmp_path: Path) -> None:
    script = tmp_path / name
    code = "print(input(), flush=True); input()"
    script.write_text(code)
    for command in ([script], ["-c", code]):
        process = started([sys.executable, *command])
        try:
            looks = Lookers(LOOKERS.split()).has(caller_of(process.pid, 0))
            assert looks == (command == [script])
        finally:
            process.kill()
            process.communicate()
