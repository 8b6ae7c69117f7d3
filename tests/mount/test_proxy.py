"""Where the way to the archive leads through an institute's proxy, all requests take it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.recording.records import Recording, recording
from tests.rig import Mount, Server

M31 = "collections/CFHT/by-target/M31"
URI = "cadc:CFHT/2376828p.fits.fz"


@pytest.fixture
def proxied(server: Server, tmp_path: Path) -> Iterator[tuple[Mount, Recording]]:
    with recording() as proxy:
        (tmp_path / "sky").mkdir()
        mount = Mount(tmp_path / "sky", tmp_path / "cache", server.registry_url)
        mount.start(environ=proxy.environ)
        yield mount, proxy
        mount.stop()


def test_questions_and_bytes_go_through_the_proxy(
    proxied: tuple[Mount, Recording], server: Server
) -> None:
    mount, proxy = proxied
    server.forget()
    before = len(proxy.seen())
    place = mount.path / M31
    assert "2376828p.fits.fz" in os.listdir(place)
    assert (place / "2376828p.fits.fz").read_bytes() == server.archive.path_of(URI).read_bytes()
    assert all(file.read_bytes() for file in (place / "headers").iterdir())
    asked = [request for request in server.requests() if request["path"] != "/demo/requests"]
    passed = proxy.seen()[before:]
    assert len(asked) == len(passed) > 3
    assert any("/argus/sync" in request.url for request in passed)
    assert any("/minoc/" in request.url for request in passed)
    assert not any({"authorization", "cookie"} & request.names for request in passed)
