"""The archive goes away: what was seen stays, the rest is an error in time, and it comes back."""

from __future__ import annotations

import errno
import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.faults.conftest import alone
from tests.rig import Mount, Server, running_server


@pytest.fixture
def fragile(data_dir: Path) -> Iterator[Server]:
    """A server of this test alone, to be stopped and continued."""
    with running_server(data_dir) as running:
        yield running
        running.process.send_signal(signal.SIGCONT)


@pytest.fixture
def weak_mount(fragile: Server, tmp_path: Path) -> Iterator[Mount]:
    path = tmp_path / "sky"
    path.mkdir()
    mounted = Mount(path, tmp_path / "cache", fragile.registry_url)
    mounted.start("-o", "listing_time=2,metadata_time=2,read_time=2")
    yield mounted
    mounted.stop()


M31 = "collections/CFHT/by-target/M31"


def test_what_was_seen_stays_and_the_rest_fails_in_time(weak_mount: Mount, fragile: Server) -> None:
    place = weak_mount.path / M31
    names = os.listdir(place)
    seen = (place / "2376828p.fits.fz").read_bytes()
    fragile.process.send_signal(signal.SIGSTOP)
    start = time.monotonic()
    assert os.listdir(place) == names
    assert (place / "2376828p.fits.fz").read_bytes() == seen
    os.statvfs(weak_mount.path)
    assert "cadcfs" in (weak_mount.path / ".cadcfs/status").read_text()
    with pytest.raises(OSError, match="temporarily unavailable") as caught:
        os.listdir(weak_mount.path / "collections/DAO/by-target/NGC 7027")
    assert caught.value.errno == errno.EAGAIN
    with pytest.raises(OSError, match="Input/output") as caught:
        (place / "2376828o.fits.fz").read_bytes()
    assert caught.value.errno == errno.EIO
    assert time.monotonic() - start < 30
    fragile.process.send_signal(signal.SIGCONT)
    assert len((place / "2376828o.fits.fz").read_bytes()) == len(seen)


@pytest.mark.direct
def test_a_dead_archive_is_unreachable_and_never_empty(data_dir: Path, tmp_path: Path) -> None:
    with alone(data_dir, tmp_path) as mounted:
        names = os.listdir(mounted.path / M31)
    try:
        assert os.listdir(mounted.path / M31) == names
        with pytest.raises(OSError, match="No route to host") as caught:
            os.listdir(mounted.path / "collections/DAO/by-target/NGC 7027")
        assert caught.value.errno == errno.EHOSTUNREACH
        mounted.restart()
        assert os.listdir(mounted.path / M31) == names
    finally:
        mounted.stop()
