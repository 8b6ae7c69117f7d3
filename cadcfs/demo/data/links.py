"""The links of a plane: its files, cutouts of them, and all of them in one package.

Which links there are, their semantics and their words: CADC's service, as it answered in 2026
(DataLink 1.1, section 3).
"""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import count
from urllib.parse import quote

from cadcfs.demo.data.addresses import IN_PATHS
from cadcfs.demo.data.extents import Extent, extent_of
from cadcfs.demo.data.holdings import Holdings
from cadcfs.demo.data.metadata import Artifact
from cadcfs.demo.data.soda import can_cut

SODA = (
    ("sync", "ivo://ivoa.net/std/SODA#sync-1.0"),
    ("async", "ivo://ivoa.net/std/SODA#async-1.0"),
)

_SEMANTICS = {"science": "#this", "calibration": "#this", "this": "#this", "catalog": "#derivation"}
_TERMS = frozenset((
    "auxiliary", "bias", "coderived", "counterpart", "dark", "detached-header", "documentation",
    "error", "flat", "noise", "preview", "preview-image", "preview-plot", "proc", "progenitor",
    "thumbnail", "weight",
))  # fmt: skip
_ELSEWHERE = {
    "noao": "http://archive1.dm.noao.edu:7003/?fileRef=",
    "xmm": "http://nxsa.esac.esa.int/nxsa-sl/servlet/data-action-aio?",
    "chandra": "ftp://cda.cfa.harvard.edu/pub/byobsid/",
    "sdss": "https://dr14.sdss.org/sas/dr14/",
    "subaru": "http://www.canfar.net/maq/subaru?frameinfo=",
}
"""Archives that keep their files themselves: where a URI of each scheme leads."""

_HERE = frozenset(("ad", "alma", "astron", "cadc", "casda", "gemini", "mast", "nrao", "vos"))
"""Schemes that the storage answers for."""


@dataclass(frozen=True, slots=True)
class Service:
    """A cutout service for one file, as a service descriptor tells it (DataLink 1.1, section 4)."""

    number: str
    standard: str
    collection: str
    address: str
    uri: str
    content_type: str
    extent: Extent


@dataclass(frozen=True, slots=True)
class Link:
    """One row; None where a cell is empty."""

    number: str
    semantics: str
    access_url: str | None = None
    service: Service | None = None
    error: str | None = None
    description: str | None = None
    content_type: str | None = None
    length: int | None = None
    authorized: bool | None = None

    @classmethod
    def fault(cls, number: str, text: str) -> Link:
        """A row that says what is wrong with an ID."""
        return cls(number, "#this", error=text)


class Linker:
    """Makes the links of planes."""

    def __init__(self, holdings: Holdings, base: str) -> None:
        """Write addresses below a base."""
        self._holdings = holdings
        self._base = base
        self._services = count(1)

    def links(
        self, number: str, artifacts: Sequence[Artifact], *, downloads_only: bool
    ) -> Iterator[Link]:
        """All links of a plane, with the ID by which it was asked for (blocking)."""
        for artifact in artifacts:
            yield self._download(number, artifact)
            if not downloads_only:
                yield from self._cutouts(number, artifact)
        if len(artifacts) > 1:
            publisher = artifacts[0].publisher
            yield Link(
                number,
                "#package",
                f"{self._base}/caom2ops/pkg?ID={quote(publisher, safe='')}",
                description="single download containing all files"
                " (previews and thumbnails excluded)",
                content_type="application/x-tar",
                authorized=all(artifact.is_readable for artifact in artifacts),
            )

    def _download(self, number: str, artifact: Artifact) -> Link:
        address = address_of(artifact.uri, self._base)
        semantics = semantics_of(artifact.product_type)
        if address is None:
            trouble = f"no resolver for scheme: {artifact.scheme}"
            text = f"FatalFault: failed to generate download URL: {trouble}"
            return Link(number, semantics, error=text)
        return Link(
            number,
            semantics,
            address,
            description=f"download {artifact.uri}",
            content_type=artifact.content_type,
            length=artifact.length,
            authorized=artifact.is_readable,
        )

    def _cutouts(self, number: str, artifact: Artifact) -> Iterator[Link]:
        holding = self._holdings.find(artifact.uri) if can_cut(artifact) else None
        extent = Extent() if holding is None else extent_of(holding.path)
        if extent.is_empty:
            return
        for mode, standard in SODA:
            service = Service(
                f"soda-{uuid.uuid5(uuid.UUID(artifact.number), str(next(self._services)))}",
                standard,
                artifact.publisher.partition("?")[0],
                f"{self._base}/caom2ops/{mode}",
                artifact.uri,
                str(artifact.content_type),
                extent,
            )
            yield Link(
                number,
                "#cutout",
                service=service,
                description=f"SODA-{mode} cutout of {artifact.uri}",
                content_type=artifact.content_type,
                authorized=artifact.is_readable,
            )


def semantics_of(product_type: str) -> str:
    """The term of DataLink's vocabulary for a product type of CAOM."""
    known = _SEMANTICS.get(product_type)
    return known or (f"#{product_type}" if product_type in _TERMS else "#auxiliary")


def address_of(uri: str, base: str) -> str | None:
    """Where a file can be had: here, at the archive that keeps it, or nobody knows."""
    scheme, _, rest = uri.partition(":")
    elsewhere = _ELSEWHERE.get(scheme)
    if elsewhere is not None:
        return elsewhere + quote(rest, safe=IN_PATHS)
    if scheme not in _HERE:
        return None
    return f"{base}/raven/files/{quote(uri, safe=IN_PATHS)}"
