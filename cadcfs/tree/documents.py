"""The texts of a result: metadata, addresses, and what there is in numbers; made when opened."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Sequence
from datetime import UTC, datetime
from pathlib import Path

import trio

from cadcfs.archive.records import Artifact, Row
from cadcfs.tree import metadata
from cadcfs.tree.cutouts import cutout_urls
from cadcfs.tree.made import Recipe
from cadcfs.tree.selection import Selection

DOCUMENTS = ("about.txt", "metadata.csv", "metadata.vot", "urls.txt")
"""Names of the texts that every result has."""
CUTOUT_URLS = "cutout-urls.txt"
"""And of one that a region has."""


def documents(selection: Selection, rows: Sequence[Row]) -> dict[str, Recipe]:
    """How the texts of a result with *rows* are made, by name."""
    catalogue, asked = selection.catalogue, (selection.question, selection.conditions)

    def text(name: str, write: Callable[[], Awaitable[str]]) -> Recipe:
        async def make(path: Path) -> None:
            content = await write()
            await trio.to_thread.run_sync(path.write_text, content, "utf-8")

        key = metadata.document_key(name, catalogue, *asked)
        return Recipe(key, make, catalogue.rows(selection.question).heard_ns)

    async def about() -> str:
        return await trio.to_thread.run_sync(told_of, rows)

    async def cutouts() -> str:
        return "".join(f"{url}\n" for url in await cutout_urls(selection))

    async def urls() -> str:
        artifacts = data_of(rows, with_junk=selection.question.value_of("region") is None)
        return "".join(f"{url}\n" for url in await catalogue.workshop.addresses.of(artifacts))

    texts = {
        "about.txt": text("about.txt", about),
        "metadata.csv": metadata.comma_separated(catalogue, *asked),
        "metadata.vot": metadata.votable(catalogue, *asked),
        "urls.txt": text("urls.txt", urls),
    }
    if selection.question.value_of("region") is not None:
        texts[CUTOUT_URLS] = text(CUTOUT_URLS, cutouts)
    return texts


def data_of(rows: Iterable[Row], *, with_junk: bool) -> list[Artifact]:
    """The `#this` files of *rows*, as astroquery's get_data_urls() has them: each once."""
    found = {
        row.artifact.uri: row.artifact
        for row in rows
        if row.artifact is not None
        and row.artifact.is_this
        and (with_junk or not row.artifact.junk)
    }
    return list(found.values())


def told_of(rows: Sequence[Row]) -> str:
    """How many files and bytes there are, and of what kind."""
    artifacts = list({row.artifact.uri: row.artifact for row in rows if row.artifact}.values())
    now = datetime.now(UTC)
    kinds: dict[str, Callable[[Artifact], bool]] = {
        "files": lambda _: True,
        "data": lambda a: a.is_this and not a.junk,
        "previews and auxiliary": lambda a: not a.is_this and not a.junk,
        "junk": lambda a: a.junk,
        "proprietary": lambda a: not a.is_public(now),
        "of calibrations": lambda a: a.intent == "calibration",
    }
    lines = [f"{'planes':<24}{len({row.publisher_id for row in rows if row.publisher_id}):>12}"]
    for kind, belongs in kinds.items():
        group = [artifact for artifact in artifacts if belongs(artifact)]
        known = [artifact.size for artifact in group if artifact.size is not None]
        unknown = f" and {len(group) - len(known)} of unknown size" * (len(known) < len(group))
        lines.append(f"{kind:<24}{len(group):>12}{sum(known):>20} bytes{unknown}")
    return "".join(f"{line}\n" for line in lines)
