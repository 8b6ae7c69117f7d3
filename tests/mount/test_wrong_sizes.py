"""Files that are empty, read past their end, or not as long as their metadata say."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.mount.large_origin import Origin, running
from tests.rig import Mount

CONTENT = os.urandom(300_000)
EMPTY, RIGHT, TOLD_SHORT, TOLD_LONG = range(4)

Files = tuple[Mount, list[Path], Origin]


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Files]:
    contents = {EMPTY: b"", RIGHT: CONTENT, TOLD_SHORT: CONTENT, TOLD_LONG: CONTENT}
    told = {TOLD_SHORT: 200_000, TOLD_LONG: 400_000}
    with running(tmp_path_factory.mktemp("sizes"), contents, told=told) as found:
        yield found


def test_an_empty_file_is_read_without_a_request(files: Files) -> None:
    _, paths, origin = files
    assert paths[EMPTY].stat().st_size == 0
    origin.moved()
    assert paths[EMPTY].read_bytes() == b""
    assert origin.moved() == (0, 0)


def test_past_the_end_is_nothing(files: Files) -> None:
    _, paths, _ = files
    with paths[RIGHT].open("rb", buffering=0) as file:
        assert os.pread(file.fileno(), 1000, len(CONTENT)) == b""
        assert os.pread(file.fileno(), 1000, 1 << 40) == b""
        assert os.pread(file.fileno(), 1000, len(CONTENT) - 10) == CONTENT[-10:]
        assert paths[RIGHT].read_bytes() == CONTENT


@pytest.mark.parametrize("number", [TOLD_SHORT, TOLD_LONG])
def test_a_wrong_size_is_stale_once_and_then_the_files_own(files: Files, number: int) -> None:
    _, paths, _ = files
    assert paths[number].stat().st_size != len(CONTENT)
    with (
        paths[number].open("rb", buffering=0) as file,
        pytest.raises(OSError, match=os.strerror(errno.ESTALE)),
    ):
        os.pread(file.fileno(), 1000, 0)
    assert paths[number].read_bytes() == CONTENT
    assert paths[number].stat().st_size == len(CONTENT)
