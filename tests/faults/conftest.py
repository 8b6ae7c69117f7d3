"""A mount whose every byte goes through a proxy, with short deadlines."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from tests.faults.proxy import Proxy
from tests.recording.records import declare
from tests.rig import Mount, Server, running_server, wait_for_end

DEADLINES = "listing_time=4,metadata_time=2,read_time=2"


@contextmanager
def alone(data_dir: Path, tmp_path: Path) -> Iterator[Mount]:
    """A mount whose archive is gone after the block; the mount stays, for the test to end."""
    with running_server(data_dir) as server:
        path = tmp_path / "alone"
        path.mkdir()
        mount = Mount(path, tmp_path / "cache-alone", server.registry_url)
        mount.start()
        yield mount


@dataclass
class Rig:
    """The archive, a proxy in front of it, and a mount that knows the proxy alone."""

    server: Server
    proxy: Proxy
    mount: Mount

    @property
    def path(self) -> Path:
        return self.mount.path


RigMaker = Callable[..., Rig]


@pytest.fixture
def rigs(server: Server, tmp_path: Path) -> Iterator[RigMaker]:
    """Makes rigs; *options* are the mount's."""
    made: list[Rig] = []

    def make(options: str = DEADLINES, *, allowance: int = 0) -> Rig:
        proxy = Proxy(urlsplit(server.registry_url).port or 0)
        path = tmp_path / f"sky{len(made)}"
        path.mkdir()
        url = f"http://127.0.0.1:{proxy.port}/reg/resource-caps"
        declare(url)
        rig = Rig(server, proxy, Mount(path, tmp_path / f"cache{len(made)}", url))
        made.append(rig)
        rig.mount.start("-o", options, environ={"CADCFS_WALK_ALLOWANCE": str(allowance)})
        server.forget()
        return rig

    yield make
    for rig in made:
        rig.proxy.fault = None
        if rig.mount.answers():
            # Told, not unmounted: that would wait for calls that are stuck.
            pid = rig.mount.pid()
            os.kill(pid, signal.SIGTERM)
            wait_for_end(pid)
        rig.proxy.stop()


@pytest.fixture
def rig(rigs: RigMaker) -> Rig:
    return rigs()
