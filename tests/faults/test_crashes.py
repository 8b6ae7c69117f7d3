"""Whatever fails costs one call, never the mount; and whatever ends the daemon, the mount point."""

from __future__ import annotations

import contextlib
import errno
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest

from tests.faults.broken import PARTS
from tests.faults.conftest import DEADLINES, Rig, RigMaker
from tests.faults.proxy import HOLE, STALL
from tests.rig import Mount, Server, until, wait_for_end

M31 = "collections/CFHT/by-target/M31"
FILE = f"{M31}/2376828p.fits.fz"
COLD = "collections/CFHT/by-target"


@pytest.fixture
def fragile(server: Server, tmp_path: Path) -> Iterator[tuple[Mount, Path]]:
    """A mount with parts that fail when their name stands in a file."""
    path, switch = tmp_path / "sky", tmp_path / "break"
    path.mkdir()
    mount = Mount(path, tmp_path / "cache", server.registry_url)
    mount.command = (sys.executable, "-m", "tests.faults.broken")
    mount.start("-o", DEADLINES, environ={"CADCFS_TEST_BREAK": str(switch)})
    yield mount, switch
    switch.unlink(missing_ok=True)
    mount.stop()


def call(work: Callable[[], object]) -> int:
    """The errno that *work* fails with; 0 for none."""
    try:
        work()
    except OSError as exc:
        return exc.errno or -1
    return 0


def calls(path: Path, turn: int) -> dict[str, int]:
    """What calls of every kind fail with; *turn* makes them cold."""
    targets = ("NGC 7027", "Fe=2FAr =40 104 Her")
    circle = path / f"collections/CFHT/region/10.6847_41.2687_0.1{turn}5"
    cold = path / "collections/DAO/by-target" / targets[turn % 2]

    def read() -> None:
        with (path / FILE).open("rb", buffering=0) as file:
            file.seek((turn * 131072 * 5) % 19_000_000)
            file.read(65536)

    found = {
        "list": call(lambda: os.listdir(path / "collections")),
        "cold list": call(lambda: os.listdir(cold)),
        "region": call(lambda: os.listdir(path / f"region/10.{turn}5_41_0.1")),
        "stat": call((path / FILE).stat),
        "read": call(read),
        "made": call((circle / "about.txt").read_bytes),
        "df": call(lambda: os.statvfs(path)),
    }
    found["link"] = call(lambda: os.readlink(path / f"region/1{turn}_41.0_0.1"))
    return found


def told_again(path: Path, turn: int, log: Path, words: str, said: int) -> bool:
    """Whether the log has *words* more than *said* times, after calls of every kind."""
    calls(path, turn)
    return log.read_text().count(words) > said


def all_work(path: Path, turn: int) -> bool:
    return set(calls(path, turn).values()) == {0}


def test_what_fails_costs_that_call_and_a_traceback(fragile: tuple[Mount, Path]) -> None:
    mount, switch = fragile
    log = mount.cache / "cadcfs.log"
    for turn, part in enumerate(PARTS):
        said = log.read_text().count(f"{part} was told to fail")
        switch.write_text(part)
        failed = calls(mount.path, turn)
        assert set(failed.values()) <= {0, errno.EIO, errno.EAGAIN}, (part, failed)
        # What is done behind may come to it a little later.
        until(partial(told_again, mount.path, turn, log, f"{part} was told to fail", said))
        switch.unlink()
        assert mount.answers(), part
        # A failed range is remembered for 2 s by a handle that is still open somewhere.
        until(partial(all_work, mount.path, turn))


def test_a_watchdog_unmounts_when_the_daemon_is_killed(rig: Rig) -> None:
    reader = os.open(rig.path / FILE, os.O_RDONLY)
    os.kill(rig.mount.pid(), signal.SIGKILL)
    until(lambda: not rig.mount.is_mounted())
    with pytest.raises(OSError, match=r"not connected|aborted"):
        os.read(reader, 1)
    with contextlib.suppress(OSError):
        os.close(reader)
    assert os.listdir(rig.path) == []
    rig.mount.start()
    assert "2376828p.fits.fz" in os.listdir(rig.path / M31)


