"""Synchronous TAP queries (TAP 1.1, 2.2), answered as CSV.

Spoken over httpx and parsed with the standard library: seven to ten times faster than VOTable,
and the wait can be cancelled, which pyvo's cannot.
"""

from __future__ import annotations

import csv
import io
import logging
from xml.etree import ElementTree

import trio

from cadcfs.archive.services import Services
from cadcfs.errors import BadRequest, CadcfsError, Incomplete
from cadcfs.network.client import Client

log = logging.getLogger(__name__)

CSV_TYPES = frozenset({"text/csv", "application/csv", "text/plain"})


class Tap:
    """Asks one TAP service."""

    def __init__(self, client: Client, services: Services) -> None:
        self._client = client
        self._services = services

    async def rows(self, adql: str, *, seconds: float) -> list[list[str]]:
        """The rows of *adql* as text, NULL as "", without the heading.

        Raises
        ------
        BadRequest
            The service refused the query; its own words.
        Incomplete
            The answer broke off or is no CSV.
        Unavailable
        """
        url = f"{await self._services.tap_url()}/sync"
        form = {"REQUEST": "doQuery", "LANG": "ADQL", "RESPONSEFORMAT": "csv", "QUERY": adql}
        log.info("asking %s: %s", url, adql)
        try:
            answer = await self._client.post(url, form, seconds=seconds)
        except CadcfsError as exc:
            raise _with_reason(exc) from exc
        if answer.media_type not in CSV_TYPES:
            raise Incomplete(f"{answer.url}: answered {answer.media_type or 'nothing'}, not CSV")
        return await trio.to_thread.run_sync(parse_csv, answer.body, answer.url)


def parse_csv(body: bytes, url: str) -> list[list[str]]:
    """Rows of RFC 4180 text, each as wide as the heading; else `Incomplete`."""
    try:
        text = body.decode("utf-8")
    except UnicodeDecodeError as exc:
        raise Incomplete(f"{url}: the answer is not UTF-8 at byte {exc.start}") from exc
    rows = list(csv.reader(io.StringIO(text, newline="")))
    if not rows:
        raise Incomplete(f"{url}: the answer is empty, even without a heading")
    width = len(rows[0])
    # One column whose value is NULL is an empty line, which csv reads as no fields at all.
    whole = [row or [""] for row in rows[1:]] if width == 1 else rows[1:]
    for number, row in enumerate(whole, 2):
        if len(row) != width:
            raise Incomplete(f"{url}: row {number} has {len(row)} of {width} fields")
    return whole


def _with_reason(exc: CadcfsError) -> CadcfsError:
    """The service's own words out of an error VOTable (DALI 1.1, 4.4.2), if it is one."""
    text = str(exc)
    start, end = text.find("<?xml"), text.rfind(">")
    if not isinstance(exc, BadRequest) or start < 0:
        return exc
    try:
        root = ElementTree.fromstring(text[start : end + 1])  # noqa: S314
    except ElementTree.ParseError:
        return exc
    for info in root.iter():
        if info.tag.endswith("INFO") and info.get("name") == "QUERY_STATUS":
            return BadRequest(f"the archive refused the query: {(info.text or '').strip()}")
    return exc
