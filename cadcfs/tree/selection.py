"""What a result shows: a question, narrowed by conditions on its metadata."""

from __future__ import annotations

from collections.abc import Sequence

from cadcfs.archive.conditions import Condition
from cadcfs.archive.constraints import Question
from cadcfs.archive.records import Row
from cadcfs.tree import metadata
from cadcfs.tree.catalogue import Catalogue


class Selection:
    """The rows of one question that fulfil all conditions."""

    __slots__ = ("_filtered", "catalogue", "conditions", "question")

    def __init__(
        self, catalogue: Catalogue, question: Question, conditions: tuple[Condition, ...] = ()
    ) -> None:
        self.catalogue = catalogue
        self.question = question
        self.conditions = conditions
        self._filtered: tuple[Sequence[Row], Sequence[Row]] | None = None

    def narrowed(self, condition: Condition) -> Selection:
        return Selection(self.catalogue, self.question, (*self.conditions, condition))

    async def rows(self) -> Sequence[Row]:
        """The rows; raises what the archive says, and `BadRequest` for a wrong condition."""
        rows = await self.catalogue.rows(self.question).get()
        if not self.conditions or not rows:
            return rows
        planes = await metadata.planes(self.catalogue, self.question, self.conditions).get()
        return self._of(rows, planes)

    async def known_rows(self) -> Sequence[Row] | None:
        """The rows if nothing needs to be asked for them."""
        rows = await self.catalogue.rows(self.question).known()
        if not self.conditions or not rows:
            return rows
        planes = await metadata.planes(self.catalogue, self.question, self.conditions).known()
        return None if planes is None else self._of(rows, planes)

    def _of(self, rows: Sequence[Row], planes: frozenset[str]) -> Sequence[Row]:
        """One object for one answer, so that what is made of it can be kept by identity."""
        if self._filtered is None or self._filtered[0] is not rows:
            self._filtered = rows, tuple(row for row in rows if row.publisher_id in planes)
        return self._filtered[1]
