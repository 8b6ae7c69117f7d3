"""Cache files: what reads as good is good, whatever happened to the disk."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cadcfs.cache.blocks import BlockFile, BlockStore, Version
from cadcfs.errors import Corrupt

SIZE = 10 * 4096 + 123
CONTENT = random.Random(1).randbytes(SIZE)
VERSION = Version("cadc:X/file.fits v1", SIZE, hashlib.md5(CONTENT).hexdigest())


def filled(root: Path, blocks: range = range(11), version: Version = VERSION) -> BlockFile:
    file = BlockStore(root, block_size=4096).open(version)
    for block in blocks:
        file.write(block, CONTENT[block * 4096 : (block + 1) * 4096])
    return file


def data_file(root: Path) -> Path:
    return min(root.rglob("*.data"))


def test_what_was_kept_is_there_after_a_restart(tmp_path: Path) -> None:
    filled(tmp_path).close()
    again = filled(tmp_path, range(0))
    assert again.read_now(0, SIZE + 5) == CONTENT
    assert again.read_now(5000, 100) == CONTENT[5000:5100]
    assert again.read_now(SIZE, 10) == b""


def test_what_was_not_flushed_is_a_miss(tmp_path: Path) -> None:
    file = filled(tmp_path, range(3))
    file.flush()
    file.write(5, CONTENT[5 * 4096 : 6 * 4096])
    kept = min(tmp_path.rglob("*.map")).read_bytes()
    file.close()
    min(tmp_path.rglob("*.map")).write_bytes(kept)
    again = filled(tmp_path, range(0))
    assert again.read_now(0, 3 * 4096) == CONTENT[: 3 * 4096]
    assert again.read_now(5 * 4096, 10) is None


@pytest.mark.parametrize(
    "damage",
    [
        lambda raw: raw[:4100] + bytes([raw[4100] ^ 1]) + raw[4101:],
        lambda raw: raw[:5000],
        lambda raw: raw[:4096] + bytes(4096) + raw[8192:],
        lambda raw: raw[4096:8192] * 11,
        lambda raw: b"",
    ],
)
def test_damage_is_a_miss(
    tmp_path: Path, damage: Callable[[bytes], bytes], expect_log: Callable[[str], None]
) -> None:
    expect_log("is damaged; it is fetched again")
    filled(tmp_path).close()
    path = data_file(tmp_path)
    path.write_bytes(damage(path.read_bytes()))
    again = filled(tmp_path, range(0))
    for block in range(11):
        found = again.read_now(block * 4096, 4096)
        assert found in (None, CONTENT[block * 4096 : (block + 1) * 4096])
    assert again.read_now(4096, 4096) in (None, CONTENT[4096:8192])
    assert again.read_now(0, SIZE) is None


@pytest.fixture
def damaged_maps(expected_log: list[str]) -> None:
    expected_log.append("is damaged; its blocks are fetched again")


@pytest.mark.usefixtures("damaged_maps")
@given(position=st.integers(0), flip=st.integers(1, 255))
def test_a_damaged_map_never_lies(
    tmp_path_factory: pytest.TempPathFactory, position: int, flip: int
) -> None:
    root = tmp_path_factory.mktemp("cache")
    filled(root, range(4)).close()
    path = min(root.rglob("*.map"))
    raw = bytearray(path.read_bytes())
    raw[position % len(raw)] ^= flip
    path.write_bytes(raw)
    file = BlockStore(root, block_size=4096).open(VERSION)
    assert all(file.read_now(b * 4096, 4096) is None for b in range(11))
    file.close()


def test_another_version_is_another_file(tmp_path: Path) -> None:
    filled(tmp_path).close()
    other = Version("cadc:X/file.fits v2", SIZE, None)
    assert filled(tmp_path, range(0), other).read_now(0, 10) is None


def test_a_second_process_keeps_out_of_the_way(tmp_path: Path) -> None:
    first = filled(tmp_path, range(2))
    second = filled(tmp_path, range(4))
    assert second.read_now(0, 4 * 4096) == CONTENT[: 4 * 4096]
    second.close()
    first.close()
    assert filled(tmp_path, range(0)).read_now(2 * 4096, 10) is None


def test_a_whole_that_does_not_match_is_thrown_away(tmp_path: Path) -> None:
    file = filled(tmp_path, range(10))
    with pytest.raises(Corrupt, match="MD5"):
        file.write(10, bytes(123))
    assert all(file.read_now(b * 4096, 1) is None for b in range(11))


def test_an_empty_file(tmp_path: Path) -> None:
    file = BlockStore(tmp_path).open(Version("empty", 0, None))
    assert file.read_now(0, 100) == b""
    file.close()


def test_without_a_disk_reads_still_work(tmp_path: Path, expect_log: Callable[[str], None]) -> None:
    expect_log("nothing is kept of")
    (tmp_path / "blocks-v1").write_text("in the way")
    file = filled(tmp_path)
    assert file.read_now(0, SIZE) == CONTENT
    file.close()
