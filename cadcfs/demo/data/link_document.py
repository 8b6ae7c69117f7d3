"""Writes links as a VOTable (DataLink 1.1, section 3.3, VOTable 1.4) and as a manifest."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from xml.sax.saxutils import escape, quoteattr

from cadcfs.demo.data.doubles import double, doubles
from cadcfs.demo.data.links import Link, Service

VOTABLE = "application/x-votable+xml"
DATALINK = f"{VOTABLE};content=datalink"
MANIFEST = "application/x-download-manifest+txt"

_FORBIDDEN = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_HEAD = (
    '<?xml version="1.0" encoding="UTF-8"?>\n'
    '<VOTABLE xmlns="http://www.ivoa.net/xml/VOTable/v1.3"'
    ' xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" version="1.4">\n'
    '  <RESOURCE type="results">\n'
)
_TEXT = 'datatype="char" arraysize="*"'
_FIELDS = (
    ("ID", f'{_TEXT} ucd="meta.id;meta.main"', ""),
    ("access_url", f'{_TEXT} ucd="meta.ref.url"', ""),
    ("service_def", f'{_TEXT} ucd="meta.ref"', ""),
    ("error_message", f'{_TEXT} ucd="meta.code.error"', ""),
    ("semantics", f'{_TEXT} ucd="meta.code"', ""),
    ("local_semantics", f'{_TEXT} ucd="meta.code"',
     "local tag for an equivalent meaning or role of this link"),
    ("description", f'{_TEXT} ucd="meta.note"', ""),
    ("content_type", f'{_TEXT} ucd="meta.code.mime"', ""),
    ("content_length", 'datatype="long" ucd="phys.size;meta.file" unit="byte"', ""),
    ("content_qualifier", _TEXT, "what the link leads to is by nature"),
    ("link_auth", f'{_TEXT} ucd="meta.code"', "whether the link takes a login"),
    ("link_authorized", 'datatype="boolean" ucd="meta.code"',
     "whether the caller may use the link"),
)  # fmt: skip


def votable(links: Iterable[Link]) -> Iterator[str]:
    """Yield the document in pieces; service descriptors follow the table."""
    yield _HEAD
    yield '    <INFO name="standardID" value="ivo://ivoa.net/std/DataLink#links-1.1" />\n'
    yield "    <TABLE>\n"
    for name, attributes, description in _FIELDS:
        start = f'      <FIELD name="{name}" {attributes}'
        if description:
            yield f"{start}>\n        <DESCRIPTION>{description}</DESCRIPTION>\n      </FIELD>\n"
        else:
            yield f"{start} />\n"
    yield "      <DATA>\n        <TABLEDATA>\n"
    services = []
    for link in links:
        yield _row(link)
        if link.service is not None:
            services.append(link.service)
    yield "        </TABLEDATA>\n      </DATA>\n    </TABLE>\n"
    yield '    <INFO name="placeholder" value="ignore" />\n  </RESOURCE>\n'
    for service in services:
        yield _descriptor(service)
    yield "</VOTABLE>\n"


def manifest(links: Iterable[Link]) -> Iterator[str]:
    """Yield a line for each link: `OK` and its address, or `ERROR` and what is wrong."""
    for link in links:
        yield f"OK\t{link.access_url}\n" if link.access_url else f"ERROR\t{link.error}\n"


def error_document(message: str) -> str:
    """A VOTable that says what is wrong with a request (DALI 1.1, section 4.2)."""
    return (
        f'{_HEAD}    <INFO name="QUERY_STATUS" value="ERROR">{_text(message)}</INFO>\n'
        "  </RESOURCE>\n</VOTABLE>\n"
    )


def _row(link: Link) -> str:
    flags = {True: "true", False: "false", None: None}
    cells = (
        link.number,
        link.access_url,
        link.service.number if link.service else None,
        link.error,
        link.semantics,
        None,
        link.description,
        link.content_type,
        None if link.length is None else str(link.length),
        None,
        None if link.error else "optional",
        flags[link.authorized],
    )
    written = "".join("<TD/>" if cell is None else f"<TD>{_text(cell)}</TD>" for cell in cells)
    return f"<TR>{written}</TR>\n"


def _text(value: str) -> str:
    """Write text for XML 1.0, which has no place for most control characters (section 2.2)."""
    return escape(_FORBIDDEN.sub("?", value))


def _descriptor(service: Service) -> str:
    own = (
        _constant("resourceIdentifier", service.collection),
        _constant("standardID", service.standard),
        _constant("contentType", service.content_type),
        _constant("accessURL", service.address),
    )
    return (
        f'  <RESOURCE type="meta" ID={quoteattr(service.number)} utype="adhoc:service">\n'
        f"{''.join(own)}"
        f'    <GROUP name="inputParams">\n{_inputs(service)}    </GROUP>\n  </RESOURCE>\n'
    )


def _constant(name: str, value: str, ucd: str = "", indent: str = "    ") -> str:
    attributes = f' ucd="{ucd}"' if ucd else ""
    return (
        f'{indent}<PARAM name="{name}" datatype="char" arraysize="{len(value)}"{attributes}'
        f" value={quoteattr(value)} />\n"
    )


def _inputs(service: Service) -> str:
    extent = service.extent
    found = [_constant("ID", service.uri, "meta.id;meta.dataset", "      ")]
    if extent.footprint is not None:
        found.append(f'      <PARAM name="POS" {_TEXT} ucd="obs.field" value="" />\n')
        circle, polygon = extent.footprint.circle(), extent.footprint.numbers()
        place = 'ucd="obs.field" unit="deg"'
        found.append(_input("CIRCLE", "3", f'{place} xtype="circle"', high=doubles(circle)))
        found.append(_input("POLYGON", "*", f'{place} xtype="polygon"', high=doubles(polygon)))
    for name, ucd, unit, span in (
        ("BAND", "em.wl;stat.interval", "m", extent.band),
        ("TIME", "time;stat.interval", "d", extent.time),
    ):
        if span is not None:
            attributes = f'ucd="{ucd}" unit="{unit}" xtype="interval"'
            found.append(_input(name, "2", attributes, low=double(span[0]), high=double(span[1])))
    if extent.states:
        options = "".join(f'          <OPTION value="{state}" />\n' for state in extent.states)
        found.append(
            f'      <PARAM name="POL" {_TEXT} ucd="phys.polarization.state" value="">\n'
            f"        <VALUES>\n{options}        </VALUES>\n      </PARAM>\n"
        )
    return "".join(found)


def _input(name: str, arraysize: str, attributes: str, *, high: str, low: str = "") -> str:
    limits = f'          <MIN value="{low}" />\n' if low else ""
    limits += f'          <MAX value="{high}" />\n'
    return (
        f'      <PARAM name="{name}" datatype="double" arraysize="{arraysize}" {attributes}'
        f' value="">\n        <VALUES>\n{limits}        </VALUES>\n      </PARAM>\n'
    )
