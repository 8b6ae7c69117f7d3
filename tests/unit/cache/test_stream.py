"""Streams: right bytes, each fetched once, little more than was asked."""

from __future__ import annotations

import hashlib
import random
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import trio
import trio.testing

from cadcfs.cache import patience
from cadcfs.cache.blocks import Version
from cadcfs.cache.fetching import Sink
from cadcfs.cache.store import BlockStore
from cadcfs.cache.stream import Stream
from cadcfs.cache.streams import Streams
from cadcfs.errors import Corrupt, TimedOut, Unavailable

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


@asynccontextmanager
async def running(root: Path, **options: int) -> AsyncIterator[Streams]:
    async with trio.open_nursery() as nursery:
        streams = Streams(BlockStore(root, **options), nursery)
        yield streams
        await streams.aclose()


async def read(stream: Stream, offset: int, size: int) -> bytes:
    here = stream.read_now(offset, size)
    return await stream.read(offset, size) if here is None else here


async def test_a_whole_read_fetches_each_byte_once(tmp_path: Path) -> None:
    source = Source()
    async with running(tmp_path) as streams:
        stream = await streams.open(VERSION, source)
        found = b""
        while chunk := await read(stream, len(found), 131_072):
            found += chunk
        await stream.aclose()
    assert found == CONTENT
    assert source.total() == SIZE


async def test_a_header_moves_little(tmp_path: Path) -> None:
    source = Source()
    async with running(tmp_path) as streams:
        stream = await streams.open(VERSION, source)
        assert await read(stream, 0, 28_800) == CONTENT[:28_800]
        await stream.aclose()
    assert source.total() <= 131_072


