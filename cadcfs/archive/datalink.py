"""DataLink 1.1: the links of planes, for files whose address cannot be told from their URI.

One query per ID at the archive, one after the other: never asked for a listing.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

import trio

from cadcfs.archive.services import Services
from cadcfs.archive.votable import Answer, parse_votable
from cadcfs.errors import Incomplete
from cadcfs.network.client import Client

BATCH = 20
"""IDs in one request, as astroquery asks."""
DOWNLOAD = re.compile(r"download (\S+)$")
"""What the archive writes as the description of a link: the artifact's URI is in it."""


@dataclass(frozen=True, slots=True)
class Link:
    """One row (DataLink 1.1, 3.2); *uri* is the artifact's, where the description tells it."""

    publisher_id: str
    url: str
    semantics: str
    error: str
    uri: str | None


class DataLink:
    """Asks the archive's links service."""

    def __init__(self, client: Client, services: Services, seconds: float) -> None:
        self._client = client
        self._services = services
        self._seconds = seconds

    async def downloads(self, publisher_ids: Sequence[str]) -> list[Link]:
        """All files of the given planes, faults left out.

        Raises
        ------
        Incomplete
            A plane that was asked for has no row at all.
        """
        found: list[Link] = []
        for first in range(0, len(publisher_ids), BATCH):
            found += await self._ask(publisher_ids[first : first + BATCH])
        return [link for link in found if link.url and not link.error]

    async def _ask(self, publisher_ids: Sequence[str]) -> list[Link]:
        url = await self._services.datalink_url()
        # downloads-only: without it an answer is cut at 100 rows, and does not say so.
        form = {"ID": list(publisher_ids), "REQUEST": "downloads-only"}
        reply = await self._client.post(url, form, seconds=self._seconds)
        answer = await trio.to_thread.run_sync(parse_votable, reply.body, url)
        links = links_of(answer)
        if missing := set(publisher_ids) - {link.publisher_id for link in links}:
            raise Incomplete(f"{url}: no links of {', '.join(sorted(missing))}")
        return links


def links_of(answer: Answer) -> list[Link]:
    """The rows of a links table; columns that a service leaves out are empty."""
    places = {field.name: place for place, field in enumerate(answer.fields)}

    def cell(row: Sequence[str], name: str) -> str:
        return row[places[name]].strip() if name in places else ""

    links = []
    for row in answer.rows:
        described = DOWNLOAD.search(cell(row, "description"))
        links.append(
            Link(
                publisher_id=cell(row, "ID"),
                url=cell(row, "access_url"),
                semantics=cell(row, "semantics"),
                error=cell(row, "error_message"),
                uri=described[1] if described else None,
            )
        )
    return links
