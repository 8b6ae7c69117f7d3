"""What the planes behind a question cover on the sky."""

from __future__ import annotations

from dataclasses import dataclass

from cadcfs.archive import queries
from cadcfs.archive.constraints import Question
from cadcfs.archive.pieces import Key, whole
from cadcfs.archive.tap import Tap
from cadcfs.archive.votable import Answer

KEYS = (Key(1, "o.observationID"), Key(3, "p.publisherID"))


@dataclass(frozen=True, slots=True)
class Outline:
    """One plane: *bounds* as the archive writes them (DALI 1.2, xtype shape; ICRS, deg)."""

    collection: str
    product_id: str
    target_name: str
    bounds: str


class Outlines:
    """Asks for outlines, a query a question."""

    def __init__(self, tap: Tap) -> None:
        self._tap = tap

    async def of(self, question: Question) -> tuple[Outline, ...]:
        """The outlines of all good planes behind *question*, by collection and product."""

        async def ask(piece: str) -> Answer:
            return await self._tap.answer(
                queries.outlines(question, piece), seconds=self._tap.listing_time
            )

        rows = await whole(ask, KEYS, queries.outlines(question))
        found = {Outline(row[0], row[2], row[4], row[5]) for row in rows if row[5]}
        return tuple(sorted(found, key=lambda o: (o.collection, o.product_id, o.bounds)))
