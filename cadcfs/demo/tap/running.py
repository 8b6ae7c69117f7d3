"""Runs questions in worker threads: results come in pieces, and whoever leaves stops his query."""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import TypeVar

import trio

from cadcfs.demo.adql.scope import AdqlError
from cadcfs.demo.tap.engine import Answer, Control, Engine, QueryFailedError, Setting
from cadcfs.demo.tap.question import Question
from cadcfs.demo.tap.writer import Header, Row

T = TypeVar("T")

_BATCH = 2_000


def timestamp(moment: datetime | None = None) -> str:
    """Write a moment (now, when none is given) as UWS and VOTable do: UTC, no zone."""
    return f"{moment or datetime.now(UTC):%Y-%m-%dT%H:%M:%S.%f}"[:23]


class Result:
    """A result on its way: its first bytes are at hand, so errors can still change the status."""

    def __init__(self, answer: Answer, question: Question, limit: int | None, base: str) -> None:
        """Write the head and fetch the first rows (blocking)."""
        self._answer = answer
        self._left = limit
        self._overflow = False
        self._writer = question.format.open()
        self.count = 0
        header = Header(answer.fields, question.adql, timestamp(), base)
        self._pieces = self._written(header)
        self.first = next(self._pieces)

    @classmethod
    def begin(
        cls,
        engine: Engine,
        question: Question,
        setting: Setting,
        control: Control,
        *,
        capped: bool = False,
    ) -> Result:
        """Start a query and fetch its first rows (blocking)."""
        answer = engine.start(question.adql, control, setting, empty=question.maxrec == 0)
        try:
            limit = setting.pace.limit(question.limit(len(answer.fields), capped=capped))
            return cls(answer, question, limit, setting.base_url)
        except BaseException:
            answer.close()
            raise

    def next(self) -> bytes | None:
        """Return the next piece of the body, or nothing at its end (blocking)."""
        return next(self._pieces, None)

    def close(self) -> None:
        """End the query."""
        self._answer.close()

    def _written(self, header: Header) -> Iterator[bytes]:
        text = self._writer.begin(header)
        for batch in self._cut():
            try:
                rows = self._writer.rows(batch)
            except (ValueError, TypeError, OverflowError, struct.error) as trouble:
                # SQLite lets every column hold anything, such as the two branches of a CASE.
                raise AdqlError(f"a value does not fit its column: {trouble}") from trouble
            yield text + rows
            text = b""
        yield text + self._writer.end(overflow=self._overflow)

    def _cut(self) -> Iterator[list[Row]]:
        """Pass rows on up to the limit, and note whether there would have been more."""
        for batch in self._answer.batches(_BATCH):
            if self._left is not None:
                self._overflow = len(batch) > self._left
                batch = batch[: self._left]  # noqa: PLW2901
                self._left -= len(batch)
            self.count += len(batch)
            if batch:
                yield batch
            if self._overflow:
                return


async def in_thread(limiter: trio.CapacityLimiter, control: Control, work: Callable[[], T]) -> T:
    """Run blocking work in a thread; being cancelled stops the query, then waits for it."""
    outcome: list[T] = []
    trouble: list[AdqlError | QueryFailedError] = []

    def guarded() -> None:
        try:
            outcome.append(work())
        except (AdqlError, QueryFailedError) as error:
            trouble.append(error)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(_stop_when_cancelled, control, outcome, trouble)
        await trio.to_thread.run_sync(guarded, limiter=limiter)
        nursery.cancel_scope.cancel()
    if trouble:
        raise trouble[0]
    return outcome[0]


async def _stop_when_cancelled(
    control: Control, outcome: list[T], trouble: list[AdqlError | QueryFailedError]
) -> None:
    try:
        await trio.sleep_forever()
    finally:
        if not outcome and not trouble:
            control.stop()
