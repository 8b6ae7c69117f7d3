"""Cache files: what reads as good is good, whatever happened to the disk."""

from __future__ import annotations

import hashlib
import os
import random
import shutil
import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cadcfs.cache.blocks import BlockFile, Version
from cadcfs.cache.store import BlockStore
from cadcfs.errors import Corrupt

SIZE = 10 * 4096 + 123
CONTENT = random.Random(1).randbytes(SIZE)
VERSION = Version("cadc:X/file.fits v1", SIZE, hashlib.md5(CONTENT).hexdigest())

ExpectLog = Callable[[str], None]


class Cache:
    """One process's view of a cache directory."""

    def __init__(self, root: Path) -> None:
        self.store = BlockStore(root, block_size=4096)
        self.opened: list[BlockFile] = []

    def filled(self, blocks: range = range(11), version: Version = VERSION) -> BlockFile:
        file = self.store.open(version)
        self.opened.append(file)
        for block in blocks:
            file.write(block, CONTENT[block * 4096 : (block + 1) * 4096])
        return file

    def end(self) -> None:
        self.store.close(self.opened)
        self.store.end()


@pytest.fixture
def cache(tmp_path: Path) -> Iterator[Callable[[], Cache]]:
    """Makes views of one directory, as of several processes in turn or side by side."""
    made: list[Cache] = []

    def make() -> Cache:
        made.append(Cache(tmp_path))
        return made[-1]

    yield make
    for view in made:
        if view.opened and view.opened[0]._closed is False:
            view.end()


def data_file(root: Path) -> Path:
    return min(root.rglob("*.data"))


def test_what_was_kept_is_there_after_a_restart(cache: Callable[[], Cache]) -> None:
    first = cache()
    first.filled()
    first.end()
    again = cache().filled(range(0))
    assert again.read_now(0, SIZE + 5) == CONTENT
    assert again.read_now(5000, 100) == CONTENT[5000:5100]
    assert again.read_now(SIZE, 10) == b""


def test_what_was_not_saved_is_a_miss(cache: Callable[[], Cache], tmp_path: Path) -> None:
    first = cache()
    file = first.filled(range(3))
    file.save()
    file.write(5, CONTENT[5 * 4096 : 6 * 4096])
    shutil.copytree(tmp_path, tmp_path / "after a crash")
    again = Cache(tmp_path / "after a crash").filled(range(0))
    assert again.read_now(0, 3 * 4096) == CONTENT[: 3 * 4096]
    assert again.read_now(5 * 4096, 10) is None
    again.close()


DAMAGES: list[Callable[[bytes], bytes]] = [
    lambda raw: raw[:4100] + bytes([raw[4100] ^ 1]) + raw[4101:],
    lambda raw: raw[:5000],
    lambda raw: raw[:4096] + bytes(4096) + raw[8192:],
    lambda raw: raw[4096:8192] * 11,
    lambda raw: b"",
]


def changed(path: Path, damage: Callable[[bytes], bytes]) -> None:
    """Damage a file in place, as a disk or another program would."""
    raw = damage(path.read_bytes())
    with path.open("r+b") as file:
        file.write(raw)
        file.truncate()


@pytest.mark.parametrize("damage", DAMAGES)
@pytest.mark.parametrize("while_open", [False, True])
def test_damage_is_a_miss(
    cache: Callable[[], Cache], tmp_path: Path, expect_log: ExpectLog,
    damage: Callable[[bytes], bytes], while_open: bool,
) -> None:  # fmt: skip
    expect_log("is damaged; it is fetched again")
    view = cache()
    file = view.filled()
    assert file.read_now(0, SIZE) == CONTENT
    if not while_open:
        view.end()
    changed(data_file(tmp_path), damage)
    if not while_open:
        file = cache().filled(range(0))
    for block in range(11):
        found = file.read_now(block * 4096, 4096)
        assert found in (None, CONTENT[block * 4096 : (block + 1) * 4096])
    assert file.read_now(0, SIZE) is None


