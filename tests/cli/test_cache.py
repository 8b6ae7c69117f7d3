"""`cadcfs cache`: what is kept, whether it is sound, what stays when room is made."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from cadcfs.cache.upkeep import stores
from tests.rig import CADCFS, Mount, Server

TARGET = "collections/CFHT/by-target/M31"
NAMES = ("2376828p.fits.fz", "2376828o.fits.fz")
HEAD = 1 << 16


@pytest.fixture(scope="module")
def kept(server: Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mount]:
    """A mount through which one file was read whole, and the head of another."""
    place = tmp_path_factory.mktemp("kept")
    (place / "sky").mkdir()
    mounted = Mount(place / "sky", place / "cache", server.registry_url)
    mounted.start()
    (mounted.path / TARGET / NAMES[0]).read_bytes()
    with (mounted.path / TARGET / NAMES[1]).open("rb") as file:
        file.read(HEAD)
    mounted.restart()
    yield mounted
    mounted.stop()


def cache(*words: object, code: int = 0) -> str:
    done = subprocess.run(
        [*CADCFS, "cache", *map(str, words)],
        capture_output=True, text=True, timeout=120, check=False, stdin=subprocess.DEVNULL,
    )  # fmt: skip
    assert done.returncode == code, done.stderr
    return done.stdout


def test_what_is_kept_is_listed_with_how_much_of_it(kept: Mount) -> None:
    files = json.loads(cache("ls", "--json", "--cache-dir", kept.cache))
    by_name = {file["uri"].rpartition("/")[2]: file for file in files}
    assert set(by_name) == set(NAMES)
    whole, head = (by_name[name] for name in NAMES)
    assert whole["here"] == whole["size"] == (kept.path / TARGET / NAMES[0]).stat().st_size
    assert HEAD <= head["here"] < head["size"]
    facts = json.loads(cache("info", "--json", "--cache-dir", kept.cache))
    assert facts["files"] == 2
    assert facts["whole_files"] == 1
    assert facts["used"] >= whole["size"]
    assert facts["answers"] > 0
    lines = cache("ls", "--cache-dir", kept.cache, "*p.fits.fz").splitlines()
    assert [line.split("\t")[2] for line in lines] == ["100 %"]


def test_a_file_is_pinned_by_its_path_and_unpinned_by_its_uri(kept: Mount) -> None:
    path = kept.path / TARGET / NAMES[0]
    assert cache("pin", path) == "pinned: 1 files\n"
    assert cache("ls", path).split("\t")[4] == "pinned\n"
    cache("clear", "--yes", "*p.fits.fz", "--cache-dir", kept.cache)
    files = json.loads(cache("ls", "--json", "--cache-dir", kept.cache))
    assert len(files) == 2
    uri = next(file["uri"] for file in files if file["pinned"])
    assert cache("unpin", uri, "--cache-dir", kept.cache) == "unpinned: 1 files\n"
    assert not any(f["pinned"] for f in json.loads(cache("ls", "--json", path)))
    # Of a directory, all its files.
    assert cache("pin", path.parent) == "pinned: 2 files\n"
    assert cache("unpin", path.parent) == "unpinned: 2 files\n"


def test_what_is_pinned_is_not_evicted(kept: Mount, server: Server, tmp_path: Path) -> None:
    (tmp_path / "sky").mkdir()
    small = Mount(tmp_path / "sky", tmp_path / "cache", server.registry_url)
    first, second = (small.path / TARGET / name for name in NAMES)
    small.start("-o", "cache_size=24M,cache_free=0")
    try:
        first.read_bytes()
        cache("pin", first)
        size = first.stat().st_size
        assert size > 12 << 20
        small.stop()
        small.start("-o", "cache_size=24M,cache_free=0")
        second.read_bytes()
        (store,) = stores(small.cache)
        here = {file.uri.rpartition("/")[2]: file.here for file in store.files()}
        assert here[NAMES[0]] == size
    finally:
        small.stop()


def test_damage_is_found_thrown_away_and_fetched_again(kept: Mount) -> None:
    kept.stop()
    verify = ("verify", "--cache-dir", kept.cache)
    assert {line.split("\t")[2] for line in cache(*verify).splitlines()} == {"whole", "sound"}
    (store,) = stores(kept.cache)
    whole = next(file for file in store.files() if file.here == file.size)
    with (store.root / whole.name[:2] / f"{whole.name}.data").open("r+b") as data:
        data.seek(300_000)
        data.write(b"damage")
    assert "1 damaged blocks" in cache(*verify, code=1)
    assert {line.split("\t")[2] for line in cache(*verify).splitlines()} == {"sound"}
    kept.start()
    path = kept.path / TARGET / NAMES[0]
    assert b"damage" not in path.read_bytes()[300_000:300_010]


def test_clearing_takes_all_but_what_is_open(kept: Mount) -> None:
    kept.restart()
    with (kept.path / TARGET / NAMES[0]).open("rb") as file:
        file.read(HEAD)
        assert cache("clear", "--yes", "--cache-dir", kept.cache) == "1 file is gone\n"
    assert len(json.loads(cache("ls", "--json", "--cache-dir", kept.cache))) == 1
    assert json.loads(cache("info", "--json", "--cache-dir", kept.cache))["files"] == 1


def test_what_is_not_kept_is_one_sentence(kept: Mount) -> None:
    done = subprocess.run(
        [*CADCFS, "cache", "ls", "cadc:NO/such.fits", "--cache-dir", kept.cache],
        capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (1, "cadcfs: nothing is kept of cadc:NO/such.fits\n")
