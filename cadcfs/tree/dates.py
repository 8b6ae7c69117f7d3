"""`by-date/`: years, months and days that have data; ranges and `undated` open besides."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import date, timedelta
from functools import partial

from cadcfs.archive import queries
from cadcfs.archive.constraints import MJD_EPOCH, Question, days_of
from cadcfs.tree.catalogue import Catalogue
from cadcfs.tree.node import Child, Entries, Node
from cadcfs.tree.result import ResultDirectory
from cadcfs.tree.selection import Selection

UNDATED = "undated"
LEVELS = (r"[12][0-9]{3}", r"0[1-9]|1[0-2]", r"0[1-9]|[12][0-9]|3[01]")
"""Names of years, months and days."""
RANGE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}\.\.[0-9]{4}-[0-9]{2}-[0-9]{2}")


class DateDirectory:
    """All years, one year's months, or one month's days."""

    def __init__(
        self, catalogue: Catalogue, question: Question, key: str, prefix: tuple[str, ...] = ()
    ) -> None:
        self.key = key
        self._catalogue = catalogue
        self._question = question
        self._prefix = prefix
        self._recent = catalogue.recent(key)

    @property
    def adql(self) -> tuple[str, ...]:
        return (queries.days(self._question),)

    async def confirm(self) -> None:
        return

    async def entries(self) -> Entries:
        days = await self._catalogue.days(self._question).get()
        names = self._names(days)
        if not self._prefix:
            names |= set(await self._recent.names())
        return Entries.of({name: self._below(name) for name in names})

    async def child(self, name: str) -> Child | None:
        if not self._prefix and RANGE.fullmatch(name):
            days_of(name)
            asked = self._range(name)
            return Child(asked, certain=await asked.is_known())
        undated = name == UNDATED and not self._prefix
        if not undated and not re.fullmatch(LEVELS[len(self._prefix)], name):
            return None
        known = await self._catalogue.days(self._question).known()
        if known is not None:
            return Child(self._below(name)) if name in self._names(known) else None
        node = self._below(name)
        certain = isinstance(node, ResultDirectory) and await node.is_known()
        return Child(node, certain)

    def _names(self, days: Sequence[int | None]) -> set[str]:
        level = len(self._prefix)
        parts = [_parts(day) for day in days if day is not None]
        names = {part[level] for part in parts if part[:level] == self._prefix}
        return names | ({UNDATED} if None in days and not level else set())

    def _below(self, name: str) -> Node:
        if name == UNDATED:
            return self._result(name, None)
        if RANGE.fullmatch(name):
            return self._range(name)
        prefix = (*self._prefix, name)
        if len(prefix) == len(LEVELS):
            return self._result(name, "-".join(prefix))
        return DateDirectory(self._catalogue, self._question, f"{self.key}/{name}", prefix)

    def _range(self, name: str) -> ResultDirectory:
        return ResultDirectory(
            Selection(self._catalogue, self._question.narrowed("by-date", name)),
            f"{self.key}/{name}",
            asked=partial(self._recent.note, name), may_be_empty=True,
        )  # fmt: skip

    def _result(self, name: str, value: str | None) -> ResultDirectory:
        question = self._question.narrowed("by-date", value)
        return ResultDirectory(Selection(self._catalogue, question), f"{self.key}/{name}")


def _parts(mjd: int) -> tuple[str, ...]:
    day: date = MJD_EPOCH + timedelta(days=mjd)
    return (f"{day.year:04d}", f"{day.month:02d}", f"{day.day:02d}")
