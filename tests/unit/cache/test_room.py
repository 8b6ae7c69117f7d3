"""The quota holds at every moment, with files open and several processes; eviction is orderly."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from cadcfs.cache.blocks import BlockFile, Version
from cadcfs.cache.store import BlockStore

BLOCK = 65536
QUOTA = 4 << 20
MIB = 1 << 20


def on_disk(root: Path) -> int:
    """Bytes that the whole cache takes, index and maps with it."""
    total = 0
    for path in (root / "blocks-v2").rglob("*"):
        try:
            total += path.lstat().st_blocks * 512 if path.is_file() else 0
        except FileNotFoundError:
            continue
    return total


def content(number: int, block: int) -> bytes:
    return random.Random(number * 100_000 + block).randbytes(BLOCK)


def write(file: BlockFile, number: int, blocks: range) -> None:
    for block in blocks:
        file.write(block, content(number, block))


def version(number: int, size: int = MIB) -> Version:
    return Version(f"file {number}", size, None)


def test_what_was_used_longest_ago_goes_first(tmp_path: Path) -> None:
    store = BlockStore(tmp_path, quota=QUOTA)
    for number in range(12):
        file = store.open(version(number))
        file.last_read = 1000.0 + number
        write(file, number, range(16))
        store.close([file])
        assert on_disk(tmp_path) <= QUOTA
    kept = []
    for number in range(12):
        file = store.open(version(number))
        if file.read_now(0, BLOCK) is not None:
            kept.append(number)
        store.close([file])
    assert kept == list(range(kept[0], 12))
    assert len(kept) >= 2
    assert store.room.evicted >= 8
    store.end()


def test_one_huge_file_gives_up_what_came_first(tmp_path: Path) -> None:
    store = BlockStore(tmp_path, quota=QUOTA)
    file = store.open(version(1, 32 * MIB))
    for block in range(512):
        write(file, 1, range(block, block + 1))
        assert file.read_now(block * BLOCK, BLOCK) == content(1, block)
        if block % 16 == 0:
            assert on_disk(tmp_path) <= QUOTA
    assert file.read_now(0, BLOCK) is None
    assert file.keeping.capacity == QUOTA
    store.close([file])
    again = store.open(version(1, 32 * MIB))
    here = [b for b in range(512) if again.read_now(b * BLOCK, BLOCK) is not None]
    assert here
    assert all(again.read_now(b * BLOCK, BLOCK) == content(1, b) for b in here)
    store.close([again])
    store.end()


def test_blocks_that_somebody_waits_for_stay(tmp_path: Path) -> None:
    store = BlockStore(tmp_path, quota=QUOTA)
    file = store.open(version(1, 32 * MIB))
    file.pins.append(range(3))
    write(file, 1, range(200))
    assert file.read_now(0, 3 * BLOCK) is not None
    file.pins.clear()
    write(file, 1, range(200, 400))
    assert file.read_now(0, BLOCK) is None
    store.close([file])
    store.end()


def test_what_another_process_has_open_is_left_alone(
    tmp_path: Path, expect_log: Callable[[str], None]
) -> None:
    expect_log("is read without the disk: no room")
    other = BlockStore(tmp_path, quota=QUOTA)
    held = other.open(version(1, 3 * MIB))
    write(held, 1, range(40))
    other.save([held])
    store = BlockStore(tmp_path, quota=QUOTA)
    file = store.open(version(2, 8 * MIB))
    write(file, 2, range(128))
    assert on_disk(tmp_path) <= QUOTA
    assert held.read_now(0, 40 * BLOCK) == b"".join(content(1, b) for b in range(40))
    assert file.read_now(127 * BLOCK, BLOCK) == content(2, 127)
    other.close([held])
    later = store.open(version(3, 2 * MIB))
    write(later, 3, range(32))
    assert later.read_now(0, BLOCK) == content(3, 0)
    assert on_disk(tmp_path) <= QUOTA
    store.close([file, later])
    store.end()
    other.end()


def test_the_floor_of_free_space_is_kept(tmp_path: Path, expect_log: Callable[[str], None]) -> None:
    expect_log("is read without the disk: no room")
    disk = os.statvfs(tmp_path)
    store = BlockStore(tmp_path, floor=disk.f_bavail * disk.f_frsize + (1 << 40))
    file = store.open(version(1))
    write(file, 1, range(16))
    assert file.read_now(0, BLOCK) == content(1, 0)
    assert on_disk(tmp_path) < MIB
    store.close([file])
    store.end()


def test_memory_without_a_disk_is_bounded(
    tmp_path: Path, expect_log: Callable[[str], None]
) -> None:
    expect_log("nothing is kept in")
    (tmp_path / "blocks-v2").write_text("in the way")
    store = BlockStore(tmp_path)
    files = [store.open(version(number, 64 * MIB)) for number in range(4)]
    for block in range(1024):
        data = content(9, block % 7)
        for file in files:
            file.write(block, data)
            assert file.read_now(block * BLOCK, BLOCK) == data
    assert sum(file.presence.count for file in files) * BLOCK <= 80 * MIB
    store.close(files)
    store.end()


def test_threads_and_eviction_never_show_a_wrong_byte(tmp_path: Path) -> None:
    store = BlockStore(tmp_path, quota=QUOTA)
    files = [store.open(version(number, 4 * MIB)) for number in range(4)]
    wrong: list[tuple[int, int]] = []
    sizes: list[int] = []

    def work(seed: int) -> None:
        rng = random.Random(seed)
        for _ in range(150):
            number, block = rng.randrange(4), rng.randrange(64)
            found = files[number].read_now(block * BLOCK, BLOCK)
            if found is None:
                files[number].write(block, content(number, block))
            elif found != content(number, block):
                wrong.append((number, block))
            sizes.append(on_disk(tmp_path))

    threads = [threading.Thread(target=work, args=(seed,)) for seed in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong
    assert max(sizes) <= QUOTA + len(threads) * BLOCK
    store.close(files)
    store.end()


def test_a_block_that_goes_while_it_is_checked_is_not_taken_for_good(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = BlockStore(tmp_path, quota=QUOTA)
    file = store.open(version(1))
    write(file, 1, range(8))
    store.close([file])
    file = store.open(version(1))
    pread = os.pread

    def gone_afterwards(fd: int, size: int, offset: int) -> bytes:
        found = pread(fd, size, offset)
        monkeypatch.setattr("os.pread", pread)
        file.punch(8 * BLOCK)
        return found

    monkeypatch.setattr("os.pread", gone_afterwards)
    assert file.read_now(0, BLOCK) in (None, content(1, 0))
    assert file.read_now(0, BLOCK) is None
    assert file.read_now(3 * BLOCK, BLOCK) is None
    store.close([file])
    store.end()


VICTIM = """
import sys
from pathlib import Path
from cadcfs.cache.store import BlockStore
from tests.unit.cache.test_room import version, write
store = BlockStore(Path(sys.argv[1]), quota=4 << 20)
file = store.open(version(7, 32 << 20))
write(file, 7, range(40))
store.new_file().path.write_bytes(bytes(100_000))
print("ready", flush=True)
sys.stdin.read()
"""


def test_what_a_killed_process_was_granted_comes_back(tmp_path: Path) -> None:
    victim = subprocess.Popen(
        [sys.executable, "-c", VICTIM, str(tmp_path)],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert victim.stdout is not None
    assert victim.stdin is not None
    assert victim.stdout.readline() == "ready\n"
    victim.send_signal(signal.SIGKILL)
    victim.wait(10)
    victim.stdout.close()
    victim.stdin.close()
    store = BlockStore(tmp_path, quota=QUOTA)
    file = store.open(version(8, 2 * MIB))
    write(file, 8, range(32))
    store.save([file])
    assert on_disk(tmp_path) <= store.room.used() + MIB
    assert list((tmp_path / "blocks-v2" / "new").iterdir()) == []
    assert [p.name for p in (tmp_path / "blocks-v2" / "writers").iterdir()] == [store.room.writer]
    store.close([file])
    store.end()


@pytest.mark.parametrize("files", [2000])
def test_a_long_index_costs_nothing_at_start(tmp_path: Path, files: int) -> None:
    from cadcfs.cache.index import Entry, Index

    (tmp_path / "blocks-v2").mkdir()
    index = Index(tmp_path / "blocks-v2" / "index.sqlite")
    with index.transaction():
        index.put(
            (Entry(f"{n:064x}", f"{n}", MIB, None, 500 * BLOCK, float(n)) for n in range(files)),
            in_use=False,
        )
    assert index.used() == files * 500 * BLOCK
    index.close()
    store = BlockStore(tmp_path, quota=1 << 50)
    file = store.open_absent(version(1)) or store.open(version(1))
    write(file, 1, range(1))
    assert file.read_now(0, 10) == content(1, 0)[:10]
    store.close([file])
    store.end()
