"""Where else the bytes of a file lie, and how fast each host usually gives them.

All sites of a file are told by the locator's answer to a VOSpace transfer document (VOSpace 2.1,
3.5; storage-inventory's `/locate`).
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from urllib.parse import urlsplit
from xml.etree import ElementTree
from xml.sax.saxutils import escape

from cadcfs.archive.services import Services
from cadcfs.errors import CadcfsError, Corrupt
from cadcfs.network.carrier import Carrier

log = logging.getLogger(__name__)

_NAMESPACE = "{http://www.ivoa.net/xml/VOSpace/v2.0}"
_TRANSFER = """<?xml version="1.0" encoding="UTF-8"?>
<vos:transfer xmlns:vos="http://www.ivoa.net/xml/VOSpace/v2.0" version="2.1">
  <vos:target>{uri}</vos:target>
  <vos:direction>pullFromVoSpace</vos:direction>
  <vos:protocol uri="ivo://ivoa.net/vospace/core#{protocol}"/>
</vos:transfer>
"""

UNKNOWN = 3.0
"""Seconds without a byte after which a host of which nothing is known counts as slow."""
LEAST = 0.3
"""Seconds that any host is given."""
MUCH_SLOWER = 4.0
"""How many times slower than usual is worth a second request."""
PIECE = 4 << 20
"""Bytes of progress that are looked at at a time."""


class Locator:
    """Asks where a file lies."""

    def __init__(self, services: Services, carrier: Carrier) -> None:
        self._services = services
        self._carrier = carrier

    async def sites(self, uri: str) -> tuple[str, ...]:
        """The addresses of a file, one for each host, in the locator's order; none on trouble."""
        try:
            url = await self._services.locate_url()
            protocol = "httpsget" if url.startswith("https:") else "httpget"
            document = _TRANSFER.format(uri=escape(uri), protocol=protocol).encode()
            answer = await self._carrier.post(url, document, "text/xml")
            return endpoints(answer)
        except CadcfsError as exc:
            log.info("%s: no other site is known: %s", uri, exc)
            return ()


def endpoints(document: bytes) -> tuple[str, ...]:
    """The first address of each host in a transfer document; none where it is none."""
    try:
        root = ElementTree.fromstring(document)  # noqa: S314  (expat refuses entity bombs)
    except ElementTree.ParseError:
        return ()
    by_host: dict[str, str] = {}
    for element in root.iter(f"{_NAMESPACE}endpoint"):
        address = (element.text or "").strip()
        if address.startswith(("http://", "https://")):
            by_host.setdefault(host_of(address), address)
    return tuple(by_host.values())


def host_of(url: str) -> str:
    return urlsplit(url).netloc


@dataclass
class _Usual:
    """Seconds to the first byte, and bytes per second after it, of one host lately."""

    first: float
    rate: float


class Paces:
    """How fast each host usually is. For the event loop only."""

    def __init__(self) -> None:
        self._usual: dict[str, _Usual] = {}

    def note(self, host: str, first: float, size: int, seconds: float) -> None:
        """A range of *size* bytes came *first* seconds after it was asked, within *seconds*."""
        rate = size / max(seconds - first, 1e-4)
        known = self._usual.setdefault(host, _Usual(first, rate))
        known.first += 0.2 * (first - known.first)
        if size >= 1 << 18:
            known.rate += 0.2 * (rate - known.rate)

    def patience(self, host: str, size: int) -> tuple[float, int]:
        """Seconds until *size* bytes more are overdue, and how many of them must have come."""
        known = self._usual.get(host)
        if known is None:
            return UNKNOWN, 1
        piece = min(size, PIECE)
        return max(LEAST, MUCH_SLOWER * (known.first + piece / known.rate)), piece


class Progress:
    """How far a range has come, from whichever site; `take` may be called in several threads."""

    def __init__(self, start: int, sink: Callable[[int, bytes], None]) -> None:
        self.got = start
        self.first: float | None = None
        self.began = time.monotonic()
        self._sink = sink
        self._lock = threading.Lock()

    def take(self, offset: int, data: bytes) -> None:
        """Hand on what has not come yet."""
        with self._lock:
            skip = self.got - offset
            if skip < 0:
                raise Corrupt(f"a hole before byte {offset}")
            if skip >= len(data):
                return
            if self.first is None:
                self.first = time.monotonic() - self.began
            self._sink(self.got, data[skip:] if skip else data)
            self.got = offset + len(data)
