"""Streams: right bytes, each fetched once, little more than was asked."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Callable
from pathlib import Path

import pytest
import trio
import trio.testing

from cadcfs.cache.blocks import Version
from cadcfs.cache.store import BlockStore
from cadcfs.cache.stream import Sink, Stream, Streams
from cadcfs.errors import Corrupt, Unavailable

SIZE = 3_000_000
CONTENT = random.Random(2).randbytes(SIZE)
VERSION = Version("file", SIZE, hashlib.md5(CONTENT).hexdigest())


class Source:
    """The bytes of CONTENT, counted; waits at a gate if it is told to."""

    def __init__(self, content: bytes = CONTENT) -> None:
        self.content = content
        self.asked: list[tuple[int, int]] = []
        self.gate = trio.Event()
        self.gate.set()
        self.failures = 0
        self.mend_after_next = False

    async def fetch(self, start: int, stop: int, sink: Sink) -> None:
        self.asked.append((start, stop))
        await self.gate.wait()
        if self.failures:
            self.failures -= 1
            raise Unavailable("no network")

        def carry() -> None:
            for offset in range(start, stop, 10_000):
                sink(offset, self.content[offset : min(offset + 10_000, stop)])

        mend, self.mend_after_next = self.mend_after_next, False
        try:
            await trio.to_thread.run_sync(carry)
        finally:
            if mend:
                self.content = CONTENT

    def total(self) -> int:
        return sum(stop - start for start, stop in self.asked)


async def read(stream: Stream, offset: int, size: int) -> bytes:
    here = stream.read_now(offset, size)
    return await stream.read(offset, size) if here is None else here


async def test_a_whole_read_fetches_each_byte_once(tmp_path: Path) -> None:
    source = Source()
    async with trio.open_nursery() as nursery:
        streams = Streams(BlockStore(tmp_path), nursery)
        stream = await streams.open(VERSION, source)
        found = b""
        while chunk := await read(stream, len(found), 131_072):
            found += chunk
        await stream.aclose()
    assert found == CONTENT
    assert source.total() == SIZE


async def test_a_header_moves_little(tmp_path: Path) -> None:
    source = Source()
    async with trio.open_nursery() as nursery:
        stream = await Streams(BlockStore(tmp_path), nursery).open(VERSION, source)
        assert await read(stream, 0, 28_800) == CONTENT[:28_800]
        await stream.aclose()
    assert source.total() <= 131_072


async def test_random_reads_fetch_only_their_blocks(tmp_path: Path) -> None:
    source, rng = Source(), random.Random(3)
    wanted = set()
    async with trio.open_nursery() as nursery:
        stream = await Streams(BlockStore(tmp_path), nursery).open(VERSION, source)
        for _ in range(40):
            offset, size = rng.randrange(SIZE), rng.randrange(1, 5000)
            assert await read(stream, offset, size) == CONTENT[offset : offset + size]
            wanted |= set(range(offset // 65536, (min(offset + size, SIZE) - 1) // 65536 + 1))
        await stream.aclose()
    assert source.total() <= (len(wanted) + 2) * 65536


async def test_many_readers_of_a_cold_block_cause_one_request(tmp_path: Path) -> None:
    source = Source()
    source.gate = trio.Event()
    async with trio.open_nursery() as nursery:
        streams = Streams(BlockStore(tmp_path), nursery)
        opened = [await streams.open(VERSION, source) for _ in range(32)]
        async with trio.open_nursery() as readers:
            for stream in opened:
                readers.start_soon(stream.read, 1000, 10)
            await trio.testing.wait_all_tasks_blocked(0.01)
            source.gate.set()
        for stream in opened:
            await stream.aclose()
    assert len(source.asked) == 1


async def test_an_interrupted_reader_takes_nothing_away(tmp_path: Path) -> None:
    source = Source()
    source.gate = trio.Event()
    async with trio.open_nursery() as nursery:
        stream = await Streams(BlockStore(tmp_path), nursery).open(VERSION, source)
        scope = trio.CancelScope()
        found = []

        async def interrupted() -> None:
            with scope:
                await stream.read(0, 10)

        async def patient() -> None:
            found.append(await stream.read(0, 10))

        async with trio.open_nursery() as readers:
            readers.start_soon(interrupted)
            readers.start_soon(patient)
            await trio.testing.wait_all_tasks_blocked(0.01)
            scope.cancel()
            await trio.testing.wait_all_tasks_blocked(0.01)
            source.gate.set()
        await stream.aclose()
    assert found == [CONTENT[:10]]
    assert len(source.asked) == 1


async def test_a_failure_reaches_the_reader_and_is_not_remembered(tmp_path: Path) -> None:
    source = Source()
    source.failures = 1
    async with trio.open_nursery() as nursery:
        stream = await Streams(BlockStore(tmp_path), nursery).open(VERSION, source)
        with pytest.raises(Unavailable):
            await stream.read(0, 10)
        assert await stream.read(0, 10) == CONTENT[:10]
        await stream.aclose()


async def test_wrong_bytes_are_fetched_again_once_and_then_refused(
    tmp_path: Path, expect_log: Callable[[str], None]
) -> None:
    expect_log("fetching it once more")
    source = Source(CONTENT[:-1] + b"!")
    async with trio.open_nursery() as nursery:
        stream = await Streams(BlockStore(tmp_path), nursery).open(VERSION, source)
        for offset in reversed(range(65536, SIZE, 65536)):
            await read(stream, offset, 65536)
        for _ in range(2):
            with pytest.raises(Corrupt):
                await read(stream, 0, 10)
        assert source.total() <= 2 * SIZE + 131_072
        await stream.aclose()


async def test_wrong_bytes_that_mend_are_served(
    tmp_path: Path, expect_log: Callable[[str], None]
) -> None:
    expect_log("fetching it once more")
    source = Source(CONTENT[:-1] + b"!")
    async with trio.open_nursery() as nursery:
        stream = await Streams(BlockStore(tmp_path), nursery).open(VERSION, source)
        for offset in reversed(range(65536, SIZE, 65536)):
            await stream.read(offset, 65536)
        source.mend_after_next = True
        assert await stream.read(0, 10) == CONTENT[:10]
        assert await read(stream, 0, SIZE) == CONTENT
        await stream.aclose()


async def test_two_interleaved_readers_fetch_each_byte_once(tmp_path: Path) -> None:
    source = Source()
    async with trio.open_nursery() as nursery:
        stream = await Streams(BlockStore(tmp_path), nursery).open(VERSION, source)
        half = SIZE // 2
        for offset in range(0, half, 50_000):
            for start in (offset, half + offset):
                size = min(50_000, SIZE - start)
                assert await read(stream, start, size) == CONTENT[start : start + size]
        await stream.aclose()
    assert source.total() == SIZE


async def test_closing_ends_what_is_under_way(tmp_path: Path) -> None:
    source = Source()
    async with trio.open_nursery() as nursery:
        streams = Streams(BlockStore(tmp_path), nursery)
        stream = await streams.open(VERSION, source)
        await stream.read(0, 10)
        source.gate = trio.Event()
        with trio.move_on_after(0.05):
            await stream.read(SIZE - 10, 10)
        with trio.fail_after(2):
            await stream.aclose()
    assert streams.statistics().open_files == 0
