"""What goes on across a logout, and what does not: open files, mapped memory, waits for jobs."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.mount.test_identity import FILE, PROPRIETARY, Person, is_waited_for, person, sky
from tests.rig import Mount, Server, until

__all__ = ["person", "sky"]

pytestmark = pytest.mark.usefixtures("recorded")

PUBLIC = "collections/CFHT/by-target/M31/2376828p.fits.fz"
MAPPING = """
import mmap, sys
with open(sys.argv[1], "rb") as file:
    memory = mmap.mmap(file.fileno(), 0, prot=mmap.PROT_READ)
assert memory[:6] == b"SIMPLE" and memory[-1] is not None
print("mapped", flush=True)
sys.stdin.readline()
print(memory[:6], flush=True)
"""
"""Maps a file, all of whose pages it has seen; then looks at the first one again."""


def mapping(path: Path) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", MAPPING, path], text=True,
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip


def test_mapped_private_bytes_are_gone_at_once(sky: Mount, person: Person) -> None:
    person.login()
    with mapping(sky.path / PROPRIETARY / FILE) as program:
        assert program.stdout is not None
        assert program.stdout.readline() == "mapped\n"
        person.logout()
        printed, _ = program.communicate("\n", timeout=120)
    # As for any file that is cut off under its map (mmap(2)).
    assert (program.returncode, printed) == (-signal.SIGBUS, "")


def test_public_bytes_stay_open_and_mapped(sky: Mount, person: Person, server: Server) -> None:
    content = server.archive.path_of("cadc:CFHT/2376828p.fits.fz").read_bytes()
    for change in (person.login, person.logout):
        with (sky.path / PUBLIC).open("rb", buffering=0) as opened:
            with mapping(sky.path / PUBLIC) as program:
                assert program.stdout is not None
                assert opened.read(2880) == content[:2880]
                assert program.stdout.readline() == "mapped\n"
                change()
                printed, _ = program.communicate("\n", timeout=120)
            assert (program.returncode, printed) == (0, "b'SIMPLE'\n")
            rest = b"".join(iter(lambda: opened.read(1 << 20), b""))
            assert content[2880:] == rest


def test_a_wait_for_nobodys_job_goes_on(sky: Mount, person: Person, server: Server) -> None:
    job = sky.path / "jobs/open"
    job.mkdir()
    (job / "query.adql").write_text("SELECT count(*) FROM caom2.Plane")
    held = server.fault("busy", path="^/argus/async/[^/]+/phase$")
    try:
        (job / "phase").write_text("RUN\n")
        waiting = [subprocess.Popen(["cat", job / ".wait"], stdout=subprocess.PIPE, text=True)]
        until(lambda: is_waited_for(sky, "/jobs/open/.wait"))
        person.login()
        waiting.append(subprocess.Popen(["cat", job / ".wait"], stdout=subprocess.PIPE, text=True))
        until(lambda: waits(sky) == 2)
        person.logout()
        assert waits(sky) == 2
        server.mend(held)
        said = [each.communicate(timeout=120)[0] for each in waiting]
    finally:
        server.mend()
    assert said == ["COMPLETED\n", "COMPLETED\n"]
    assert (job / "result.csv").read_text().startswith("count")


def waits(sky: Mount) -> int:
    told = (sky.path / ".cadcfs/status").read_text().splitlines()
    return sum("/jobs/open/.wait" in line and " open " in line for line in told)