def test_the_map_does_not_bring_a_damaged_block_back(
    cache: Callable[[], Cache], tmp_path: Path, expect_log: ExpectLog
) -> None:
    expect_log("block 3 of .* is damaged; it is fetched again")
    before = cache()
    before.filled()
    before.end()
    file = cache().filled(range(0))
    changed(data_file(tmp_path), lambda raw: raw[: 3 * 4096] + b"?" + raw[3 * 4096 + 1 :])
    assert file.read_now(3 * 4096, 4096) is None
    file.refresh(range(11))
    assert not file.presence.here[3]
    file.write(3, CONTENT[3 * 4096 : 4 * 4096])
    file.refresh(range(11))
    assert file.read_now(0, SIZE) == CONTENT


def test_exchanged_files_are_misses(
    cache: Callable[[], Cache], tmp_path: Path, expect_log: ExpectLog
) -> None:
    expect_log("damaged")
    other = Version("cadc:X/other.fits v1", SIZE, None)
    first = cache()
    first.filled()
    file = first.filled(range(0), other)
    for block in range(11):
        file.write(block, CONTENT[::-1][block * 4096 : (block + 1) * 4096])
    first.end()
    one, two = tmp_path.rglob("*.data")
    one.rename(tmp_path / "aside")
    two.rename(one)
    (tmp_path / "aside").rename(two)
    view = cache()
    assert view.filled(range(0)).read_now(0, 10) is None
    assert view.filled(range(0), other).read_now(0, 10) is None
    one, two = tmp_path.rglob("*.map")
    one.rename(tmp_path / "aside")
    two.rename(one)
    (tmp_path / "aside").rename(two)
    assert cache().filled(range(0)).read_now(0, 10) is None


@pytest.fixture
def damaged_maps(expected_log: list[str]) -> None:
    expected_log.append("fetched again")


@pytest.mark.usefixtures("damaged_maps")
@given(position=st.integers(0), flip=st.integers(1, 255))
def test_a_damaged_map_never_lies(
    tmp_path_factory: pytest.TempPathFactory, position: int, flip: int
) -> None:
    root = tmp_path_factory.mktemp("cache")
    view = Cache(root)
    view.filled(range(4))
    view.end()
    path = min(root.rglob("*.map"))
    raw = bytearray(path.read_bytes())
    raw[position % len(raw)] ^= flip
    path.write_bytes(raw)
    again = Cache(root)
    file = again.filled(range(0))
    for block in range(11):
        found = file.read_now(block * 4096, 4096)
        assert found is None or found == CONTENT[block * 4096 : (block + 1) * 4096]
    assert file.read_now(0, 5 * 4096) is None
    again.end()


def test_another_version_is_another_file(cache: Callable[[], Cache]) -> None:
    view = cache()
    view.filled()
    other = Version("cadc:X/file.fits v2", SIZE, None)
    assert view.filled(range(0), other).read_now(0, 10) is None


def test_processes_share_what_each_of_them_fetches(cache: Callable[[], Cache]) -> None:
    first, second = cache(), cache()
    one, two = first.filled(range(2)), second.filled(range(2, 4))
    one.save()
    assert two.read_now(0, 100) is None
    two.refresh(range(2))
    assert two.read_now(0, 4 * 4096) == CONTENT[: 4 * 4096]
    two.save()
    one.refresh(range(2, 4))
    assert one.read_now(0, 4 * 4096) == CONTENT[: 4 * 4096]
    first.end()
    second.end()
    assert cache().filled(range(0)).read_now(0, 4 * 4096) == CONTENT[: 4 * 4096]


def test_a_whole_that_does_not_match_is_thrown_away(cache: Callable[[], Cache]) -> None:
    file = cache().filled(range(10))
    with pytest.raises(Corrupt, match="MD5"):
        file.write(10, bytes(123))
    assert all(file.read_now(b * 4096, 1) is None for b in range(11))


