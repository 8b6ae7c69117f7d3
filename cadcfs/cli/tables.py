"""`cadcfs tables` and `cadcfs collections`: what can be asked, and what there is."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated, Any

import typer

from cadcfs.cli import output
from cadcfs.cli.session import AsJson, CacheDir, RegistryUrl, Session, ask
from cadcfs.errors import UserError

HEADING = ("name", "datatype", "arraysize", "unit", "ucd", "utype", "flags", "description")


def tables(
    name: Annotated[str | None, typer.Argument(help="Tell the columns of this table.")] = None,
    registry_url: RegistryUrl = None,
    cache_dir: CacheDir = None,
    as_json: AsJson = False,
) -> None:
    """List the archive's tables, or the columns of one."""

    async def work(session: Session) -> list[dict[str, Any]]:
        from cadcfs.archive.tables import Schema
        from cadcfs.archive.tap import Tap

        engine = session.engine
        found = await Schema(Tap(engine.client, engine.services), 120).tables()
        if name is None:
            return [{"name": t.name, "description": t.description} for t in found]
        for table in found:
            if table.name.lower() == name.lower():
                return [asdict(column) for column in table.columns]
        raise UserError(f"the archive has no table {name}; list them with: cadcfs tables")

    rows = ask(work, registry_url, cache_dir)
    output.table(("name", "description") if name is None else HEADING, rows, as_json=as_json)


def collections(
    registry_url: RegistryUrl = None, cache_dir: CacheDir = None, as_json: AsJson = False
) -> None:
    """List the archive's collections: bands, instruments, and how many observations."""

    async def work(session: Session) -> list[dict[str, Any]]:
        found = await session.engine.catalogue.descriptions().get()
        return [
            {
                "name": one.name,
                "observations": one.observations,
                "bands": list(one.bands),
                "instruments": list(one.instruments),
                "description": one.text,
            }
            for one in found
        ]

    rows = ask(work, registry_url, cache_dir)
    heading = ("name", "observations", "bands", "instruments", "description")
    output.table(heading, rows, as_json=as_json)