def stuck(rig: Rig, count: int) -> list[subprocess.Popen[bytes]]:
    """Readers and listers that wait for the network."""
    os.listdir(rig.path / M31)
    rig.proxy.fault = HOLE
    processes = [
        subprocess.Popen(
            ["dd", f"if={rig.path / FILE}", "of=/dev/null", "bs=64k", f"skip={20 * n}", "count=1"],
            stderr=subprocess.DEVNULL,
        )
        for n in range(count)
    ]
    processes += [
        subprocess.Popen(
            ["ls", rig.path / f"collections/CFHT/region/{n}_1_0.1"],
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )
        for n in range(count)
    ]  # fmt: skip
    return processes


def end(processes: list[subprocess.Popen[bytes]]) -> None:
    for process in processes:
        process.kill()
    for process in processes:
        process.wait(timeout=120)


def told_to_end(rig: Rig, number: signal.Signals, count: int) -> float:
    """Seconds that the daemon takes to end while *count* reads and listings are stuck."""
    processes = stuck(rig, count)
    time.sleep(0.3)
    pid = rig.mount.pid()
    start = time.monotonic()
    os.kill(pid, number)
    wait_for_end(pid)
    took = time.monotonic() - start
    assert not rig.mount.is_mounted()
    rig.proxy.fault = None
    end(processes)
    return took


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_it_ends_when_told_with_calls_stuck(rigs: RigMaker, number: signal.Signals) -> None:
    rig = rigs("listing_time=120,metadata_time=30,read_time=60")
    told_to_end(rig, number, 5)
    rig.mount.start()
    assert "2376828p.fits.fz" in os.listdir(rig.path / M31)


@pytest.mark.soak
def test_fifty_times_it_ends_within_five_seconds_under_load(rigs: RigMaker) -> None:
    rig = rigs("listing_time=120,metadata_time=30,read_time=60")
    took = []
    for _ in range(50):
        took.append(told_to_end(rig, signal.SIGTERM, 10))
        rig.mount.start()
    assert max(took) <= 5, sorted(took)


def killed_at_random(rig: Rig, loops: int, seed: int) -> None:
    """Kill it at random moments of reading; what is read afterwards is right."""
    choice = random.Random(seed)
    content = (rig.path / FILE).read_bytes()
    for loop in range(loops):
        reader = subprocess.Popen(
            ["dd", f"if={rig.path / FILE}", "of=/dev/null", "bs=256k",
             f"skip={choice.randrange(70)}"], stderr=subprocess.DEVNULL,
        )  # fmt: skip
        lister = subprocess.Popen(
            ["ls", "-R", rig.path / COLD], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        pid = rig.mount.pid()
        time.sleep(choice.uniform(0, 0.3))
        os.kill(pid, signal.SIGKILL)
        wait_for_end(pid)
        end([reader, lister])
        if choice.random() < 0.5:
            until(lambda: not rig.mount.is_mounted())
        rig.mount.start()
        offset = choice.randrange(len(content))
        with (rig.path / FILE).open("rb") as file:
            file.seek(offset)
            assert file.read(300_000) == content[offset : offset + 300_000], loop
        if loop % 10 == 9:
            assert (rig.path / FILE).read_bytes() == content


def test_killed_at_random_moments_nothing_is_wrong_afterwards(rig: Rig) -> None:
    killed_at_random(rig, 4, 1)


@pytest.mark.soak
def test_killed_a_hundred_times(rig: Rig) -> None:
    killed_at_random(rig, 100, 2)


def test_a_stalled_read_is_over_in_time(rig: Rig) -> None:
    os.listdir(rig.path / M31)
    rig.proxy.fault = STALL
    start = time.monotonic()
    with pytest.raises(OSError, match="Input/output"):
        (rig.path / FILE).read_bytes()
    assert time.monotonic() - start < 20
