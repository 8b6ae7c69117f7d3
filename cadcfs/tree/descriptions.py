"""`collections/index.csv` and each collection's `about.txt`: what there is, in words."""

from __future__ import annotations

import csv
import io
import time
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path

import trio

from cadcfs.archive.records import Description
from cadcfs.errors import NotFound
from cadcfs.tree.catalogue import COLLECTIONS_FRESH, Catalogue
from cadcfs.tree.made import Recipe

INDEX = "index.csv"
ABOUT = "about.txt"
HEADING = ("name", "description", "bands", "instruments", "observations")


def index(catalogue: Catalogue) -> Recipe:
    """All collections as a table; several bands or instruments are parted by `|`."""

    async def text() -> str:
        return table(await catalogue.descriptions().get())

    return _recipe(catalogue, INDEX, text)


def about(catalogue: Catalogue, collection: str) -> Recipe:
    """One collection in words."""

    async def text() -> str:
        for description in await catalogue.descriptions().get():
            if description.name == collection:
                return in_words(description)
        raise NotFound(f"the archive has no collection {collection!r}")

    return _recipe(catalogue, f"{ABOUT} {collection}", text)


def table(descriptions: Sequence[Description]) -> str:
    """CSV (RFC 4180) with `HEADING`."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(HEADING)
    for one in descriptions:
        bands, instruments = "|".join(one.bands), "|".join(one.instruments)
        writer.writerow([one.name, one.text, bands, instruments, one.observations])
    return text.getvalue()


def in_words(description: Description) -> str:
    lines = {
        "name": description.name,
        "description": description.text,
        "bands": ", ".join(description.bands),
        "instruments": ", ".join(description.instruments),
        "observations": str(description.observations),
    }
    return "".join(f"{name + ':':<14}{value}\n" for name, value in lines.items())


def _recipe(catalogue: Catalogue, name: str, text: Callable[[], Awaitable[str]]) -> Recipe:
    async def make(path: Path) -> None:
        content = await text()
        await trio.to_thread.run_sync(path.write_text, content, "utf-8")

    # Made anew each day, as long as the answer behind it is believed.
    day = int(time.time() // COLLECTIONS_FRESH)
    mtime_ns = int(day * COLLECTIONS_FRESH) * 10**9
    return Recipe(f"{name} {catalogue.origin} {day}", make, mtime_ns)
