"""Cutouts by the archive's SODA service (SODA 1.0, 3): one file and one circle a request.

The service is a collection's own: its address comes from a service descriptor of DataLink (1.1,
section 4), else from the registry, and is kept for a day. Descriptors are read with the standard
library: their limits of two numbers in one PARAM make astropy refuse whole documents.

What cannot be cut is told in words behind a redirect (CADC, caom2ops): `NoContent` where the
circle misses the pixels, `NotFound`, `cutout not supported`, `no CutoutGenerator`.
"""

from __future__ import annotations

import logging
from pathlib import Path
from typing import BinaryIO
from urllib.parse import urlencode, urlsplit
from xml.etree import ElementTree

import trio

from cadcfs.archive.downloads import download
from cadcfs.archive.services import DAY, SODA, Memory, Services
from cadcfs.errors import BadRequest, CadcfsError, Corrupt, NoContent, NotFound, Unavailable
from cadcfs.fits.check import check_whole
from cadcfs.logs import run_id
from cadcfs.network.carrier import Carrier, Reply
from cadcfs.network.client import Client

log = logging.getLogger(__name__)

AT_ONCE = 4
"""Cutouts that the service makes for us at the same time."""
LINKS_TIME = 10.0
"""Seconds for one plane's links; the service has been seen to hang for minutes."""


class NotCuttable(NoContent):
    """The service cannot cut files of this kind."""


class Soda:
    """Asks for cutouts."""

    def __init__(
        self, client: Client, carrier: Carrier, services: Services, memory: Memory
    ) -> None:
        self._client = client
        self._carrier = carrier
        self._services = services
        self._memory = memory
        self._limit = trio.CapacityLimiter(AT_ONCE)

    async def url(
        self, collection: str, publisher_id: str, uri: str, circle: tuple[str, str, str]
    ) -> str:
        """The address of one cutout, as astroquery's get_image_list() writes it.

        Parameters
        ----------
        publisher_id
            Of a plane of *collection*, to ask for the links of.
        circle
            Right ascension, declination and radius (ICRS, deg) as text. The same digits are
            sent, written as Python writes a float, for the sake of who compares addresses.
        """
        base = await self._memory.text(
            f"soda {collection}", lambda: self._address(publisher_id), DAY
        )
        place = " ".join(repr(float(number)) for number in circle)
        return f"{base}?{urlencode({'ID': uri, 'POS': f'CIRCLE {place}'})}"

    async def cut(self, url: str, uri: str, path: Path) -> None:
        """Write the cutout behind *url* to *path*, whole.

        Raises
        ------
        NoContent
            There is nothing of *uri* in the circle, or it cannot be cut.
        NotFound
            The service does not know *uri*.
        CadcfsError
        OSError
            The disk of *path*.
        """
        async with self._limit:
            sink = _CutoutFile(path, uri)
            try:
                await download(self._carrier, _as_part_of_a_run(url), sink)
            except BadRequest as exc:
                raise _told(exc, uri) from exc
            finally:
                sink.close()

    async def _address(self, publisher_id: str) -> str:
        try:
            links = await self._services.datalink_url()
            url = f"{links}?{urlencode({'ID': publisher_id})}"
            reply = await self._client.get(url, seconds=LINKS_TIME)
            found = sync_address(reply.body, url)
        except CadcfsError as exc:
            log.info("no address of SODA from DataLink: %s", exc)
            found = None
        return found or await self._services.soda_url()


def sync_address(document: bytes, url: str) -> str | None:
    """The access URL of the synchronous SODA service in a links document; None without one."""
    try:
        root = ElementTree.fromstring(document)  # noqa: S314  (expat refuses entity bombs)
    except ElementTree.ParseError as exc:
        raise Unavailable(f"{url}: its links cannot be parsed: {exc}") from exc
    for resource in root.iter():
        if not resource.tag.endswith("RESOURCE") or resource.get("type") != "meta":
            continue
        values = {p.get("name"): p.get("value", "") for p in resource if p.tag.endswith("PARAM")}
        address = values.get("accessURL", "").strip()
        if values.get("standardID", "").lower() == SODA.lower() and _is_safe(address, url):
            return address
    return None


def _as_part_of_a_run(url: str) -> str:
    name = run_id()
    return f"{url}&{urlencode({'RUNID': name})}" if name else url


def _is_safe(address: str, url: str) -> bool:
    """Old descriptors name addresses without TLS; those of the links service's own host may."""
    parts = urlsplit(address)
    return parts.scheme == "https" or parts.netloc == urlsplit(url).netloc


def _told(exc: BadRequest, uri: str) -> CadcfsError:
    """What the service's words mean."""
    words = str(exc).partition("HTTP 400 ")[2]
    if words.startswith("NoContent") or "overlap" in words.lower():
        return NoContent(f"{uri}: the circle misses its pixels ({words})")
    if words.startswith("NotFound"):
        return NotFound(f"{uri}: {words}")
    if words.startswith(("cutout not supported", "no CutoutGenerator")):
        return NotCuttable(f"{uri}: {words}")
    return exc


class _CutoutFile:
    """A sink that writes a file and checks that it came whole."""

    def __init__(self, path: Path, uri: str) -> None:
        self._path = path
        self._uri = uri
        self._file: BinaryIO | None = None

    def begin(self, _reply: Reply) -> None:
        self.close()
        self._file = self._path.open("w+b")

    def take(self, data: bytes) -> None:
        assert self._file is not None
        self._file.write(data)

    def end(self) -> None:
        assert self._file is not None
        try:
            check_whole(self._file)
        except Corrupt as exc:
            raise Unavailable(f"the cutout of {self._uri} is not whole: {exc}") from exc
        self.close()

    def close(self) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None
