"""Files that are made whole: once, kept, made again when lost, and never half."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import trio

from cadcfs.cache.store import BlockStore
from cadcfs.cache.streams import Streams
from cadcfs.cache.whole import Wholes
from cadcfs.errors import NoContent, NotFound, Pending, RemoteChanged, Unavailable

CONTENT = b"made " * 50_000


class Maker:
    """Makes a file and counts how often."""

    def __init__(self, content: bytes = CONTENT, error: Exception | None = None) -> None:
        self.content = content
        self.error = error
        self.calls = 0
        self.begun = trio.Event()
        self.goes_on = trio.Event()
        self.goes_on.set()

    async def __call__(self, path: Path) -> None:
        self.calls += 1
        self.begun.set()
        # Half of it is there while the rest is being made.
        await trio.to_thread.run_sync(path.write_bytes, self.content[: len(self.content) // 2])
        await self.goes_on.wait()
        if self.error is not None:
            raise self.error
        await trio.to_thread.run_sync(path.write_bytes, self.content)


@asynccontextmanager
async def wholes(
    root: Path, *, quota: int = 1 << 30, patience: float = 60
) -> AsyncIterator[Wholes]:
    async with trio.open_nursery() as nursery:
        store = BlockStore(root, quota=quota, floor=0)
        streams = Streams(store, nursery)
        made = Wholes(root, store, streams, nursery, patience=patience)
        try:
            yield made
        finally:
            await streams.aclose()
            made.close()
            nursery.cancel_scope.cancel()


def evict(root: Path) -> None:
    for path in [*(root / "blocks-v2").rglob("*.data"), *(root / "blocks-v2").rglob("*.map")]:
        path.unlink()


async def until(condition: Callable[[], bool]) -> None:
    with trio.fail_after(20):
        while not condition():  # noqa: ASYNC110  (what is counted has no event)
            await trio.sleep(0.01)


async def content_of(made: Wholes, key: str, maker: Maker) -> bytes:
    _, stream = await made.open(key, maker)
    try:
        parts = []
        while part := await stream.read(sum(map(len, parts)), 100_000):
            parts.append(part)
        return b"".join(parts)
    finally:
        await stream.aclose()


async def test_many_askers_cause_one_making(tmp_path: Path) -> None:
    maker = Maker()
    maker.goes_on = trio.Event()
    found: list[bytes] = []

    async def ask() -> None:
        found.append(await content_of(made, "a", maker))

    async with wholes(tmp_path) as made, trio.open_nursery() as nursery:
        for _ in range(5):
            nursery.start_soon(ask)
        await maker.begun.wait()
        assert made.known("a") is None
        maker.goes_on.set()
    assert found == [CONTENT] * 5
    assert maker.calls == 1


async def test_an_asker_that_goes_away_disturbs_nobody(tmp_path: Path) -> None:
    maker = Maker()
    maker.goes_on = trio.Event()
    async with wholes(tmp_path) as made:
        with trio.move_on_after(0.05):
            await made.make("a", maker)
        maker.goes_on.set()
        assert await content_of(made, "a", maker) == CONTENT
    assert maker.calls == 1


async def test_what_was_made_is_kept_over_a_restart(tmp_path: Path) -> None:
    maker = Maker()
    async with wholes(tmp_path) as made:
        await made.make("a", maker)
    async with wholes(tmp_path) as made:
        assert made.known("a") is None
        await made.recall(["a", "b"])
        known = made.known("a")
        assert known is not None
        assert known.size == len(CONTENT)
        assert await content_of(made, "a", maker) == CONTENT
    assert maker.calls == 1


async def test_what_needs_longer_goes_on_behind(tmp_path: Path) -> None:
    maker = Maker()
    maker.goes_on = trio.Event()
    async with wholes(tmp_path, patience=0.05) as made:
        with pytest.raises(Pending):
            await made.make("a", maker)
        maker.goes_on.set()
        await until(lambda: made.known("a") is not None)
        assert await content_of(made, "a", maker) == CONTENT
    assert maker.calls == 1


async def test_a_failure_is_told_and_tried_again(tmp_path: Path) -> None:
    maker = Maker(error=Unavailable("busy"))
    async with wholes(tmp_path) as made:
        for _ in range(2):
            with pytest.raises(Unavailable):
                await made.make("a", maker)
        maker.error = None
        assert await content_of(made, "a", maker) == CONTENT
    assert maker.calls == 3
    assert list((tmp_path / "blocks-v2" / "new").iterdir()) == []


@pytest.mark.parametrize("error", [NoContent("nothing there"), NotFound("unknown")])
async def test_a_refusal_is_remembered(error: NotFound, tmp_path: Path) -> None:
    maker = Maker(error=error)
    for _ in range(2):
        async with wholes(tmp_path) as made:
            with pytest.raises(type(error), match=str(error)):
                await made.make("a", maker)
            assert made.is_refused("a")
    assert maker.calls == 1


async def test_damage_is_mended_by_making_it_again(
    tmp_path: Path, expect_log: Callable[[str], None]
) -> None:
    expect_log("damaged")
    maker = Maker()
    async with wholes(tmp_path) as made:
        await made.make("a", maker)
    data = min((tmp_path / "blocks-v2").rglob("*.data"))
    content = bytearray(data.read_bytes())
    content[100_000] ^= 1
    data.write_bytes(content)
    async with wholes(tmp_path) as made:
        assert await content_of(made, "a", maker) == CONTENT
    assert maker.calls == 2


async def test_what_was_evicted_is_made_again_once_and_keeps_its_size(tmp_path: Path) -> None:
    maker = Maker()
    async with wholes(tmp_path) as made:
        await made.make("a", maker)
    evict(tmp_path)
    async with wholes(tmp_path) as made:
        assert (await made.make("a", maker)).size == len(CONTENT)
        assert maker.calls == 1
        assert await content_of(made, "a", maker) == CONTENT
    assert maker.calls == 2


async def test_another_content_is_another_generation(tmp_path: Path) -> None:
    maker = Maker()
    async with wholes(tmp_path) as made:
        await made.make("a", maker)
    evict(tmp_path)
    maker.content = CONTENT[:-1] + b"!"
    async with wholes(tmp_path) as made:
        with pytest.raises(RemoteChanged):
            await content_of(made, "a", maker)
        known = made.known("a")
        assert known is not None
        assert known.generation == 1
        assert await content_of(made, "a", maker) == maker.content


@pytest.mark.parametrize("quota", [0, 1 << 16])
async def test_without_room_it_is_still_read(
    quota: int, tmp_path: Path, expect_log: Callable[[str], None]
) -> None:
    expect_log("no room within the quota")
    maker = Maker()
    async with wholes(tmp_path, quota=quota) as made:
        size = (await made.make("a", maker)).size
        assert size == len(CONTENT)
        assert await content_of(made, "a", maker) == CONTENT
    assert maker.calls == 1


async def test_without_a_disk_it_is_still_read(
    tmp_path: Path, expect_log: Callable[[str], None]
) -> None:
    expect_log("disk|kept|written")
    (tmp_path / "blocks-v2").write_text("no directory")
    maker = Maker()
    async with wholes(tmp_path) as made:
        assert await content_of(made, "a", maker) == CONTENT


async def test_a_few_are_made_ahead_and_no_more_after_a_failure(tmp_path: Path) -> None:
    makers = [Maker(str(number).encode()) for number in range(20)]
    makers[5].error = NoContent("nothing")
    for maker in makers:
        maker.goes_on = trio.Event()
    wanted: list[tuple[str, Callable[[Path], Awaitable[None]]]] = [
        (str(number), maker) for number, maker in enumerate(makers)
    ]
    async with wholes(tmp_path) as made:
        made.ahead(wanted)
        for maker in makers[:4]:
            await maker.begun.wait()
        assert sum(maker.calls for maker in makers) == 4
        for maker in makers[:10]:
            maker.goes_on.set()
        for maker in makers[10:14]:
            await maker.begun.wait()
        assert sum(maker.calls for maker in makers) == 14
        makers[10].error = Unavailable("busy")
        for maker in makers:
            maker.goes_on.set()
        await until(lambda: made.statistics().under_way == 0)
    assert makers[19].calls == 0
