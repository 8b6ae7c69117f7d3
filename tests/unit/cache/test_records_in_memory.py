"""How many records of made files are at hand."""

from __future__ import annotations

from pathlib import Path

from cadcfs.cache.records import IN_MEMORY, Made, Records


def test_what_is_wanted_stays_at_hand_and_the_rest_is_read_again(tmp_path: Path) -> None:
    records = Records(tmp_path)
    for number in range(IN_MEMORY):
        records.keep(f"file {number}", Made(number, "0" * 32))
    assert records.peek("file 0")
    records.keep("one more", Made(1, "0" * 32))
    assert records.peek("file 0") == Made(0, "0" * 32)
    assert records.peek("file 1") is None
    records.load(["file 1"])
    assert records.peek("file 1") == Made(1, "0" * 32)


def test_a_large_directory_is_at_hand_as_a_whole(tmp_path: Path) -> None:
    names = [f"file {number}" for number in range(IN_MEMORY + 100)]
    for name in names:
        Records(tmp_path).keep(name, Made(1, "0" * 32))
    records = Records(tmp_path)
    records.load(names)
    assert all(map(records.peek, names))
