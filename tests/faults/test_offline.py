"""Without the network, by accident or on purpose: what was seen stays, and recovery is noticed."""

from __future__ import annotations

import errno
import os
import stat
import time
from pathlib import Path

import pytest

from tests.faults.conftest import Rig
from tests.faults.proxy import REFUSE
from tests.rig import CADCFS, Run

M31 = "collections/CFHT/by-target/M31"
COLD = "collections/DAO/by-target/NGC 7027"


def status(rig: Rig) -> str:
    return (rig.path / ".cadcfs/status").read_text()


def head_of(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(2880)


def test_offline_by_request_shows_what_was_seen_and_asks_nothing(rig: Rig, run: Run) -> None:
    names = os.listdir(rig.path / M31)
    head = head_of(rig.path / M31 / "2376828p.fits.fz")
    assert "offline:                    off" in status(rig)
    assert run(*CADCFS, "offline", "on", rig.path).returncode == 0
    rig.server.forget()
    assert os.listdir(rig.path / M31) == names
    (rig.path / M31 / ".refresh").read_text()
    assert os.listdir(rig.path / M31) == names
    assert "stale" in (rig.path / M31 / ".query").read_text()
    assert head_of(rig.path / M31 / "2376828p.fits.fz") == head
    with pytest.raises(OSError, match="No route to host") as listing:
        os.listdir(rig.path / COLD)
    assert listing.value.errno == errno.EHOSTUNREACH
    with pytest.raises(OSError, match="Input/output") as reading:
        (rig.path / M31 / "2376828o.fits.fz").read_bytes()
    assert reading.value.errno == errno.EIO
    assert "cadcfs offline off" in (rig.path / M31 / ".error").read_text()
    assert "offline:                    on" in status(rig)
    assert not rig.server.requests()
    assert run(*CADCFS, "offline", "off", rig.path).returncode == 0
    assert os.listdir(rig.path / COLD)


def test_the_switch_takes_on_and_off_alone(rig: Rig) -> None:
    switch = rig.path / ".cadcfs/offline"
    assert switch.read_text() == "off\n"
    with pytest.raises(OSError, match="Invalid argument"):
        switch.write_text("maybe\n")
    switch.write_text("on\n")
    assert switch.read_text() == "on\n"


@pytest.mark.direct
def test_a_dead_archive_is_not_waited_for_again_and_its_return_is_noticed(rig: Rig) -> None:
    os.listdir(rig.path / M31)
    rig.proxy.fault = REFUSE
    with pytest.raises(OSError, match="No route to host"):
        os.listdir(rig.path / COLD)
    assert "/argus since" in status(rig)
    start = time.monotonic()
    for _ in range(20):
        with pytest.raises(OSError, match="No route to host"):
            os.listdir(rig.path / COLD)
    # A look at the availability each, not three attempts: the deadline is 4 s.
    assert time.monotonic() - start < 40
    rig.proxy.fault = None
    assert os.listdir(rig.path / COLD)
    assert "do not answer:              none" in status(rig)


def test_a_service_that_is_not_available_says_why(rig: Rig) -> None:
    number = rig.server.fault("unavailable", path="^/argus/", note="Closed for the eclipse")
    try:
        for _ in range(4):
            with pytest.raises(OSError, match="Input/output"):
                os.listdir(rig.path / COLD)
        assert (
            "Closed for the eclipse" in (rig.path / "collections/DAO/by-target/.error").read_text()
        )
    finally:
        rig.server.mend(number)
    assert os.listdir(rig.path / COLD)


def content(root: Path) -> dict[str, object]:
    """Everything of a few places: names, sizes, times, bytes."""
    found: dict[str, object] = {}
    for place in (M31, f"{M31}/previews", "collections/CFHT/by-target"):
        for name in sorted(os.listdir(root / place)):
            about = (root / place / name).lstat()
            found[f"{place}/{name}"] = (about.st_mode, about.st_size, about.st_ino)
            if stat.S_ISREG(about.st_mode):
                found[f"date of {place}/{name}"] = about.st_mtime
    for name in ("2376828p.fits.fz", "about.txt", "metadata.csv", "urls.txt"):
        found[f"bytes of {name}"] = (root / M31 / name).read_bytes()
    return found


def test_a_second_run_without_the_archive_is_identical(rig: Rig) -> None:
    seen = content(rig.path)
    seen = content(rig.path)
    rig.proxy.fault = REFUSE
    assert content(rig.path) == seen
    rig.mount.restart()
    assert content(rig.path) == seen
