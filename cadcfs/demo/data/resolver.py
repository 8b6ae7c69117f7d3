"""`/cadc-target-resolver/find`: where an object is that has a name.

The real service asks NED, SIMBAD and VizieR. This one knows the objects of a short table and the
targets in the archive, and writes its answers as the real one does, also those for unknown names
(status 425, not 404).
"""

from __future__ import annotations

import json
import re
import sqlite3
import time
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from xml.sax.saxutils import escape

import trio
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from cadcfs.demo.archive import Archive
from cadcfs.demo.data.shapes import ParameterError
from cadcfs.demo.tap.submission import Submission, submission_of

NOT_FOUND = 425
_HOSTS = {
    "NED": "ned.ipac.caltech.edu",
    "SIMBAD": "simbad.cds.unistra.fr",
    "VIZIER": "cdsweb.u-strasbg.fr",
}
_TYPES = {"ASCII": "text/plain", "JSON": "application/json", "XML": "text/xml"}
_RADIUS = re.compile(r"(\w*).*,?\s+\d+")

# Positions in degrees, ICRS, by common names without blanks, in lower case; what kind of object.
_OBJECTS: Mapping[str, tuple[float, float, str]] = {
    "m1": (83.6324, 22.0174, "SNR"),
    "m13": (250.4235, 36.4613, "GCl"),
    "m31": (10.684799, 41.269076, "G"),
    "m33": (23.462042, 30.660222, "G"),
    "m42": (83.81875, -5.389667, "HII"),
    "m51": (202.469575, 47.195258, "G"),
    "m81": (148.888221, 69.065295, "G"),
    "m87": (187.705931, 12.391123, "G"),
    "m101": (210.802429, 54.348750, "G"),
    "ngc4258": (184.739592, 47.303972, "G"),
    "ngc7027": (316.757, 42.2361, "PN"),
    "vega": (279.234735, 38.783689, "*"),
    "sirius": (101.287155, -16.716116, "*"),
    "polaris": (37.954561, 89.264109, "*"),
    "lmc": (80.893860, -69.756126, "G"),
}
_OTHER_NAMES = {
    "crabnebula": "m1", "ngc1952": "m1", "ngc6205": "m13",
    "andromeda": "m31", "andromedagalaxy": "m31", "ngc224": "m31", "triangulum": "m33",
    "ngc598": "m33", "orionnebula": "m42", "ngc1976": "m42", "ngc5194": "m51",
    "ngc3031": "m81", "ngc4486": "m87", "virgoa": "m87", "ngc5457": "m101", "m106": "ngc4258",
}  # fmt: skip

_TARGETS = """
    SELECT p.position_bounds FROM Observation o JOIN Plane p ON p.obsID = o.obsID
    WHERE lower(o.target_name) = ? AND p.position_bounds IS NOT NULL
    AND o.metaRelease <= strftime('%Y-%m-%dT%H:%M:%S', 'now')
    AND p.metaRelease <= strftime('%Y-%m-%dT%H:%M:%S', 'now') ORDER BY o.obsID LIMIT 1
"""


Lines = dict[str, str | float | None]


@dataclass(frozen=True, slots=True)
class Found:
    """An object: right ascension and declination in degrees, ICRS, its name and its kind."""

    ra: float
    dec: float
    name: str
    kind: str


@dataclass(frozen=True, slots=True)
class ResolverRequest:
    """What is asked: a name, which services may answer, and how."""

    target: str
    services: tuple[str, ...]
    format: str
    is_detailed: bool

    @classmethod
    def from_parameters(cls, parameters: Submission) -> ResolverRequest:
        """Check the parameters; raise ParameterError."""
        target = parameters.get("TARGET")
        if target is None:
            raise ParameterError("Error parsing target from request")
        services: list[str] = []
        for text in parameters.all("SERVICE") or ["ALL"]:
            name = text.strip().upper()
            if name != "ALL" and name not in _HOSTS:
                raise ParameterError(f"Unknown service: {text}")
            services += _HOSTS if name == "ALL" else [name]
        form = (parameters.get("FORMAT") or "ASCII").upper()
        detail = (parameters.get("DETAIL") or "MIN").upper()
        if form not in _TYPES or detail not in ("MIN", "MAX"):
            raise ParameterError(f"unknown format or detail: {form} {detail}")
        return cls(target.strip(), tuple(dict.fromkeys(services)), form, detail == "MAX")