async def test_random_reads_fetch_only_their_blocks(tmp_path: Path) -> None:
    source, rng = Source(), random.Random(3)
    wanted = set()
    async with running(tmp_path) as streams:
        stream = await streams.open(VERSION, source)
        for _ in range(40):
            offset, size = rng.randrange(SIZE), rng.randrange(1, 5000)
            assert await read(stream, offset, size) == CONTENT[offset : offset + size]
            wanted |= set(range(offset // 65536, (min(offset + size, SIZE) - 1) // 65536 + 1))
        await stream.aclose()
    assert source.total() <= (len(wanted) + 2) * 65536


async def test_many_readers_of_a_cold_block_cause_one_request(tmp_path: Path) -> None:
    source = Source()
    source.gate = trio.Event()
    async with running(tmp_path) as streams:
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
    async with running(tmp_path) as streams:
        stream = await streams.open(VERSION, source)
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


async def test_a_failure_is_remembered_for_two_seconds_by_the_handles_that_were_open(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = Source()
    source.failures = 1
    now = 1000.0
    monkeypatch.setattr(patience.time, "monotonic", lambda: now)
    async with running(tmp_path) as streams:
        stream = await streams.open(VERSION, source)
        beside = await streams.open(VERSION, source)
        for _ in range(3):
            with pytest.raises(Unavailable):
                await stream.read(0, 10)
        # Its reader may have waited for the page that the first one was to bring.
        with pytest.raises(Unavailable):
            await beside.read(0, 10)
        await beside.aclose()
        assert len(source.asked) == 1
        now += 0.1
        other = await streams.open(VERSION, source)
        last = len(CONTENT) - 10
        assert await stream.read(last, 10) == CONTENT[last:]
        assert await other.read(0, 10) == CONTENT[:10]
        await other.aclose()
        now += 2
        assert await stream.read(0, 10) == CONTENT[:10]
        await stream.aclose()


async def test_a_source_that_is_silent_is_given_up(tmp_path: Path) -> None:
    source = Source()
    source.gate = trio.Event()
    async with running(tmp_path) as streams:
        streams.patience = 0.05
        stream = await streams.open(VERSION, source)
        with pytest.raises(TimedOut):
            await stream.read(0, 10)
        # The kernel cuts a long read into several; whoever waits does so once.
        with pytest.raises(TimedOut):
            await stream.read(len(CONTENT) - 10, 10)
        assert len(source.asked) == 1
        await stream.aclose()
        await trio.testing.wait_all_tasks_blocked(0.01)
        assert streams.statistics().cancelled == 1


async def test_wrong_bytes_are_fetched_again_once_and_then_refused(
    tmp_path: Path, expect_log: Callable[[str], None]
) -> None:
    expect_log("fetching it once more")
    source = Source(CONTENT[:-1] + b"!")
    async with running(tmp_path) as streams:
        stream = await streams.open(VERSION, source)
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
    async with running(tmp_path) as streams:
        stream = await streams.open(VERSION, source)
        for offset in reversed(range(65536, SIZE, 65536)):
            await stream.read(offset, 65536)
        source.mend_after_next = True
        assert await stream.read(0, 10) == CONTENT[:10]
        assert await read(stream, 0, SIZE) == CONTENT
        await stream.aclose()


async def test_two_interleaved_readers_fetch_each_byte_once(tmp_path: Path) -> None:
    source = Source()
    async with running(tmp_path) as streams:
        stream = await streams.open(VERSION, source)
        half = SIZE // 2
        for offset in range(0, half, 50_000):
            for start in (offset, half + offset):
                size = min(50_000, SIZE - start)
                assert await read(stream, start, size) == CONTENT[start : start + size]
        await stream.aclose()
    assert source.total() == SIZE


async def test_closing_ends_what_is_under_way(tmp_path: Path) -> None:
    source = Source()
    async with running(tmp_path) as streams:
        stream = await streams.open(VERSION, source)
        await stream.read(0, 10)
        source.gate = trio.Event()
        with trio.move_on_after(0.05):
            await stream.read(SIZE - 10, 10)
        with trio.fail_after(2):
            await stream.aclose()
    assert streams.statistics().open_files == 0


async def test_a_strided_run_overshoots_by_half_at_most(tmp_path: Path) -> None:
    source = Source(random.Random(5).randbytes(24 << 20))
    version = Version("strided", len(source.content), None)
    async with running(tmp_path) as streams:
        stream = await streams.open(version, source)
        for row in range(200):
            offset = (1 << 20) + row * 65536 + 100
            assert await read(stream, offset, 800) == source.content[offset : offset + 800]
        await stream.aclose()
    assert source.total() <= 1.5 * 200 * 65536 + 131_072
    assert len(source.asked) < 25


async def test_jumping_away_ends_what_was_fetched_ahead(tmp_path: Path) -> None:
    source = Source(random.Random(6).randbytes(24 << 20))
    version = Version("jumping", len(source.content), None)
    async with running(tmp_path) as streams:
        stream = await streams.open(version, source)
        for offset in range(0, 1 << 20, 131_072):
            await read(stream, offset, 131_072)
        await trio.testing.wait_all_tasks_blocked(0.01)
        source.gate = trio.Event()
        async with trio.open_nursery() as readers:
            # The run goes on until something is fetched ahead that does not arrive.
            for offset in range(1 << 20, 4 << 20, 131_072):
                if stream.read_now(offset, 131_072) is None:
                    break
            assert streams.statistics().cancelled == 0
            for offset in (10 << 20, 15 << 20):
                readers.start_soon(stream.read, offset, 10)
            await trio.testing.wait_all_tasks_blocked(0.01)
            source.gate.set()
        assert streams.statistics().cancelled >= 1
        assert await read(stream, 1 << 20, 100) == source.content[1 << 20 : (1 << 20) + 100]
        await stream.aclose()


async def test_a_reader_that_gives_up_ends_its_fetch(tmp_path: Path) -> None:
    source = Source()
    source.gate = trio.Event()
    async with running(tmp_path) as streams:
        stream = await streams.open(VERSION, source)
        with trio.move_on_after(0.02):
            await stream.read(1_000_000, 10)
        await trio.testing.wait_all_tasks_blocked(0.01)
        assert streams.statistics().cancelled == 1
        source.gate.set()
        assert await read(stream, 1_000_000, 10) == CONTENT[1_000_000:1_000_010]
        await stream.aclose()


class SlowSource(Source):
    """Each request takes its time, as on a long way; notes how many go side by side."""

    def __init__(self, content: bytes) -> None:
        super().__init__(content)
        self.running = 0
        self.most = 0

    async def fetch(self, start: int, stop: int, sink: Sink) -> None:
        self.asked.append((start, stop))
        self.running += 1
        self.most = max(self.most, self.running)
        try:
            for offset in range(start, stop, 1 << 20):
                await trio.sleep(0.03)
                data = self.content[offset : min(offset + (1 << 20), stop)]
                await trio.to_thread.run_sync(sink, offset, data)
        finally:
            self.running -= 1


async def test_slow_streams_go_side_by_side(tmp_path: Path) -> None:
    source = SlowSource(random.Random(7).randbytes(48 << 20))
    version = Version("slow", len(source.content), None)
    async with running(tmp_path) as streams:
        stream = await streams.open(version, source)
        for offset in range(0, len(source.content), 1 << 20):
            assert (
                await read(stream, offset, 1 << 20) == source.content[offset : offset + (1 << 20)]
            )
        await stream.aclose()
    assert source.total() == len(source.content)
    # How many at once depends on when each ends; one after the other would be one.
    assert 2 <= source.most <= 4


async def test_all_files_together_keep_to_the_budget(tmp_path: Path) -> None:
    source = Source(random.Random(8).randbytes(16 << 20))
    source.gate = trio.Event()
    async with running(tmp_path) as streams:
        opened = []
        streams.fetching._budget = 4 << 20
        for number in range(8):
            stream = await streams.open(Version(f"{number}", 16 << 20, None), source)
            opened.append(stream)
        source.gate.set()
        for stream in opened:
            for offset in range(0, 4 << 20, 131_072):
                await read(stream, offset, 131_072)
                assert streams.fetching._ahead <= 4 << 20
        for stream in opened:
            await stream.aclose()


async def test_a_file_that_was_just_closed_is_opened_again_for_nothing(tmp_path: Path) -> None:
    source = Source()
    async with running(tmp_path) as streams:
        for _ in range(50):
            stream = await streams.open(VERSION, source)
            assert await read(stream, 0, 100) == CONTENT[:100]
            await stream.aclose()
        assert len(source.asked) == 1
    async with running(tmp_path) as streams:
        stream = await streams.open(VERSION, source)
        assert await read(stream, 0, 100) == CONTENT[:100]
        await stream.aclose()
    assert len(source.asked) == 1


async def test_reading_under_a_quota_smaller_than_the_file(tmp_path: Path) -> None:
    content = random.Random(9).randbytes(24 << 20)
    source = Source(content)
    version = Version("large", len(content), hashlib.md5(content).hexdigest())
    async with running(tmp_path, quota=8 << 20) as streams:
        one, two = await streams.open(version, source), await streams.open(version, source)
        for offset in range(0, len(content), 131_072):
            other = (offset * 7919) % len(content)
            assert await read(one, offset, 131_072) == content[offset : offset + 131_072]
            assert await read(two, other, 999) == content[other : other + 999]
        await one.aclose()
        await two.aclose()


async def read_for_ever(stream: Stream, size: int, offsets: list[int]) -> None:
    while True:
        for offset in range(0, size, 131_072):
            offsets.append(offset)
            await read(stream, offset, 131_072)
            await trio.lowlevel.checkpoint()


@pytest.mark.parametrize("quota", [4 << 20, 8 << 20])
async def test_a_wrong_file_larger_than_the_quota_is_refused_at_its_end(
    tmp_path: Path, expect_log: Callable[[str], None], quota: int
) -> None:
    expect_log("what was read has MD5")
    content = random.Random(10).randbytes(24 << 20)
    source = Source(content)
    version = Version("wrong", len(content), "0" * 32)
    async with running(tmp_path, quota=quota) as streams:
        stream = await streams.open(version, source)
        reached: list[int] = []
        # As soon as the end has come, which may be ahead of the reader.
        with pytest.raises(Corrupt), trio.fail_after(20):
            await read_for_ever(stream, len(content), reached)
        assert len(content) - quota <= max(reached)
        for offset in (0, len(content) - 10):
            with pytest.raises(Corrupt):
                await read(stream, offset, 10)
        assert source.total() <= len(content) + quota
        await stream.aclose()


async def test_a_block_that_was_damaged_on_disk_is_fetched_again(
    tmp_path: Path, expect_log: Callable[[str], None]
) -> None:
    expect_log("block 1 of file is damaged")
    source = Source()
    async with running(tmp_path) as streams:
        stream = await streams.open(VERSION, source)
        assert await stream.read(0, SIZE) == CONTENT
    path = min((tmp_path / "blocks-v2").rglob("*.data"))
    damaged = bytearray(path.read_bytes())
    damaged[100_000] ^= 1
    path.write_bytes(damaged)
    async with running(tmp_path) as streams:
        stream = await streams.open(VERSION, source)
        with trio.fail_after(20):
            assert await read(stream, 65_536, 65_536) == CONTENT[65_536:131_072]
    assert SIZE < source.total() <= SIZE + 131_072


async def test_what_another_process_fetched_meanwhile_is_found(tmp_path: Path) -> None:
    source = Source()
    async with running(tmp_path) as ours, running(tmp_path) as theirs:
        stream = await ours.open(VERSION, source)
        assert await stream.read(0, 10) == CONTENT[:10]
        other = await theirs.open(VERSION, source)
        assert await other.read(0, SIZE) == CONTENT
        await theirs.aclose()
        asked = source.total()
        with trio.fail_after(20):
            assert await stream.read(0, SIZE) == CONTENT
    assert source.total() == asked
