"""Answers that a service cuts, asked again in pieces until they are whole.

A piece is a range of a key (an observationID, a target name, a day). Where a piece is cut in its
turn, it is parted at the middle of the keys that came; the service compares, so that no order of
ours can lose a row between two pieces.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from cadcfs.archive.constraints import quoted
from cadcfs.archive.votable import Answer, Cells
from cadcfs.errors import Incomplete

log = logging.getLogger(__name__)

DEEPEST = 40
"""Partings of a partings' part: 2**40 rows; more means that the keys do not part."""

Ask = Callable[[str], Awaitable[Answer]]
"""Asks one query, narrowed by one more predicate ("" for none)."""


@dataclass(frozen=True)
class Key:
    """A column that parts an answer: its place in the rows, and its name in the query."""

    index: int
    column: str
    is_number: bool = False

    def literal(self, value: str) -> str:
        return repr(float(value)) if self.is_number else quoted(value)

    @property
    def something(self) -> str:
        """The predicate that the column is neither NULL nor empty."""
        return f"{self.column} IS NOT NULL" if self.is_number else f"{self.column} <> ''"

    @property
    def nothing(self) -> str:
        """The predicate that it is; both are "" in an answer."""
        null = f"{self.column} IS NULL"
        return null if self.is_number else f"({null} OR {self.column} = '')"

    def values(self, rows: Sequence[Cells]) -> list[str]:
        """The distinct values in order, NULL left out."""
        found = {row[self.index] for row in rows} - {"", "NaN"}
        return sorted(found, key=float) if self.is_number else sorted(found)


async def whole(ask: Ask, keys: Sequence[Key], what: str) -> list[Cells]:
    """All rows of an answer, however often the service cuts it.

    Parameters
    ----------
    keys
        What the answer is parted by; a later one where an earlier has a single value left.
    what
        The question, for the log.

    Raises
    ------
    Incomplete
        The answer stays cut.
    """
    answer = await ask("")
    if not answer.cut:
        return answer.rows
    log.info("cut at %d rows, asked again in pieces: %s", len(answer.rows), what)
    rows: list[Cells] = []
    waiting = [("", answer, 0)]
    while waiting:
        scope, answer, depth = waiting.pop()
        if depth == DEEPEST:
            raise Incomplete(f"the archive cuts its answer again and again: {what}")
        for piece in _parted(scope, answer.rows, keys, what):
            narrower = f"{scope} AND {piece}" if scope else piece
            found = await ask(narrower)
            if found.cut:
                waiting.append((narrower, found, depth + 1))
            else:
                rows += found.rows
    return rows


def _parted(scope: str, rows: Sequence[Cells], keys: Sequence[Key], what: str) -> tuple[str, ...]:
    """Predicates of which exactly one holds for every row within *scope*."""
    for key in keys:
        values = key.values(rows)
        if len(values) > 1:
            middle = key.literal(values[len(values) // 2])
            return f"({key.column} < {middle} OR {key.column} IS NULL)", f"{key.column} >= {middle}"
        # What came may all be alike, and the rest not: the next key is for those alike.
        alike = f"{key.column} = {key.literal(values[0])}" if values else key.nothing
        if alike in scope:
            continue
        if not values:
            return key.nothing, key.something
        only = key.literal(values[0])
        return alike, f"({key.column} < {only} OR {key.column} IS NULL)", f"{key.column} > {only}"
    raise Incomplete(f"the archive cut its answer at {len(rows)} rows that nothing parts: {what}")
