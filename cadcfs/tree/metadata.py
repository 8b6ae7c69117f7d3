"""`metadata.vot` and `metadata.csv`: the rows behind a listing, and what their columns select."""

from __future__ import annotations

from pathlib import Path

from cadcfs.archive import queries
from cadcfs.archive.conditions import Condition
from cadcfs.archive.constraints import Question
from cadcfs.tree.answer import Answer
from cadcfs.tree.catalogue import Catalogue, is_asked_too_widely
from cadcfs.tree.made import Recipe

Conditions = tuple[Condition, ...]


def votable(catalogue: Catalogue, question: Question, conditions: Conditions = ()) -> Recipe:
    """The table of a question whose rows are known, narrowed by *conditions*."""

    async def fetch(path: Path) -> None:
        planes = None
        if is_asked_too_widely(question):
            rows = await catalogue.rows(question).get()
            planes = frozenset(row.publisher_id for row in rows)
        await catalogue.workshop.metadata.fetch(question, planes, path)

    async def select(path: Path) -> None:
        whole = votable(catalogue, question)
        async with catalogue.workshop.wholes.file(whole.key, whole.make) as table:
            await catalogue.workshop.metadata.select(table, conditions, path)

    mtime_ns = catalogue.rows(question).heard_ns
    key = document_key("metadata.vot", catalogue, question, conditions)
    return Recipe(key, select if conditions else fetch, mtime_ns)


def comma_separated(
    catalogue: Catalogue, question: Question, conditions: Conditions = ()
) -> Recipe:
    """The same as CSV."""
    source = votable(catalogue, question, conditions)

    async def convert(path: Path) -> None:
        async with catalogue.workshop.wholes.file(source.key, source.make) as table:
            await catalogue.workshop.metadata.convert(table, path)

    key = document_key("metadata.csv", catalogue, question, conditions)
    return Recipe(key, convert, source.mtime_ns)


def planes(
    catalogue: Catalogue, question: Question, conditions: Conditions
) -> Answer[frozenset[str]]:
    """The publisher IDs of the planes that fulfil *conditions*; the question's rows are known.

    To get them raises `BadRequest` for a column that is not there, or is compared with what it
    cannot be.
    """
    source = votable(catalogue, question)

    async def select() -> tuple[str, ...]:
        async with catalogue.workshop.wholes.file(source.key, source.make) as table:
            return await catalogue.workshop.metadata.publishers(table, conditions)

    key = document_key("planes", catalogue, question, conditions)
    return catalogue.derived(key, select).then(frozenset)


def document_key(
    name: str, catalogue: Catalogue, question: Question, conditions: Conditions
) -> str:
    """What makes a text of a result this one: its question, and the age of the answer."""
    asked = queries.metadata(question)
    narrowed = " ".join(f"{c.column}.{c.op}.{c.value}" for c in conditions)
    return f"{name} {catalogue.origin} {asked} {narrowed} {catalogue.rows(question).heard_ns}"
