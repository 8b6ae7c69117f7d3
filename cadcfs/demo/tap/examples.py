"""Queries to begin with, as a page that people and TOPCAT can read (DALI 1.1, section 2.3)."""

from __future__ import annotations

from dataclasses import dataclass
from xml.sax.saxutils import escape, quoteattr

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route


@dataclass(frozen=True, slots=True)
class Example:
    """One query: its anchor, its title, what it does, and the query itself."""

    id: str
    name: str
    text: str
    query: str


EXAMPLES = (
    Example(
        "files-of-a-target",
        "Files of a target",
        "One row for every file of every observation of M31 by CFHT, with its size and checksum.",
        "SELECT o.observationID, p.productID, a.uri, a.contentLength, a.contentChecksum\n"
        "FROM caom2.Observation o\n"
        "JOIN caom2.Plane p ON o.obsID = p.obsID\n"
        "JOIN caom2.Artifact a ON p.planeID = a.planeID\n"
        "WHERE o.collection = 'CFHT' AND lower(o.target_name) = 'm31'",
    ),
    Example(
        "cone",
        "Cone search",
        "Planes that overlap a circle of half a degree.",
        "SELECT p.publisherID, p.position_bounds, p.energy_bandpassName\n"
        "FROM caom2.Plane p\n"
        "WHERE INTERSECTS(CIRCLE('ICRS', 10.68, 41.27, 0.5), p.position_bounds) = 1",
    ),
    Example(
        "obscore",
        "Images in ObsCore",
        "Calibrated images in the visible, through the table that all archives share.",
        "SELECT TOP 100 obs_publisher_did, s_ra, s_dec, t_exptime, access_url\n"
        "FROM ivoa.ObsCore\n"
        "WHERE dataproduct_type = 'image' AND calib_level >= 2\n"
        "AND em_min < 7.0e-7 AND em_max > 4.0e-7",
    ),
    Example(
        "one-night",
        "What was observed in one night",
        "Planes whose time bounds overlap 7 January 2019 (UTC).",
        "SELECT o.collection, o.observationID, o.type, p.time_exposure\n"
        "FROM caom2.Observation o JOIN caom2.Plane p ON o.obsID = p.obsID\n"
        "WHERE INTERSECTS(INTERVAL(58490.0, 58491.0), p.time_bounds) = 1",
    ),
    Example(
        "counts",
        "How much there is of what",
        "Planes by collection, instrument and kind of product; it costs nothing, because the\n"
        "archive keeps the numbers.",
        "SELECT collection, instrument_name, dataProductType, sum(num_tuples) AS planes\n"
        "FROM caom2.EnumField GROUP BY collection, instrument_name, dataProductType\n"
        "ORDER BY collection",
    ),
)


def routes() -> list[Route]:
    """Return the route of the page."""
    return [Route("/argus/examples", _page)]


async def _page(_request: Request) -> Response:
    body = "".join(_section(example) for example in EXAMPLES)
    document = (
        '<?xml version="1.0" encoding="UTF-8"?>\n'
        '<html xmlns="http://www.w3.org/1999/xhtml">\n'
        "<head><title>Example queries</title></head>\n"
        '<body vocab="ivo://ivoa.net/std/DALI-examples">\n<h1>Example queries</h1>\n'
        f"{body}</body>\n</html>\n"
    )
    return Response(document, media_type="application/xhtml+xml")


def _section(example: Example) -> str:
    return (
        f"<div id={quoteattr(example.id)} resource={quoteattr('#' + example.id)}"
        ' typeof="example">\n'
        f'<h2 property="name">{escape(example.name)}</h2>\n'
        f"<p>{escape(example.text)}</p>\n"
        f'<pre property="query">{escape(example.query)}</pre>\n'
        "</div>\n"
    )
