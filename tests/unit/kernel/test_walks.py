"""The walk guard's arithmetic, in virtual time."""

from __future__ import annotations

import pytest
import trio
import trio.testing

from cadcfs.errors import Busy
from cadcfs.kernel.callers import Caller
from cadcfs.kernel.walks import Walks

Clock = trio.testing.MockClock
FIND = Caller(frozenset({"find"}), "group 1")
LS = Caller(frozenset({"ls"}), "group 2")
UPDATEDB = Caller(frozenset({"updatedb.ploca"}), "group 3")


@pytest.fixture
def walks() -> Walks:
    return Walks(60, ["updatedb.ploca"], 120)


async def turns(walks: Walks, caller: Caller, count: int) -> list[float]:
    start = trio.current_time()
    times = []
    for _ in range(count):
        await walks.turn(caller)
        times.append(trio.current_time() - start)
    return times


async def test_no_minute_has_more_than_the_allowance_and_half_of_it_comes_at_once(
    walks: Walks, autojump_clock: Clock
) -> None:
    times = await turns(walks, FIND, 200)
    assert times[:30] == [0] * 30
    assert times[30] == pytest.approx(1)
    for first, last in zip(times, times[60:], strict=False):
        assert last - first >= 60 - 1e-6
    assert times[-1] == pytest.approx(200, abs=60)


async def test_others_are_not_slowed(walks: Walks, autojump_clock: Clock) -> None:
    await turns(walks, FIND, 60)
    assert await turns(walks, LS, 10) == [0] * 10


async def test_a_turn_that_would_come_too_late_is_refused_at_once(
    walks: Walks, autojump_clock: Clock
) -> None:
    await turns(walks, FIND, 30)
    refused = 0
    start = trio.current_time()

    async def ask() -> None:
        nonlocal refused
        try:
            await walks.turn(FIND)
        except Busy:
            refused += 1
            assert trio.current_time() == start

    async with trio.open_nursery() as nursery:
        for _ in range(300):
            nursery.start_soon(ask)
    assert trio.current_time() - start <= 120
    # 120 s more hold two minutes' allowance, less what was taken in the first.
    assert 300 - refused == pytest.approx(120, abs=31)


async def test_who_is_interrupted_leaves_his_turn_to_the_next(
    walks: Walks, autojump_clock: Clock
) -> None:
    await turns(walks, FIND, 30)
    async with trio.open_nursery() as gone:
        for _ in range(20):
            gone.start_soon(walks.turn, FIND)
        await trio.testing.wait_all_tasks_blocked()
        gone.cancel_scope.cancel()
    assert (await turns(walks, FIND, 1))[0] == pytest.approx(1)


async def test_a_deadline_nearer_than_the_patience_counts(
    walks: Walks, autojump_clock: Clock
) -> None:
    await turns(walks, FIND, 60)
    with trio.fail_after(5), pytest.raises(Busy):
        await walks.turn(FIND)


async def test_indexers_never_ask(walks: Walks, autojump_clock: Clock) -> None:
    with pytest.raises(Busy, match="indexes whatever is mounted"):
        await walks.turn(UPDATEDB)
    assert not walks.turn_nowait(UPDATEDB)


async def test_zero_is_no_limit(autojump_clock: Clock) -> None:
    walks = Walks(0, ["updatedb.ploca"], 120)
    assert await turns(walks, FIND, 1000) == [0] * 1000
    assert walks.turn_nowait(FIND)
    with pytest.raises(Busy):
        await walks.turn(UPDATEDB)
