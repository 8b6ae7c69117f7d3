"""Recorded DataLink documents beside ours, with the services that they describe."""

from __future__ import annotations

from collections.abc import Iterator
from xml.etree import ElementTree

from tests.judges.bench import Bench, Comparison, Reasons
from tests.judges.structure import Difference, differences, local

PLANES = {
    "cadc-datalink-CFHTMEGAPIPE-2026-live.xml": (
        "ivo://cadc.nrc.ca/CFHTMEGAPIPE?MegaPipe.016.263/MegaPipe.016.263.G.MP9401"
    ),
    "cadc-datalink-JCMT-cube-2026-live.xml": (
        "ivo://cadc.nrc.ca/JCMT?acsis_00021_20190107T062424/reduced-345796MHz"
    ),
    "cadc-datalink-MACHO-1plane-2019.xml": "ivo://cadc.nrc.ca/CFHT?2376828/2376828p",
}
"""Recorded document -> a plane of ours of the same kind."""

_LENGTHS = ("ID", "resourceIdentifier", "standardID", "contentType", "accessURL")
_OWN = ("value", "ID")


def links(bench: Bench) -> Iterator[Difference]:
    """Compare columns, kinds of links and descriptors of services."""
    kinds_recorded, kinds_ours = set[str](), set[str]()
    for name, plane in PLANES.items():
        reply = bench.client.get(f"{bench.base}/caom2ops/datalink", params={"ID": plane})
        recorded = ElementTree.parse(bench.recorded / "datalink" / name).getroot()
        ours = ElementTree.fromstring(reply.content)
        yield from differences(name, set(_described(recorded)), set(_described(ours)))
        kinds_recorded.update(_kinds(recorded))
        kinds_ours.update(_kinds(ours))
        kind = reply.headers["content-type"].replace(" ", "")
        yield from differences(name, {"application/x-votable+xml;content=datalink"}, {kind})
    # Planes have other files here than there, so all kinds together.
    yield from differences("kinds of links", kinds_recorded, kinds_ours)


def _described(root: ElementTree.Element) -> Iterator[str]:
    """Describe fields and parameters; not the values of one plane."""
    for element in root.iter():
        tag = local(element.tag)
        if tag in ("FIELD", "PARAM"):
            said = {key: value for key, value in element.attrib.items() if key not in _OWN}
            if element.get("name") in _LENGTHS:
                # Constants are as long as their values.
                said.pop("arraysize", None)
            yield f"{tag} " + " ".join(f"{key}={said[key]}" for key in sorted(said))
            for inner in element.iter():
                if local(inner.tag) in ("MAX", "MIN", "OPTION"):
                    yield f"{tag} {element.get('name')} {local(inner.tag)}"
        elif tag == "RESOURCE":
            yield f"RESOURCE {element.get('type')} {element.get('utype')}"


def _kinds(root: ElementTree.Element) -> Iterator[str]:
    fields = [each.get("name") for each in root.iter() if local(each.tag) == "FIELD"]
    place = fields.index("semantics")
    yield from (str(row[place].text) for row in root.iter() if local(row.tag) == "TR")


COMPARISONS: tuple[Comparison, ...] = (links,)
REASONS: Reasons = {
    r"cadc-datalink-MACHO.*: \+ FIELD .*(qualifier|link_auth|local_semantics)": (
        "DataLink 1.1; the recording of 2019 is of 1.0"
    ),
    r"cadc-datalink-MACHO.*: - .*(readable|RUNID)": "gone from CADC's answers since 2019",
    r"cadc-datalink-MACHO.*: - PARAM.*(BAND|TIME)": (
        "since 2019 an axis is offered only if it has more than one pixel"
    ),
    r"cadc-datalink-MACHO.*: \+ PARAM .*contentType": "came to CADC's answers after 2019",
    r"kinds of links: \+ #weight": "CADC sends it for weights that are called so",
}
