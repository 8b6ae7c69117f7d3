"""Refusals of the data services, and headers of files, beside those known of CADC."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from xml.etree import ElementTree

from tests.judges.bench import Bench, Comparison, Reasons
from tests.judges.structure import Difference, differences, local


def refusals(bench: Bench) -> Iterator[Difference]:
    """Compare what is said of planes, files and cutouts that cannot be had."""
    for asked, (status, kind, body) in REFUSALS.items():
        reply = bench.client.get(bench.base + asked)
        told = reply.text.rstrip("\n")
        recorded = {f"status {status}", f"type {kind}", f"body {body}"}
        ours = {
            f"status {reply.status_code}",
            f"type {reply.headers['content-type'].partition(';')[0]}",
            f"body {told if kind != _VOTABLE else _said(reply.content)}",
        }
        yield from differences(asked, recorded, ours)


def _said(document: bytes) -> str:
    """What a VOTable says by the row of a fault, or by its status."""
    root = ElementTree.fromstring(document)
    for info in root.iter():
        if local(info.tag) == "INFO" and info.get("name") == "QUERY_STATUS":
            return f"{info.get('value')} {info.text}"
    names = [field.get("name") for field in root.iter() if local(field.tag) == "FIELD"]
    (row,) = [row for row in root.iter() if local(row.tag) == "TR"]
    return dict(zip(names, [cell.text or "" for cell in row], strict=True))["error_message"]


_VOTABLE = "application/x-votable+xml"
_CUBE = "cadc:JCMT/acsis_00021_20190107T062424_cube.fits"
REFUSALS: Mapping[str, tuple[int, str, str]] = {
    "/caom2ops/datalink?ID=ivo://cadc.nrc.ca/CFHT?no/such": (
        200, _VOTABLE, "NotFoundFault: ivo://cadc.nrc.ca/CFHT?no/such",
    ),
    "/caom2ops/datalink?ID=x": (200, _VOTABLE, "UsageFault: invalid ID: x"),
    "/caom2ops/datalink?MAXREC=x": (400, _VOTABLE, "ERROR Invalid MAXREC: x"),
    "/caom2ops/sync": (400, "text/plain", "found 0 ID values, expected 1"),
    "/caom2ops/sync?ID=cadc:CFHT/no.fits": (400, "text/plain", "NotFound: cadc:CFHT/no.fits"),
    f"/caom2ops/sync?ID={_CUBE}&CIRCLE=10 10 0.1": (
        400, "text/plain", f"NoContent: {_CUBE} vs POS=circle 10.0 10.0 0.1",
    ),
    "/caom2ops/sync?ID=noao:tu636792.fits.fz": (
        400, "text/plain", "no CutoutGenerator for noao:tu636792.fits.fz",
    ),
    f"/minoc/files/{_CUBE}?META=true&SUB=[0]": (
        400, "text/plain", "Conflicting SODA parameters found: [META, SUB]",
    ),
    f"/minoc/files/{_CUBE}?CIRCLE=10 10 0.1": (400, "text/plain", "No overlap found."),
    "/minoc/files/cadc:CFHT/no.fits": (404, "text/plain", "not found: cadc:CFHT/no.fits"),
    "/caom2ops/pkg?ID=ivo://cadc.nrc.ca/CFHT?no/such": (200, "application/x-tar", ""),
}  # fmt: skip
"""What the sources of CADC's services say that they answer (opencadc, 2026)."""


def file_headers(bench: Bench) -> Iterator[Difference]:
    """Compare the headers of a file with those that CADC's documentation shows."""
    address = f"{bench.base}/raven/files/cadc:IRIS/I429B4H0.fits"
    head = {
        "content-length", "content-type", "digest", "last-modified", "accept-ranges",
        "content-disposition", "server",
    }  # fmt: skip
    ours = {key for key in bench.client.head(address).headers if key not in _ANY_SERVER}
    yield from differences("HEAD of raven", head, ours)
    part = bench.client.get(address, headers={"Range": "bytes=0-65535"})
    ours = {key for key in part.headers if key not in _ANY_SERVER}
    yield from differences("part from minoc", head | {"content-range", "x-artifact-id"}, ours)


_ANY_SERVER = {"date", "transfer-encoding", "connection"}


def header_texts(bench: Bench) -> Iterator[Difference]:
    """Compare the form of headers as text: lines of eighty columns, END after each extension."""
    for path in sorted((bench.recorded / "fits_headers" / "cfht2caom2").glob("*o.fits.header"))[:2]:
        ours = bench.client.get(
            f"{bench.base}/raven/files/cadc:CFHT/2376828p.fits.fz", params={"META": "true"}
        ).text
        yield from differences(path.name, _form(path), _form_of(ours))


def _form(path: Path) -> set[str]:
    return _form_of(path.read_text("latin-1"))


def _form_of(text: str) -> set[str]:
    lines = text.split("\n")
    ends = {line for line in lines if line.strip() == "END"}
    widths = {len(line) for line in lines if line and line.strip() != "END"}
    return {f"width {width}" for width in widths} | {f"END as {end!r}" for end in ends}


COMPARISONS: tuple[Comparison, ...] = (refusals, file_headers, header_texts)
REASONS: Reasons = {
    r"(HEAD of raven|part from minoc): \+ www-authenticate": (
        "every answer to an anonymous caller has it; the documentation shows a file's own headers"
    ),
}
