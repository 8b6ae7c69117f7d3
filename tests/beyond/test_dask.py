"""Dask's workers read the same tree, with a mount or without, on one machine or several."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import fsspec
import pytest

from cadcfs.demo.archive import open_or_build
from tests.beyond.test_site_cache import Nginx, nginx_for
from tests.rig import Mount, Run, Server, until

EXAMPLE = Path(__file__).parents[2] / "examples" / "source_counts.py"
REGION = "10.6847_41.2688_0.5"
HERE = "10.77.31.1"
HOSTS = {"cadcfs-one": "10.77.31.2", "cadcfs-two": "10.77.31.3"}
SERVE = """
import sys, trio
from pathlib import Path
from cadcfs.demo.archive import open_or_build
from cadcfs.demo.server import serve
async def main():
    archive = await trio.to_thread.run_sync(open_or_build, Path(sys.argv[1]))
    async with trio.open_nursery() as nursery:
        served = await nursery.start(lambda task_status: serve(
            archive, host=sys.argv[2], task_status=task_status))
        print(served.registry_url, flush=True)
trio.run(main)
"""


def test_the_example_counts_the_same_with_a_mount(mount: Mount, tmp_path: Path, run: Run) -> None:
    options = {"registry_url": mount.registry_url, "cache_dir": str(tmp_path / "workers")}
    command = [sys.executable, EXAMPLE, REGION, "--most", "2", "--options", json.dumps(options)]
    without = run(*command)
    assert without.returncode == 0, without.stderr
    assert re.search(r"^ +[1-9]\d* sources in [12] mosaics$", without.stdout, re.MULTILINE)
    through_it = run("env", f"CADC_MOUNT={mount.path}", *command)
    assert through_it.stdout == without.stdout


def digest(path: str, options: dict[str, str]) -> str:
    cadc = fsspec.filesystem("cadc", **options)
    return hashlib.md5(cadc.cat_file(path)).hexdigest()


def ip(*words: str, must: bool = True) -> None:
    subprocess.run(["ip", *words], check=must, capture_output=not must)


def remove_network() -> None:
    for name in HOSTS:
        ip("netns", "delete", name, must=False)
    ip("link", "delete", "cadcfs-br", must=False)


@pytest.fixture
def network() -> Iterator[None]:
    """Two hosts, as far as their networks are concerned; needs root."""
    remove_network()
    ip("link", "add", "cadcfs-br", "type", "bridge")
    try:
        ip("address", "add", f"{HERE}/24", "dev", "cadcfs-br")
        ip("link", "set", "cadcfs-br", "up")
        for number, (name, address) in enumerate(HOSTS.items()):
            inside, outside = f"cadcfs-i{number}", f"cadcfs-o{number}"
            ip("netns", "add", name)
            ip("link", "add", outside, "type", "veth", "peer", "name", inside, "netns", name)
            ip("link", "set", outside, "master", "cadcfs-br", "up")
            ip("-n", name, "address", "add", f"{address}/24", "dev", inside)
            ip("-n", name, "link", "set", inside, "up")
            ip("-n", name, "link", "set", "lo", "up")
        yield
    finally:
        remove_network()


@pytest.fixture
def origin(network: None, data_dir: Path) -> Iterator[Server]:
    process = subprocess.Popen(
        [sys.executable, "-c", SERVE, str(data_dir), HERE], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    url = process.stdout.readline().strip()
    yield Server(open_or_build(data_dir), url, process, [url])
    process.terminate()
    process.wait(20)
    process.stdout.close()


@contextlib.contextmanager
def cluster() -> Iterator[str]:
    """A scheduler here, and a worker on each of the hosts; its address."""
    with socket.socket() as probe:
        probe.bind((HERE, 0))
        port = probe.getsockname()[1]
    address = f"tcp://{HERE}:{port}"
    environ = os.environ | {"PYTHONPATH": str(EXAMPLE.parents[1])}
    scheduler = ["scheduler", "--host", HERE, "--port", str(port), "--no-dashboard"]
    commands = [[sys.executable, "-m", "distributed.cli.dask_scheduler", *scheduler[1:]]]
    for name, own in HOSTS.items():
        commands.append(
            ["ip", "netns", "exec", name, sys.executable, "-m", "distributed.cli.dask_worker",
             address, "--host", own, "--name", name, "--nthreads", "2", "--no-dashboard",
             "--local-directory", f"/tmp/{name}"]
        )  # fmt: skip
    running = [subprocess.Popen(c, env=environ, stderr=subprocess.DEVNULL) for c in commands]
    try:
        yield address
    finally:
        for process in reversed(running):
            process.terminate()
            process.wait(30)


@pytest.mark.soak
@pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::DeprecationWarning")
def test_two_hosts_share_one_download(origin: Server, tmp_path: Path) -> None:
    from distributed import Client

    own = {"registry_url": origin.registry_url, "cache_dir": str(tmp_path / "here")}
    cadc = fsspec.filesystem("cadc", **own)
    paths = sorted(cadc.glob("collections/CFHT/by-target/M31/*.fits.fz"))[:4]
    assert paths
    right = [hashlib.md5(cadc.cat_file(path)).hexdigest() for path in paths]
    size = sum(cadc.info(path)["size"] for path in paths)
    (tmp_path / "nginx").mkdir()
    with (
        nginx_for(origin.registry_url, tmp_path / "nginx", HERE) as nginx,
        cluster() as address,
        Client(address) as client,
    ):
        client.wait_for_workers(2, timeout=120)
        read_by_both(client, origin, nginx, tmp_path / "first", paths, right)
        assert origin.bytes_sent("minoc/files") == size
        lose_the_cache(client, origin, nginx, tmp_path / "second", paths, right)


def options_of(origin: Server, nginx: Nginx, cache: Path, name: str) -> dict[str, str]:
    return {
        "registry_url": origin.registry_url, "cache_dir": f"{cache}-{name}",
        "site_cache": nginx.url,
    }  # fmt: skip


def read_by_both(client, origin, nginx, cache, paths, right) -> None:
    origin.forget()
    for name in HOSTS:
        options = options_of(origin, nginx, cache, name)
        found = client.gather(client.map(digest, paths, options=options, workers=[name]))
        assert found == right, name


def lose_the_cache(client, origin, nginx, cache, paths, right) -> None:
    asked = {
        name: client.map(
            digest, paths, options=options_of(origin, nginx, cache, name), workers=[name]
        )
        for name in HOSTS
    }
    until(lambda: any(f.done() for futures in asked.values() for f in futures))
    nginx.stop()
    for name, futures in asked.items():
        assert client.gather(futures) == right, name
