"""Answers by key: asked once, kept over restarts, stale ones when the network is gone."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import pytest
import trio
import trio.testing

from cadcfs.cache.listings import Listings
from cadcfs.errors import Pending, Unavailable


class Archive:
    """Counts what is asked of it."""

    def __init__(self, answer: tuple[str, ...] = ("M31", "M33")) -> None:
        self.answer = answer
        self.asked = 0
        self.broken = False
        self.gate = trio.Event()

    async def load(self) -> tuple[str, ...]:
        self.asked += 1
        await self.gate.wait()
        if self.broken:
            raise Unavailable("no network")
        return self.answer


async def test_many_askers_cause_one_question(tmp_path: Path) -> None:
    archive = Archive()
    answers = []
    async with trio.open_nursery() as nursery:
        listings = Listings(tmp_path, nursery)

        async def ask() -> None:
            answers.append(await listings.get("k", archive.load, 60))

        async with trio.open_nursery() as askers:
            for _ in range(20):
                askers.start_soon(ask)
            await trio.testing.wait_all_tasks_blocked(0.01)
            archive.gate.set()
    assert answers == [("M31", "M33")] * 20
    assert archive.asked == 1


async def waited_for(listings: Listings, askers: int) -> None:
    while listings.statistics().waiting < askers:
        await trio.testing.wait_all_tasks_blocked(0.001)


async def test_the_first_asker_may_go_away(tmp_path: Path) -> None:
    archive = Archive()
    answers = []
    async with trio.open_nursery() as nursery:
        listings = Listings(tmp_path, nursery)

        async def ask() -> None:
            answers.append(await listings.get("k", archive.load, 60))

        async with trio.open_nursery() as others:
            async with trio.open_nursery() as askers:
                askers.start_soon(ask)
                others.start_soon(ask)
                await waited_for(listings, 2)
                askers.cancel_scope.cancel()
            archive.gate.set()
    assert answers == [archive.answer]
    assert archive.asked == 1


async def test_the_last_asker_to_go_takes_the_question_along(tmp_path: Path) -> None:
    archive = Archive()
    async with trio.open_nursery() as nursery:
        listings = Listings(tmp_path, nursery)
        async with trio.open_nursery() as askers:
            for _ in range(3):
                askers.start_soon(listings.get, "k", archive.load, 60)
            await waited_for(listings, 3)
            askers.cancel_scope.cancel()
        await trio.testing.wait_all_tasks_blocked(0.01)
        assert not listings.statistics().in_flight
        archive.gate.set()
        assert await listings.get("k", archive.load, 60) == archive.answer
    assert archive.asked == 2


async def test_an_answer_survives_a_restart(tmp_path: Path) -> None:
    archive = Archive()
    archive.gate.set()
    async with trio.open_nursery() as nursery:
        first = Listings(tmp_path, nursery)
        await first.get("k", archive.load, 60)
    first.close()
    async with trio.open_nursery() as nursery:
        second = Listings(tmp_path, nursery)
        assert second.peek("k") is None
        assert await second.recall("k") == archive.answer
        assert await second.get("k", archive.load, 60) == archive.answer
    second.close()
    assert archive.asked == 1


async def test_a_stale_answer_stands_in_when_the_network_is_gone(
    tmp_path: Path, expect_log: Callable[[str], None]
) -> None:
    expect_log("no network; showing the answer of")
    archive = Archive()
    archive.gate.set()
    async with trio.open_nursery() as nursery:
        listings = Listings(tmp_path, nursery)
        archive.broken = True
        with pytest.raises(Unavailable):
            await listings.get("k", archive.load, 60)
        archive.broken = False
        await listings.get("k", archive.load, 60)
        archive.broken = True
        assert await listings.get("k", archive.load, 0.0) == archive.answer


async def test_an_old_answer_is_shown_at_once_and_asked_again_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    archive = Archive()
    archive.gate.set()
    async with trio.open_nursery() as nursery:
        listings = Listings(tmp_path, nursery)
        await listings.get("k", archive.load, 60)
        now = time.time()
        monkeypatch.setattr(time, "time", lambda: now + 100)
        archive.answer = ("M101",)
        assert await listings.get("k", archive.load, 60) == ("M31", "M33")
        while listings.statistics().in_flight:
            await trio.lowlevel.checkpoint()
        assert await listings.get("k", archive.load, 60) == ("M101",)
    assert archive.asked == 2


async def test_a_slow_answer_goes_on_behind(tmp_path: Path) -> None:
    archive = Archive()
    async with trio.open_nursery() as nursery:
        listings = Listings(tmp_path, nursery, patience=0.05)
        with pytest.raises(Pending):
            await listings.get("k", archive.load, 60)
        archive.gate.set()
        await trio.testing.wait_all_tasks_blocked(0.01)
        assert await listings.get("k", archive.load, 60) == archive.answer
    assert archive.asked == 1


async def test_a_damaged_disk_is_a_miss(tmp_path: Path, expect_log: Callable[[str], None]) -> None:
    expect_log("answers are not kept on disk")
    (tmp_path / "cache.db").write_bytes(b"not a database at all" * 100)
    archive = Archive()
    archive.gate.set()
    async with trio.open_nursery() as nursery:
        listings = Listings(tmp_path, nursery)
        assert await listings.get("k", archive.load, 60) == archive.answer
