"""Synchronous TAP queries (TAP 1.1, 2.2).

Spoken over httpx and parsed here: several times faster than by astropy, and the wait can be
cancelled, which pyvo's cannot.
"""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from xml.etree import ElementTree

import trio

from cadcfs.archive.services import Services
from cadcfs.archive.votable import MEDIA_TYPES, Answer, parse_votable
from cadcfs.errors import CadcfsError, Incomplete
from cadcfs.logs import run_id
from cadcfs.network.client import Client

log = logging.getLogger(__name__)


class Tap:
    """Asks one TAP service."""

    def __init__(self, client: Client, services: Services) -> None:
        self.listing_time = services.listing_time
        self._client = client
        self._services = services

    async def answer(self, adql: str, *, seconds: float) -> Answer:
        """The answer to *adql*, and whether the service cut it.

        Raises
        ------
        BadRequest
            The service refused the query; its own words.
        Incomplete
            The answer broke off or is no VOTable.
        Unavailable
        """
        url, form = await self._question(adql)
        try:
            reply = await self._client.post(url, form, seconds=seconds)
        except CadcfsError as exc:
            raise refusal_in(exc) from exc
        if reply.media_type not in MEDIA_TYPES:
            raise Incomplete(f"{reply.url}: answered {reply.media_type or 'nothing'}, no VOTable")
        return await trio.to_thread.run_sync(parse_votable, reply.body, reply.url)

    async def save(self, adql: str, target: Path, *, seconds: float) -> None:
        """Write the answer to *adql* to *target* as it comes; *seconds* count with each piece.

        Raises
        ------
        BadRequest
            The service refused the query; its own words.
        Incomplete, Unavailable
        """
        async with (
            self.stream(adql, seconds=seconds) as pieces,
            await trio.open_file(target, "wb") as file,
        ):
            async for piece in pieces:
                await file.write(piece)

    @asynccontextmanager
    async def stream(
        self,
        adql: str,
        *,
        maxrec: int | None = None,
        uploads: Mapping[str, bytes] | None = None,
        seconds: float,
    ) -> AsyncIterator[AsyncIterator[bytes]]:
        """The pieces of the answer, as VOTable; *uploads* are VOTables by table name.

        Raises as `save` does.
        """
        url, form = await self._question(adql)
        if maxrec is not None:
            form["MAXREC"] = str(maxrec)
        if uploads:
            form["UPLOAD"] = upload_parameter(uploads)
        try:
            async with self._client.stream(url, form, uploads, seconds=seconds) as pieces:
                yield pieces
        except CadcfsError as exc:
            raise refusal_in(exc) from exc

    async def _question(self, adql: str) -> tuple[str, dict[str, str]]:
        url = f"{await self._services.tap_url()}/sync"
        log.info("asking %s: %s", url, adql)
        return url, {
            "REQUEST": "doQuery", "LANG": "ADQL", "RESPONSEFORMAT": "votable", "QUERY": adql,
        } | run_parameter()  # fmt: skip


def run_parameter() -> dict[str, str]:
    """RUNID: by what the archive's log and ours name the same query."""
    name = run_id()
    return {"RUNID": name} if name else {}


def upload_parameter(uploads: Iterable[str]) -> str:
    """UPLOAD for tables that come along as parts of these names (TAP 1.1, 2.5.1)."""
    return ";".join(f"{name},param:{name}" for name in uploads)


def refusal_in(exc: CadcfsError) -> CadcfsError:
    """The same error with the service's own words, where it came with an error VOTable."""
    words = told(str(exc))
    return exc if words is None else type(exc)(f"the archive refused the query: {words}")


def told(text: str) -> str | None:
    """What an error VOTable in *text* says (DALI 1.1, 4.4.2); None where there is none."""
    start, end = text.find("<"), text.rfind(">")
    try:
        root = ElementTree.fromstring(text[start : end + 1]) if start >= 0 else None  # noqa: S314
    except ElementTree.ParseError:
        return None
    for info in () if root is None else root.iter():
        if info.tag.endswith("INFO") and info.get("name") == "QUERY_STATUS":
            return (info.text or "").strip()
    return None
