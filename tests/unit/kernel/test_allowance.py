"""How much stat may make, in virtual time."""

from __future__ import annotations

import pytest
import trio
import trio.testing

from cadcfs.errors import Busy
from cadcfs.kernel.allowance import BYTES, PERIOD, StatAllowance


async def take(allowance: StatAllowance, inode: int, size: int = 1, group: str = "a") -> float:
    """When the turn came."""
    async with allowance.turn(group, inode, "a program") as turn:
        turn.size = size
    return trio.current_time()


async def test_beyond_the_allowance_a_stat_waits(autojump_clock: trio.testing.MockClock) -> None:
    allowance = StatAllowance(3, 120)
    start = trio.current_time()
    came = [await take(allowance, inode) - start for inode in range(7)]
    assert came == [0, 0, 0, PERIOD, PERIOD, PERIOD, 2 * PERIOD]


async def test_each_group_has_its_own(autojump_clock: trio.testing.MockClock) -> None:
    allowance = StatAllowance(1, 120)
    start = trio.current_time()
    assert await take(allowance, 1, group="a") == start
    assert await take(allowance, 2, group="b") == start


async def test_bytes_count_too(autojump_clock: trio.testing.MockClock) -> None:
    allowance = StatAllowance(64, 120)
    start = trio.current_time()
    await take(allowance, 1, BYTES)
    assert await take(allowance, 2) == start + PERIOD


async def test_what_is_opened_does_not_count(autojump_clock: trio.testing.MockClock) -> None:
    allowance = StatAllowance(1, 120)
    start = trio.current_time()
    for inode in range(20):
        await take(allowance, inode)
        allowance.opened(inode)
    assert trio.current_time() == start
    await take(allowance, 20)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(take, allowance, 21)
        await trio.testing.wait_all_tasks_blocked()
        await trio.sleep(1)
        allowance.opened(20)
    assert trio.current_time() == start + 1


async def test_a_turn_that_comes_too_late_is_refused(
    autojump_clock: trio.testing.MockClock,
) -> None:
    allowance = StatAllowance(1, 10)
    await take(allowance, 1)
    start = trio.current_time()
    with pytest.raises(Busy, match="a program has had 1 files"):
        await take(allowance, 2)
    assert trio.current_time() == start + 10


async def test_what_could_not_be_made_does_not_count(
    autojump_clock: trio.testing.MockClock,
) -> None:
    allowance = StatAllowance(1, 10)
    for inode in range(3):
        with pytest.raises(ZeroDivisionError):
            async with allowance.turn("a", inode, "a program"):
                raise ZeroDivisionError
