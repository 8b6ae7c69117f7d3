"""How many requests and bytes each way of reading costs: exact, so that nothing creeps in."""

from __future__ import annotations

import os
import random
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.mount.large_origin import SIZE, Origin, block, running
from tests.rig import Mount

KIB = 1024
MOSAIC = 63
"""Number of the file that is a mosaic of 41 units."""

FAULTS = """
import mmap, sys
with open(sys.argv[1], "rb") as file, mmap.mmap(file.fileno(), 0, prot=mmap.PROT_READ) as mapped:
    print(*(mapped[int(place)] for place in sys.argv[2:]))
"""

Large = tuple[Mount, list[Path], Origin]


@pytest.fixture(scope="module")
def mosaic() -> bytes:
    import numpy
    from astropy.io import fits

    hdus: list[object] = [fits.PrimaryHDU()]
    for number in range(40):
        image = fits.ImageHDU(numpy.zeros((400, 700), "int16"))
        for card in range(250):
            image.header[f"KEY{card}"] = (number * card, "one of many")
        hdus.append(image)
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / "mosaic.fits"
        fits.HDUList(hdus).writeto(path)
        return path.read_bytes()


@pytest.fixture(scope="module")
def mounted(tmp_path_factory: pytest.TempPathFactory, mosaic: bytes) -> Iterator[Large]:
    where = tmp_path_factory.mktemp("traffic")
    with running(where, {MOSAIC: mosaic}, listed=3000) as found:
        os.listdir(found[1][0].parent)
        yield found


@pytest.fixture
def large(mounted: Large) -> Large:
    """A mount, its large files, of which each test reads other ones, and a count from zero."""
    mounted[2].moved()
    return mounted


def test_a_header_is_one_request_of_two_blocks(large: Large) -> None:
    _, paths, origin = large
    for number in range(20):
        with paths[number].open("rb", buffering=0) as file:
            assert file.read(28_800) == block(number, 0)[:28_800]
    requests, moved = origin.moved()
    assert requests == 20
    assert moved <= 20 * 132 * KIB


def test_random_reads_fetch_twice_what_is_asked_at_most(large: Large) -> None:
    _, paths, origin = large
    rng = random.Random(7)
    fd = os.open(paths[0], os.O_RDONLY)
    try:
        os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_RANDOM)
        for _ in range(100):
            assert len(os.pread(fd, 64 * KIB, rng.randrange(SIZE - 64 * KIB))) == 64 * KIB
    finally:
        os.close(fd)
    assert origin.moved()[1] <= 2.0 * 100 * 64 * KIB


def test_a_random_fault_of_a_mapping_fetches_little(large: Large) -> None:
    _, paths, origin = large
    rng = random.Random(8)
    places = [rng.randrange(SIZE) for _ in range(100)]
    # In a process of its own: a fault keeps the interpreter, and with it our origin, waiting.
    done = subprocess.run(
        [sys.executable, "-c", FAULTS, paths[1], *map(str, places)],
        capture_output=True, text=True, timeout=120, check=True,
    )  # fmt: skip
    wanted = [block(1, place // 65536)[place % 65536] for place in places]
    assert [int(word) for word in done.stdout.split()] == wanted
    assert origin.moved()[1] <= 192 * KIB * 100


def test_many_readers_of_one_cold_block_cause_one_request(large: Large) -> None:
    _, paths, origin = large
    together = threading.Barrier(32)
    wrong = []

    def read() -> None:
        fd = os.open(paths[2], os.O_RDONLY)
        os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_RANDOM)
        together.wait()
        if os.pread(fd, 4096, 500 << 20) != block(2, 8000)[:4096]:
            wrong.append(fd)
        os.close(fd)

    threads = [threading.Thread(target=read) for _ in range(32)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong
    assert origin.moved()[0] == 1


def test_a_reader_who_stops_has_cost_half_as_much_again_at_most(large: Large) -> None:
    _, paths, origin = large
    with paths[3].open("rb", buffering=0) as file:
        for index in range(24 << 4):
            assert file.read(64 * KIB) == block(3, index)
    assert (24 << 20) <= origin.moved()[1] <= 1.5 * (24 << 20) + 256 * KIB


@pytest.mark.direct
def test_the_last_of_41_headers_costs_headers_only(large: Large, mosaic: bytes) -> None:
    from astropy.io import fits

    _, paths, origin = large
    assert len(mosaic) > 20_000_000
    for most in (42, 0):
        with fits.open(paths[MOSAIC]) as units:
            assert units[40].header["KEY249"] == 39 * 249
        requests, moved = origin.moved()
        assert requests <= most
        assert moved <= 6_000_000


def system_calls(pid: int) -> int:
    """Reads that a process has made; each question of the kernel arrives by one."""
    words = Path(f"/proc/{pid}/io").read_text().split()
    return int(words[words.index("syscr:") + 1])


def test_what_was_read_is_read_again_without_the_daemon(large: Large) -> None:
    mount, paths, _ = large
    pid = mount.pid()

    def read() -> None:
        with paths[4].open("rb", buffering=0) as file:
            for _ in range(16 << 4):
                assert file.read(64 * KIB)

    read()
    before = system_calls(pid)
    read()
    # 256 reads; the rest is the daemon's own housekeeping.
    assert system_calls(pid) - before <= 40


def test_a_known_directory_is_listed_with_few_questions(large: Large) -> None:
    mount, paths, _ = large
    pid, long = mount.pid(), paths[0].parent.parent / "long"
    for _ in range(2):
        before = system_calls(pid)
        shown = subprocess.run(["ls", "-l", long], capture_output=True, check=True).stdout
        assert shown.count(b"\n") >= 3000
    # A buffer of the kernel takes some hundred entries; none of them is asked for by itself.
    assert system_calls(pid) - before <= 60
