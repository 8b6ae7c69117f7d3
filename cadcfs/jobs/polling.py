"""How one job is asked how far it is: by long polls, or with pauses where these are not known."""

from __future__ import annotations

import trio

from cadcfs.archive.uws import LONGEST_WAIT, RemoteJob, Uws
from cadcfs.jobs.record import Phase
from cadcfs.jobs.turns import Turns

AT_ONCE = 0.9
"""Seconds: an unchanged answer that is faster did not wait at all."""
FIRST_PAUSE, LONGEST_PAUSE, GROWTH = 1.0, 30.0, 1.5


class Poller:
    """Polls one job; keeps what it learnt about the service's manners."""

    def __init__(self, uws: Uws, turns: Turns) -> None:
        self._uws = uws
        self._turns = turns
        self._pause = 0.0

    async def poll(self, job_id: str, phase: Phase) -> RemoteJob | None:
        """The job when its phase is not *phase* any more, or later; None to ask again."""
        await trio.sleep(self._pause)
        began = trio.current_time()
        remote = await self._turns.ask(
            lambda: self._uws.job(job_id, wait=LONGEST_WAIT, phase=phase)
        )
        took = trio.current_time() - began
        if remote is not None:
            is_same = remote.phase == phase
            if is_same and took < AT_ONCE:
                self._pause = min(max(FIRST_PAUSE, self._pause * GROWTH), LONGEST_PAUSE)
            elif not is_same:
                self._pause = 0.0
        return remote