class ResolverService:
    """Serves `/cadc-target-resolver/find`."""

    def __init__(self, archive: Archive, limiter: trio.CapacityLimiter) -> None:
        """Know the targets of an archive."""
        self._database = archive.database
        self._limiter = limiter

    def routes(self) -> list[Route]:
        """Return the route."""
        return [Route("/cadc-target-resolver/find", self._find, methods=["GET", "POST"])]

    async def _find(self, request: Request) -> Response:
        begun = time.monotonic()
        try:
            asked = ResolverRequest.from_parameters(await submission_of(request))
        except ParameterError:
            # The real one finds no writer for an answer that it could not read the form of.
            return Response(status_code=NOT_FOUND)
        found = await trio.to_thread.run_sync(
            look_up, self._database, asked.target, limiter=self._limiter
        )
        elapsed = round((time.monotonic() - begun) * 1000)
        lines = _lines(asked, found, elapsed)
        status = NOT_FOUND if found is None else 200
        return Response(_written(asked.format, lines), status, media_type=_TYPES[asked.format])


def look_up(database: Path, target: str) -> Found | None:
    """Find an object; a radius after its name is left out if nothing else helps (blocking)."""
    found = _known(target) or _observed(database, target)
    match = _RADIUS.search(target)
    if found is None and match and match[1]:
        found = _known(match[1]) or _observed(database, match[1])
    return found


def _known(target: str) -> Found | None:
    key = re.sub(r"[\s_]", "", target).lower()
    key = _OTHER_NAMES.get(key, key)
    entry = _OBJECTS.get(key)
    return None if entry is None else Found(entry[0], entry[1], key.upper(), entry[2])


def _observed(database: Path, target: str) -> Found | None:
    address = f"{database.absolute().as_uri()}?mode=ro&immutable=1"
    with closing(sqlite3.connect(address, uri=True)) as connection:
        row = connection.execute(_TARGETS, (target.lower(),)).fetchone()
    if row is None:
        return None
    ra, dec = _middle(str(row[0]))
    return Found(round(ra, 6), round(dec, 6), target, "")


def _middle(bounds: str) -> tuple[float, float]:
    from cadcfs.demo.data.shapes import angles, vectors

    kind, *words = bounds.split()
    numbers = [float(word) for word in words]
    if kind != "polygon":
        return numbers[0], numbers[1]
    ra, dec = angles(vectors(numbers[::2], numbers[1::2]).mean(axis=0))
    return float(ra), float(dec)


def _lines(asked: ResolverRequest, found: Found | None, elapsed: int) -> Lines:
    if found is None:
        service = f"{', '.join(asked.services)}(null)"
        lines: Lines = {"error": "Target not found"}
    else:
        name = next(iter(asked.services))
        service = f"{name.lower()}({_HOSTS[name]})"
        lines = {}
    lines |= {
        "target": asked.target,
        "service": service,
        "coordsys": None if found is None else "ICRS",
        "ra": 0.0 if found is None else found.ra,
        "dec": 0.0 if found is None else found.dec,
    }
    if asked.is_detailed:
        lines |= {
            "oname": "" if found is None else found.name,
            "otype": "" if found is None else found.kind,
            "mtype": "",
        }
    return lines | {"time": elapsed}


def _written(form: str, lines: Lines) -> str:
    if form == "JSON":
        return json.dumps(lines, ensure_ascii=False) + "\r\n"
    if form == "XML":
        inner = "".join(f"<{key}>{escape(str(value))}</{key}>" for key, value in lines.items())
        return f'<?xml version="1.0" encoding="UTF-8"?>\n<targetData>{inner}</targetData>\n'
    named = {"time": "time(ms)"}
    return "".join(
        f"{named.get(key, key)}={'null' if value is None else value}\r\n"
        for key, value in lines.items()
    )
