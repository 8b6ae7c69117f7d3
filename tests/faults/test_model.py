"""A state machine: faults come and go, programs list and read, and nothing is ever wrong.

The reference is `model.py`. Every burst is many operations side by side.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
from pathlib import Path

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import seed as seeded
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, precondition, rule, run_state_machine_as_test

from tests.faults.conftest import DEADLINES, Rig, RigMaker
from tests.faults.model import Judge, truth_of
from tests.faults.proxy import CUT, DOUBLE, HOLE, REFUSE, RESET, SLOW, STALL
from tests.rig import until, wait_for_end

SMALL_CACHE = "cache_size=24M"
"""Less than the files: what was read has to come again."""
QUESTIONS = "/argus|/reg|/raven|/resolver"
"""Where bytes may be repeated or drip: in a range of a file, nothing but the checksum of the whole
could tell, and a drip is no silence."""
BURST = 25
"""Operations side by side."""
BETWEEN_KILLS = 8
"""Bursts."""
LISTING_TIME, LATE = 4.0, 1.0
OPERATIONS = int(os.environ.get("CADCFS_SOAK_OPERATIONS", "50000"))
SEED = int(os.environ.get("CADCFS_SOAK_SEED", "0"))
MACHINES = int(os.environ.get("CADCFS_SOAK_MACHINES", "8"))
"""Each with a mount of its own. It mostly waits for deadlines: `-n 8` runs them side by side."""
STEPS = 50
"""Bursts of an example, at most."""

SEEDS = st.integers(0, 1 << 32)


class Weather(RuleBasedStateMachine):
    """What may happen to one mount; `rig`, `judge` and `options` are set by the test."""

    rig: Rig
    judge: Judge
    options: str

    def __init__(self) -> None:
        super().__init__()
        self._bursts = 0

    @rule(fault=st.sampled_from((HOLE, REFUSE, RESET, STALL, CUT)), seed=SEEDS)
    def everything_breaks(self, fault: str, seed: int) -> None:
        self.rig.proxy.only = ""
        self.rig.proxy.fault = fault
        self._use(seed)

    @rule(fault=st.sampled_from((SLOW, DOUBLE)), seed=SEEDS)
    def questions_break(self, fault: str, seed: int) -> None:
        self.rig.proxy.only = QUESTIONS
        self.rig.proxy.fault = fault
        self._use(seed)

    @rule(seed=SEEDS)
    def nothing_changes(self, seed: int) -> None:
        self._use(seed)

    @rule(seed=SEEDS)
    def all_is_mended(self, seed: int) -> None:
        self.rig.proxy.fault = None
        self._use(seed)

    @precondition(lambda self: self._bursts >= BETWEEN_KILLS)
    @rule(seed=SEEDS)
    def the_daemon_is_killed(self, seed: int) -> None:
        self.rig.proxy.fault = None
        pid = self.rig.mount.pid()
        os.kill(pid, signal.SIGKILL)
        wait_for_end(pid)
        self.rig.mount.start("-o", self.options)
        self._bursts = 0
        self._use(seed)

    def _use(self, seed: int) -> None:
        self._bursts += 1
        self.judge.burst(seed, BURST)
        assert self.judge.verdict.wrong == []

    def teardown(self) -> None:
        self.rig.proxy.fault = None


def weather(rigs: RigMaker, options: str, examples: int, steps: int, seed: int = 0) -> Judge:
    """Many days of it on one mount; the judge of all."""
    options = f"{options},{SMALL_CACHE}"
    rig = rigs(options)
    judge = Judge(rig.path, truth_of(rig.path, rig.server))
    machine = type("Weather", (Weather,), {"rig": rig, "judge": judge, "options": options})
    try:
        run_state_machine_as_test(
            seeded(seed)(machine),
            settings=settings(
                max_examples=examples, stateful_step_count=steps, deadline=None, database=None,
                suppress_health_check=list(HealthCheck), phases=[Phase.generate],
            ),
        )  # fmt: skip
        # All comes back, and nothing is left in the kernel.
        rig.proxy.fault = None
        until(lambda: ends_well(judge))
        until(lambda: not sleepers())
    finally:
        judge.close()
    return judge


def ends_well(judge: Judge) -> bool:
    failed = judge.verdict.failed
    judge.burst(0, BURST)
    return judge.verdict.failed == failed


def sleepers() -> list[str]:
    """Our threads that sleep deaf in the kernel (state D)."""
    states = {}
    for task in Path("/proc/self/task").iterdir():
        # Some end meanwhile.
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            states[task.name] = (task / "stat").read_text().rpartition(")")[2].split()[0]
    return [name for name, state in states.items() if state == "D"]


def test_nothing_is_wrong_in_any_weather(rigs: RigMaker) -> None:
    judge = weather(rigs, "listing_time=1,metadata_time=1,read_time=1", 2, 10)
    assert judge.verdict.count >= 4 * BURST
    assert judge.verdict.failed


@pytest.mark.soak
@pytest.mark.parametrize("machine", range(MACHINES))
def test_nothing_is_wrong_in_weather_that_lasts(rigs: RigMaker, machine: int) -> None:
    # The first is the dullest that can be, and the same for all.
    examples = 1 + max(1, OPERATIONS // BURST // STEPS // MACHINES)
    seed = SEED * MACHINES + machine
    verdict = weather(rigs, DEADLINES, examples, STEPS, seed).verdict
    sys.stderr.write(f"seed {seed}: {verdict}\n")
    assert max(verdict.longest.values()) < LISTING_TIME + LATE, verdict
