"""Few polls at once, and nobody waits longer than the share of the others."""

from __future__ import annotations

import trio
import trio.testing

from cadcfs.jobs.turns import SHARE, Turns


async def test_no_more_are_in_flight_than_may_be(autojump_clock: trio.testing.MockClock) -> None:
    turns = Turns(3)
    most = 0

    async def poll() -> int:
        nonlocal most
        most = max(most, turns.in_flight)
        await trio.sleep(1)
        return 1

    async with trio.open_nursery() as nursery:
        for _ in range(20):
            nursery.start_soon(turns.ask, poll)
    assert most == 3
    assert turns.in_flight == 0


async def test_a_long_poll_gives_way_after_its_share(
    autojump_clock: trio.testing.MockClock,
) -> None:
    turns = Turns(1)
    answers = []

    async def long() -> str:
        await trio.sleep(60)
        return "long"

    async def short() -> str:
        return "short"

    async def ask_long() -> None:
        answers.append(await turns.ask(long))

    async with trio.open_nursery() as nursery:
        nursery.start_soon(ask_long)
        await trio.sleep(1)
        began = trio.current_time()
        assert await turns.ask(short) == "short"
        assert trio.current_time() - began <= SHARE
        assert answers == [None]
    assert await turns.ask(long) == "long"


async def test_who_is_cancelled_takes_no_turn_along(
    autojump_clock: trio.testing.MockClock,
) -> None:
    turns = Turns(1)

    async def poll() -> None:
        await trio.sleep(3)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(turns.ask, poll)
        await trio.sleep(1)
        with trio.move_on_after(1):
            await turns.ask(poll)
    assert turns.in_flight == 0
    with trio.fail_after(10):
        await turns.ask(poll)
