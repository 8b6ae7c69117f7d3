"""The archive's answers as records: what the tree asks, in the archive's own terms."""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Callable, Sequence
from datetime import datetime

import trio

from cadcfs.archive import queries
from cadcfs.archive.constraints import FACETS, Question, is_literal
from cadcfs.archive.pieces import Key, whole
from cadcfs.archive.queries import ENUMERATED, LISTED_COLUMNS
from cadcfs.archive.records import (
    Artifact,
    Collection,
    Cuttable,
    Description,
    Row,
    parse_checksum,
    parse_time,
)
from cadcfs.archive.tap import Tap
from cadcfs.archive.votable import Answer, Cells
from cadcfs.errors import BadRequest, Incomplete

log = logging.getLogger(__name__)

_PARTS = (
    Key(LISTED_COLUMNS.index("o.observationID"), "o.observationID"),
    Key(LISTED_COLUMNS.index("a.uri"), "a.uri"),
)
_LISTED = len(LISTED_COLUMNS)
BEHIND = 5
"""Times the time of a listing that it may take, when its first asker has long been told to come
again."""


class Holdings:
    """Collections, the values of their facets, and the artifacts behind a question."""

    def __init__(self, tap: Tap, *, granted: bool = False) -> None:
        self._tap = tap
        self._granted = granted

    async def collections(self) -> tuple[Collection, ...]:
        """All collections, by name."""
        rows = await self._whole(queries.collections, [Key(0, "collection")])
        counted = (Collection(name, _integer(count) or 0) for name, count in rows if name)
        return tuple(sorted(counted, key=lambda c: c.name))

    async def descriptions(self) -> tuple[Description, ...]:
        """What is in each collection, by name."""
        keys = [Key(0, "collection"), Key(1, "energy_emBand"), Key(2, "instrument_name")]
        rows = await self._whole(queries.descriptions, keys)
        counted = await self._whole(queries.observations, keys[:1])
        counts = {name: _integer(count) or 0 for name, count in counted}
        bands: defaultdict[str, set[str]] = defaultdict(set)
        instruments: defaultdict[str, set[str]] = defaultdict(set)
        for name, band, instrument in rows:
            bands[name] |= {band} - {""}
            instruments[name] |= {instrument} - {""}
        return tuple(
            Description(
                name, tuple(sorted(bands[name])), tuple(sorted(instruments[name])),
                counts.get(name, 0),
            )
            for name in sorted(bands)
            if name
        )  # fmt: skip

    async def values(self, question: Question, facet: str) -> tuple[str, ...]:
        """The distinct values of *facet*, sorted; "" stands for NULL and for the empty text."""
        rows = await self._whole(
            lambda piece: queries.values(question, facet, piece), [Key(0, queries.column(facet))]
        )
        found = await trio.to_thread.run_sync(lambda: {row[0] for row in rows})
        if await self._lacks(question, facet):
            found.add("")
        return tuple(sorted(found))

    async def enumeration(self, collection: str) -> tuple[tuple[str, ...], ...]:
        """Combinations of values, in the order of `queries.ENUMERATED`."""
        keys = [Key(i, name, name == "calibrationLevel") for i, name in enumerate(ENUMERATED)]
        return tuple(await self._whole(lambda piece: queries.enumeration(collection, piece), keys))

    async def days(self, question: Question) -> tuple[int | None, ...]:
        """The days (MJD) with data, sorted; None first where some have no date (NULL or 0)."""
        rows = await self._whole(
            lambda piece: queries.days(question, piece), [Key(0, "p.time_bounds_lower", True)]
        )
        found = {int(float(row[0])) for row in rows}
        undated = await self._lacks(question, "by-date")
        return (*([None] if undated else []), *sorted(found))

    async def counts(self, question: Question) -> tuple[Collection, ...]:
        """The collections that have planes behind *question*, by name."""
        rows = await self._whole(
            lambda piece: queries.counts(question, piece), [Key(0, "o.collection")]
        )
        name = question.value_of("name")
        if name is not None and not is_literal(name):
            found = {row[0]: 0 for row in rows if name.lower() in row[1].lower()}
        else:
            found = {row[0]: _integer(row[1]) or 0 for row in rows}
        return tuple(Collection(name, found[name]) for name in sorted(found))

    async def rows(self, question: Question) -> tuple[Row, ...]:
        """The files behind *question*, and what has none."""
        if self._granted:
            try:
                return await self._rows(question, granted=True)
            except BadRequest as exc:
                log.info("the archive does not tell what an account may read: %s", exc)
                self._granted = False
        return await self._rows(question, granted=False)

    async def _rows(self, question: Question, *, granted: bool) -> tuple[Row, ...]:
        rows = await self._whole(
            lambda piece: queries.result(question, piece, granted=granted), _PARTS
        )
        return await trio.to_thread.run_sync(lambda: tuple(_row(row) for row in rows))

    async def cuttable(self, question: Question) -> tuple[Cuttable, ...]:
        """The files of a region that cutouts can be made of."""
        rows = await self._whole(lambda piece: queries.cuttable(question, piece), _PARTS)
        found = ((_artifact(row[:-1]), row[-1] == "image") for row in rows)
        return tuple(Cuttable(artifact, image) for artifact, image in found if artifact)

    async def _lacks(self, question: Question, facet: str) -> bool:
        """True where some answers have no value of a facet that is asked by its values."""
        if not FACETS[facet].present:
            return False
        adql = queries.lacking(question, facet)
        return bool((await self._tap.answer(adql, seconds=BEHIND * self._tap.listing_time)).rows)

    async def _whole(self, build: Callable[[str], str], keys: Sequence[Key]) -> Sequence[Cells]:
        async def ask(piece: str) -> Answer:
            return await self._tap.answer(build(piece), seconds=BEHIND * self._tap.listing_time)

        return await whole(ask, keys, build(""))


def _row(row: Cells) -> Row:
    artifact = _artifact(row[:_LISTED], *row[_LISTED:])
    return Row(row[1] or None, row[4], artifact)


def _artifact(row: Cells, granted: str = "") -> Artifact | None:
    (observation, target, intent, product, publisher, quality, meta_release, data_release, uri,
     product_type, release_type, content_type, length, checksum, content_release,
     modified) = row  # fmt: skip
    if not uri:
        return None
    return Artifact(
        uri=uri,
        observation_id=observation,
        product_id=product,
        publisher_id=publisher,
        target_name=target or None,
        intent=intent or None,
        product_type=product_type,
        content_type=content_type or None,
        size=_integer(length),
        md5=parse_checksum(checksum),
        modified=parse_time(modified),
        release=_release(content_release, release_type, data_release, meta_release),
        junk=quality == "junk",
        # The function knows the plane's data alone.
        granted=None if release_type == "meta" or content_release else _truth(granted),
    )


def _truth(text: str) -> bool | None:
    return {"1": True, "true": True, "t": True, "0": False, "false": False, "f": False}.get(
        text.strip().lower()
    )


def _release(own: str, release_type: str, data: str, meta: str) -> datetime | None:
    """When a file becomes public (CAOM 2.4: an artifact's own date wins over its plane's)."""
    return parse_time(own or (meta if release_type == "meta" else data))


def _integer(text: str) -> int | None:
    try:
        return int(text) if text else None
    except ValueError as exc:
        raise Incomplete(f"{text!r} is not a number") from exc