@pytest.mark.parametrize("order", ["forwards", "backwards", "shuffled"])
def test_a_whole_is_checked_in_whatever_order_it_comes(
    cache: Callable[[], Cache], order: str
) -> None:
    blocks = list(range(11))
    if order == "backwards":
        blocks.reverse()
    elif order == "shuffled":
        random.Random(5).shuffle(blocks)
    file = cache().filled(range(0))
    for block in blocks:
        file.write(block, CONTENT[block * 4096 : (block + 1) * 4096])
    assert file.read_now(0, SIZE) == CONTENT
    wrong = cache().filled(range(0), Version("wrong", SIZE, "0" * 32))
    for block in blocks[:-1]:
        wrong.write(block, CONTENT[block * 4096 : (block + 1) * 4096])
    with pytest.raises(Corrupt):
        wrong.write(blocks[-1], CONTENT[blocks[-1] * 4096 : (blocks[-1] + 1) * 4096])


def test_in_order_nothing_is_read_back_for_the_checksum(
    cache: Callable[[], Cache], monkeypatch: pytest.MonkeyPatch
) -> None:
    read = []
    monkeypatch.setattr("os.pread", lambda fd, size, offset: read.append(size) or b"")
    cache().filled()
    assert not [size for size in read if size >= 4096]


def test_an_empty_file(cache: Callable[[], Cache]) -> None:
    file = cache().filled(range(0), Version("empty", 0, None))
    assert file.read_now(0, 100) == b""


def test_without_a_directory_reads_still_work(
    cache: Callable[[], Cache], tmp_path: Path, expect_log: ExpectLog
) -> None:
    expect_log("nothing is kept in")
    (tmp_path / "blocks-v2").write_text("in the way")
    view = cache()
    assert view.filled().read_now(0, SIZE) == CONTENT
    with pytest.raises(OSError, match="cannot be used"):
        view.store.new_file()


def test_a_directory_of_another_user_is_not_trusted(
    cache: Callable[[], Cache], tmp_path: Path, expect_log: ExpectLog
) -> None:
    expect_log("nothing is kept in .* belongs to the user")
    (tmp_path / "blocks-v2").mkdir()
    os.chown(tmp_path / "blocks-v2", 12345, 12345)
    assert cache().filled().read_now(0, SIZE) == CONTENT
    assert list((tmp_path / "blocks-v2").iterdir()) == []


def test_another_format_is_set_aside(
    cache: Callable[[], Cache], tmp_path: Path, expect_log: ExpectLog
) -> None:
    expect_log("is of another format .*: set aside")
    first = cache()
    first.filled()
    first.end()
    with sqlite3.connect(tmp_path / "blocks-v2" / "index.sqlite") as database:
        database.execute("PRAGMA user_version = 99")
    database.close()
    assert cache().filled(range(0)).read_now(0, 10) is None
    assert data_file(tmp_path / "blocks-v2.aside").stat().st_size == SIZE


@pytest.mark.parametrize("damage", [lambda raw: b"x" * 5000, lambda raw: raw[:100] + raw[200:]])
def test_a_damaged_index_is_made_anew(
    cache: Callable[[], Cache], tmp_path: Path, expect_log: ExpectLog,
    damage: Callable[[bytes], bytes],
) -> None:  # fmt: skip
    expect_log("index is damaged|index fails")
    first = cache()
    first.filled()
    first.end()
    path = tmp_path / "blocks-v2" / "index.sqlite"
    path.write_bytes(damage(path.read_bytes()))
    view = cache()
    assert view.filled(range(0)).read_now(0, SIZE) == CONTENT
    assert view.store.room.used() >= SIZE


def test_a_file_that_was_made_whole_is_a_cache_file(
    cache: Callable[[], Cache], tmp_path: Path, expect_log: ExpectLog
) -> None:
    expect_log("is damaged; it is fetched again")
    view = cache()
    made = view.store.new_file()
    made.path.write_bytes(CONTENT)
    version = Version("cutout of cadc:X/file.fits", SIZE, None)
    assert view.store.find(version.key) is None
    assert made.keep(version)
    assert not made.path.exists()
    assert view.store.room.used() >= SIZE
    view.end()
    again = cache()
    assert again.store.find(version.key) == version
    assert again.filled(range(0), version).read_now(0, SIZE) == CONTENT
    changed(data_file(tmp_path), DAMAGES[0])
    assert again.opened[0].read_now(0, SIZE) is None
    made = again.store.new_file()
    made.path.write_bytes(b"short")
    with pytest.raises(ValueError, match="announced"):
        made.keep(version)
    made.discard()
