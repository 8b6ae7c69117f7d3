"""The registry text and the VOSI documents from which clients learn all addresses.

Registry: lines of `resourceID = capabilitiesURL`. Capabilities and availability: VOSI 1.1,
sections 3 and 5. Addresses are made from the host that the client itself used.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from itertools import groupby
from xml.sax.saxutils import escape, quoteattr

from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from cadcfs.demo.tap.capabilities import table_access

REGISTRY_PATH = "/reg/resource-caps"

_XML = "text/xml"
_CAPABILITIES = "ivo://ivoa.net/std/VOSI#capabilities"
_AVAILABILITY = "ivo://ivoa.net/std/VOSI#availability"
_FILES = "http://www.opencadc.org/std/storage#files-1.0"
_LOCATE = "http://www.opencadc.org/std/storage#locate-1.0"
_DATALINK = "ivo://ivoa.net/std/DataLink#links-"
_SODA = "ivo://ivoa.net/std/SODA#"
_CADC = "vos://cadc.nrc.ca~vospace/CADC/std/"


ANONYMOUS = ""
BY_COOKIE = "ivo://ivoa.net/sso#cookie"
BY_CERTIFICATE = "ivo://ivoa.net/sso#tls-with-certificate"
BY_BEARER = "ivo://ivoa.net/sso#token"
BY_BASIC = "ivo://ivoa.net/sso#BasicAA"
LOGGED_IN = (BY_COOKIE, BY_CERTIFICATE, BY_BEARER)
EVERYBODY = (ANONYMOUS, *LOGGED_IN)
"""Who may come to what depends on who comes: the methods of all services with private data."""


@dataclass(frozen=True, slots=True)
class Capability:
    """One way to a capability: its standard, where it is, and whether paths are appended to that.

    Neighbours of the same standard become interfaces of one capability.
    Methods are how one may authenticate (VODataService 1.2, securityMethod); none means that
    nothing but anonymous access is known there.
    """

    standard: str
    path: str
    use: str = "full"
    methods: tuple[str, ...] = ()
    version: str = ""
    query_type: str = ""


@dataclass(frozen=True, slots=True)
class Service:
    """A service of the archive: its resource identifier, its path and what it can do."""

    resource: str
    path: str
    capabilities: tuple[Capability, ...] = ()


SERVICES = (
    Service(
        "ivo://cadc.nrc.ca/argus",
        "/argus",
        (
            Capability("ivo://ivoa.net/std/VOSI#tables-1.1", "/argus/tables", "base", (), "1.1"),
            Capability("ivo://ivoa.net/std/DALI#examples", "/argus/examples", "base"),
            Capability("ivo://ivoa.net/std/TAP", "/argus", "base", EVERYBODY, "1.1"),
        ),
    ),
    Service(
        "ivo://cadc.nrc.ca/caom2ops",
        "/caom2ops",
        (
            Capability(_DATALINK + "1.1", "/caom2ops/datalink", "base", EVERYBODY),
            # Older clients look for it under the name that it had before.
            Capability(_DATALINK + "1.0", "/caom2ops/datalink", "base", EVERYBODY),
            Capability(_SODA + "sync-1.0", "/caom2ops/sync", "full", EVERYBODY, "1.0"),
            Capability(_SODA + "async-1.0", "/caom2ops/async", "full", EVERYBODY, "1.0"),
            Capability(_CADC + "Pkg-1.0", "/caom2ops/pkg", "base", EVERYBODY),
        ),
    ),
    Service(
        "ivo://cadc.nrc.ca/global/raven",
        "/raven",
        (
            Capability(_LOCATE, "/raven/locate", "base", EVERYBODY),
            Capability(_FILES, "/raven/files", "base", EVERYBODY, query_type="GET"),
        ),
    ),
    Service(
        "ivo://cadc.nrc.ca/cadc/minoc",
        "/minoc",
        (Capability(_FILES, "/minoc/files", "base", EVERYBODY),),
    ),
    Service(
        "ivo://cadc.nrc.ca/gms",
        "/ac",
        (
            Capability("ivo://ivoa.net/std/UMS#users-0.1", "/ac/users", "base", LOGGED_IN, "0.1"),
            Capability("ivo://ivoa.net/std/UMS#whoami-0.1", "/ac/whoami", "base", LOGGED_IN, "0.1"),
            Capability("ivo://ivoa.net/std/GMS#search-1.0", "/ac/search", "base", LOGGED_IN, "1.0"),
            Capability("ivo://ivoa.net/sso#tls-with-password", "/ac/login", "base", (), "0.1"),
            Capability("ivo://ivoa.net/std/UMS#login-0.1", "/ac/login", "base", (), "0.1"),
        ),
    ),
    Service(
        "ivo://cadc.nrc.ca/cred",
        "/cred",
        (
            Capability(
                "ivo://ivoa.net/std/CDP#proxy-1.0", "/cred/priv", "base", (BY_BASIC, *LOGGED_IN)
            ),
        ),
    ),
    Service(
        "ivo://cadc.nrc.ca/uvic/minoc",
        "/uvic/minoc",
        (Capability(_FILES, "/uvic/minoc/files", "base", EVERYBODY),),
    ),
    Service(
        "ivo://cadc.nrc.ca/data",
        "/data",
        (
            Capability(_CADC + "archive#file-1.0", "/data/pub", "base", EVERYBODY, "1.0"),
            Capability(_CADC + "archive#file-1.0", "/data/auth", "base", (BY_BASIC,), "1.0"),
        ),
    ),
    Service(
        "ivo://cadc.nrc.ca/resolver",
        "/cadc-target-resolver",
        (
            Capability(
                _CADC + "NameResolver#names-1.0", "/cadc-target-resolver/find", "base", (), "1.0"
            ),
        ),
    ),
)


def routes() -> list[Route]:
    """Return the registry's route and two for every service."""
    found = [Route(REGISTRY_PATH, _registry)]
    for service in SERVICES:
        found.append(Route(f"{service.path}/capabilities", _capabilities(service)))
        found.append(Route(f"{service.path}/availability", _availability))
    return found


