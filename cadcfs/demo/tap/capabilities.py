"""What the TAP service says of itself in its capabilities (TAPRegExt 1.0), as CADC's does."""

from __future__ import annotations

from collections.abc import Iterator

from cadcfs.demo.tap.formats import PARQUET, VOTABLE, has_parquet
from cadcfs.demo.tap.submission import UPLOAD_BYTES

_STANDARD = "ivo://ivoa.net/std/TAPRegExt"
_GEOMETRY = (
    "POINT", "CIRCLE", "BOX", "POLYGON", "REGION", "CONTAINS", "INTERSECTS", "AREA", "CENTROID",
    "COORDSYS", "COORD1", "COORD2",
)  # fmt: skip

_WEEK = 604_800
_SECONDS = 600
_RESULT_BYTES = 134_217_728


def table_access() -> str:
    """Write what follows the interface in a `tr:TableAccess`."""
    return "".join(f"    {line}\n" for line in _lines())


def _lines() -> Iterator[str]:
    yield '<dataModel ivo-id="ivo://ivoa.net/std/ObsCore#core-1.1">ObsCore-1.1</dataModel>'
    yield from _language()
    yield from _formats()
    for method in ("inline", "http", "https"):
        yield f'<uploadMethod ivo-id="{_STANDARD}#upload-{method}"/>'
    yield from _limits("retentionPeriod", _WEEK)
    yield from _limits("executionDuration", _SECONDS)
    yield from _limits("outputLimit", _RESULT_BYTES, ' unit="byte"')
    yield f'<uploadLimit><hard unit="byte">{UPLOAD_BYTES}</hard></uploadLimit>'


def _language() -> Iterator[str]:
    yield "<language>"
    yield "  <name>ADQL</name>"
    yield '  <version ivo-id="ivo://ivoa.net/std/ADQL#v2.0">2.0</version>'
    yield "  <description>ADQL-2.0</description>"
    yield f'  <languageFeatures type="{_STANDARD}#features-adqlgeo">'
    for form in _GEOMETRY:
        yield f"    <feature><form>{form}</form></feature>"
    yield "  </languageFeatures>"
    yield "</language>"


def _formats() -> Iterator[str]:
    votable = f' ivo-id="{_STANDARD}#output-votable-td"'
    yield f"<outputFormat{votable}><mime>{VOTABLE}</mime><alias>votable</alias></outputFormat>"
    yield f"<outputFormat{votable}><mime>text/xml</mime></outputFormat>"
    others = {"text/csv": "csv", "text/tab-separated-values": "tsv"}
    if has_parquet():
        others[PARQUET] = "parquet"
    for mime, alias in others.items():
        yield f"<outputFormat><mime>{mime}</mime><alias>{alias}</alias></outputFormat>"


def _limits(tag: str, value: int, unit: str = "") -> Iterator[str]:
    yield f"<{tag}><default{unit}>{value}</default><hard{unit}>{value}</hard></{tag}>"
