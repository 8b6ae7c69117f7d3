"""Which service lives where: the registry's list and each service's capabilities.

VOSI capabilities are read with the standard library: two attributes and a URL do not pay for
pyvo's 50 MB on the way to the first listing.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from typing import Protocol
from xml.etree import ElementTree

from cadcfs.config import Settings
from cadcfs.errors import CadcfsError, Incomplete, Offline, Unavailable
from cadcfs.network.client import Client

log = logging.getLogger(__name__)

DAY = 86400.0
"""Seconds; services move a few times a year."""
TAP = "ivo://ivoa.net/std/TAP"
DATALINK = "ivo://ivoa.net/std/DataLink#links-1.1"
DATALINK_1_0 = "ivo://ivoa.net/std/DataLink#links-1.0"
SODA = "ivo://ivoa.net/std/SODA#sync-1.0"
LOGIN = "ivo://ivoa.net/sso#tls-with-password"
LOGIN_0_1 = "ivo://ivoa.net/std/UMS#login-0.1"
WHOAMI = "ivo://ivoa.net/std/UMS#whoami-0.1"
FILES = "http://www.opencadc.org/std/storage#files-1.0"
LOCATE = "http://www.opencadc.org/std/storage#locate-1.0"


class Memory(Protocol):
    """Keeps the last good answer to a question, for when the next one fails."""

    async def text(self, key: str, load: Callable[[], Awaitable[str]], fresh: float) -> str: ...


class Services:
    """Finds base URLs; a URL that is set by itself wins over the registry."""

    def __init__(self, client: Client, memory: Memory, settings: Settings) -> None:
        self._client = client
        self._memory = memory
        self._settings = settings

    @property
    def listing_time(self) -> float:
        """Seconds that a listing may take."""
        return self._settings.listing_time

    async def tap_url(self) -> str:
        """Base of the TAP service, without `/sync`."""
        given = self._settings.tap_url
        return (given or await self._find(self._settings.tap_id, TAP)).rstrip("/")

    async def files_url(self) -> str:
        """Where an artifact URI is appended to get its bytes."""
        given = self._settings.files_url
        return (given or await self._find(self._settings.files_id, FILES)).rstrip("/")

    async def locate_url(self) -> str:
        """Where all addresses of a file are asked for, by a transfer document."""
        given = self._settings.files_url.rstrip("/")
        if given:
            return given.removesuffix("/files") + "/locate"
        return await self._find(self._settings.files_id, LOCATE)

    async def datalink_url(self) -> str:
        """Where the links of a plane are asked for (`ID=<publisherID>`)."""
        resource = self._settings.datalink_id
        try:
            return await self._find(resource, DATALINK)
        except Unavailable:
            return await self._find(resource, DATALINK_1_0)

    async def soda_url(self) -> str:
        """Where a cutout is asked for, where no links tell it."""
        return await self._find(self._settings.datalink_id, SODA)

    async def login_url(self) -> str:
        """Where a password is traded for a token."""
        resource = self._settings.login_id
        try:
            return await self._find(resource, LOGIN)
        except Unavailable:
            return await self._find(resource, LOGIN_0_1)

    async def whoami_url(self) -> str:
        """Where the archive tells whom it takes one for."""
        return await self._find(self._settings.login_id, WHOAMI)

    async def resolver_url(self) -> str:
        """Where an object's name is turned into a position.

        The service has no standard: `/find` lies beside its capabilities.
        """
        if self._settings.resolver_url:
            return self._settings.resolver_url
        base = await self._listed(self._settings.resolver_id)
        return f"{base.removesuffix('/capabilities').rstrip('/')}/find"

    async def check(self) -> None:
        """Raise in words when neither the registry nor a remembered answer is at hand."""
        if not (self._settings.tap_url and self._settings.files_url):
            await self._registry()

    async def _find(self, resource_id: str, standard_id: str) -> str:
        url = await self._listed(resource_id)
        document = await self._memory.text(
            f"capabilities {url}", lambda: self._capabilities(url), DAY
        )
        return access_url(document, standard_id, url)

    async def _listed(self, resource_id: str) -> str:
        """The capabilities URL of a service."""
        listed = parse_registry(await self._registry())
        if resource_id not in listed:
            raise Unavailable(
                f"the registry {self._settings.registry_urls[0]} does not list {resource_id}; "
                "check registry_url, or set the service's own URL"
            )
        return listed[resource_id]

    async def _registry(self) -> str:
        urls = self._settings.registry_urls
        return await self._memory.text(f"registry {' '.join(urls)}", self._ask_registries, DAY)

    async def _ask_registries(self) -> str:
        reasons = []
        for url in self._settings.registry_urls:
            try:
                answer = await self._client.get(url, seconds=self._settings.metadata_time / 2)
            except CadcfsError as exc:
                reasons.append(str(exc))
                continue
            text = answer.body.decode("utf-8", "replace")
            if parse_registry(text):
                return text
            reasons.append(f"{url}: lists no service")
        raise Offline(f"no registry answers ({'; '.join(reasons)})")

    async def _capabilities(self, url: str) -> str:
        answer = await self._client.get(url, seconds=self._settings.metadata_time)
        text = answer.body.decode("utf-8", "replace")
        if "capability" not in text:
            raise Incomplete(f"{url}: not a VOSI capabilities document")
        return text


def parse_registry(text: str) -> dict[str, str]:
    """Resource identifier to capabilities URL; lines that are none of both are passed over."""
    listed = {}
    for line in text.splitlines():
        key, _, value = line.partition("=")
        if key.strip() and value.strip() and not key.lstrip().startswith("#"):
            listed[key.strip()] = value.strip()
    return listed


def access_url(document: str, standard_id: str, url: str) -> str:
    """The anonymous access URL of one capability (VOSI 1.1, 2.1; VODataService interfaces)."""
    try:
        root = ElementTree.fromstring(document)  # noqa: S314  (expat refuses entity bombs)
    except ElementTree.ParseError as exc:
        raise Incomplete(f"{url}: capabilities cannot be parsed: {exc}") from exc
    for capability in root.iter("capability"):
        if (capability.get("standardID") or "").lower() != standard_id.lower():
            continue
        interfaces = sorted(capability.iter("interface"), key=_needs_login)
        for interface in interfaces:
            found = interface.findtext("accessURL", "").strip()
            if found:
                return found
    raise Unavailable(f"{url}: offers no {standard_id}; set the service's own URL")


def _needs_login(interface: ElementTree.Element) -> bool:
    methods = interface.findall("securityMethod")
    return bool(methods) and all(method.get("standardID") for method in methods)