def _base(request: Request) -> str:
    return str(request.base_url).rstrip("/")


async def _registry(request: Request) -> Response:
    base = _base(request)
    lines = ["#", "# This file maps resource identifiers to the location of capabilities.", "#"]
    lines += [f"{known.resource} = {base}{known.path}/capabilities" for known in SERVICES]
    return PlainTextResponse("\n".join(lines) + "\n")


async def _availability(_request: Request) -> Response:
    return Response(availability_document("service is accepting requests"), media_type=_XML)


def availability_document(note: str, *, available: bool = True) -> str:
    """Write a service's availability, with a note in words."""
    return (
        '<?xml version="1.0" encoding="UTF-8"?>\n'
        '<vosi:availability xmlns:vosi="http://www.ivoa.net/xml/VOSIAvailability/v1.0">\n'
        f"  <vosi:available>{str(available).lower()}</vosi:available>\n"
        f"  <vosi:note>{escape(note)}</vosi:note>\n"
        "</vosi:availability>\n"
    )


def _capabilities(service: Service) -> Callable[[Request], Awaitable[Response]]:
    async def answer(request: Request) -> Response:
        return Response(capabilities_document(service, _base(request)), media_type=_XML)

    return answer


def capabilities_document(service: Service, base: str) -> str:
    """Write a service's capabilities."""
    own = (
        Capability(_CAPABILITIES, f"{service.path}/capabilities"),
        Capability(_AVAILABILITY, f"{service.path}/availability"),
    )
    by_standard = groupby((*own, *service.capabilities), lambda each: each.standard)
    written = "".join(_written(standard, ways, base) for standard, ways in by_standard)
    return (
        '<?xml version="1.0" encoding="UTF-8"?>\n'
        '<vosi:capabilities xmlns:vosi="http://www.ivoa.net/xml/VOSICapabilities/v1.0"\n'
        '  xmlns:vs="http://www.ivoa.net/xml/VODataService/v1.1"\n'
        '  xmlns:tr="http://www.ivoa.net/xml/TAPRegExt/v1.0"\n'
        '  xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance">\n'
        f"{written}</vosi:capabilities>\n"
    )


def _written(standard: str, ways: Iterable[Capability], base: str) -> str:
    """Write one capability with an interface for each way to it."""
    is_tap = standard == "ivo://ivoa.net/std/TAP"
    kind = ' xsi:type="tr:TableAccess"' if is_tap else ""
    return (
        f"  <capability standardID={quoteattr(standard)}{kind}>\n"
        f"{''.join(_interface(way, base) for way in ways)}"
        f"{table_access() if is_tap else ''}"
        "  </capability>\n"
    )


def _interface(way: Capability, base: str) -> str:
    version = f" version={quoteattr(way.version)}" if way.version else ""
    methods = "".join(
        f"      <securityMethod standardID={quoteattr(method)}/>\n"
        if method
        else "      <securityMethod/>\n"
        for method in way.methods
    )
    asked = f"      <queryType>{way.query_type}</queryType>\n" if way.query_type else ""
    return (
        f'    <interface xsi:type="vs:ParamHTTP" role="std"{version}>\n'
        f'      <accessURL use="{way.use}">{escape(base + way.path)}</accessURL>\n'
        f"{methods}{asked}    </interface>\n"
    )
