"""An observation as a CAOM 2.4 document, written from the rows of the database.

The templates below are the document: an element, and the column that fills it or the elements
within. What no column fills is left out.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any
from xml.sax.saxutils import escape, quoteattr

Template = Sequence[tuple[str, Any]]
Row = Mapping[str, Any]

_HEAD = (
    '<?xml version="1.0" encoding="UTF-8"?>\n'
    '<caom2:Observation xmlns:caom2="http://www.opencadc.org/caom2/xml/v2.4"'
    ' xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" xsi:type="caom2:{}"{}>\n'
)

_OBSERVATION: Template = (
    ("collection", "collection"), ("observationID", "observationID"),
    ("metaRelease", "metaRelease"), ("metaReadGroups", [("groupURI", "metaReadGroups")]),
    ("sequenceNumber", "sequenceNumber"), ("algorithm", [("name", "algorithm_name")]),
    ("type", "type"), ("intent", "intent"),
    ("proposal", [("id", "proposal_id"), ("pi", "proposal_pi"), ("title", "proposal_title")]),
    ("target", [("name", "target_name")]),
    ("telescope", [("name", "telescope_name")]),
    ("instrument", [("name", "instrument_name")]),
)  # fmt: skip

_PLANE: Template = (
    ("productID", "productID"), ("creatorID", "creatorID"), ("metaRelease", "metaRelease"),
    ("metaReadGroups", [("groupURI", "metaReadGroups")]),
    ("dataRelease", "dataRelease"), ("dataReadGroups", [("groupURI", "dataReadGroups")]),
    ("dataProductType", "dataProductType"), ("calibrationLevel", "calibrationLevel"),
    ("provenance", [("name", "provenance_name"), ("inputs", [("planeURI", "provenance_inputs")])]),
    ("quality", [("flag", "quality_flag")]),
)  # fmt: skip

_COVERAGE: Template = (
    ("energy", [
        ("bounds", "energy_bounds"), ("dimension", "energy_dimension"),
        ("sampleSize", "energy_sampleSize"), ("bandpassName", "energy_bandpassName"),
        ("energyBands", [("emBand", "energy_emBand")]),
    ]),
    ("time", [
        ("bounds", "time_bounds"), ("dimension", "time_dimension"),
        ("sampleSize", "time_sampleSize"), ("exposure", "time_exposure"),
    ]),
    ("polarization", [
        ("states", [("state", "polarization_states")]), ("dimension", "polarization_dimension"),
    ]),
)  # fmt: skip

_ARTIFACT: Template = tuple(
    (name, name)
    for name in (
        "uri", "productType", "releaseType", "contentRelease", "contentType", "contentLength",
        "contentChecksum",
    )
)  # fmt: skip

_CHUNK: Template = (
    *((name, name) for name in (
        "naxis", "positionAxis1", "positionAxis2", "energyAxis", "timeAxis", "polarizationAxis",
    )),
    ("position", [
        ("axis", [
            *((f"axis{n}", [("ctype", f"position_axis_axis{n}_ctype"),
                            ("cunit", f"position_axis_axis{n}_cunit")]) for n in (1, 2)),
            ("function", [
                ("dimension", [(f"naxis{n}", f"position_axis_function_dimension_naxis{n}")
                               for n in (1, 2)]),
                ("refCoord", [
                    (f"coord{n}", [("pix", f"position_axis_function_refCoord_coord{n}_pix"),
                                   ("val", f"position_axis_function_refCoord_coord{n}_val")])
                    for n in (1, 2)
                ]),
                *((f"cd{i}{j}", f"position_axis_function_cd{i}{j}")
                  for i in (1, 2) for j in (1, 2)),
            ]),
        ]),
        ("coordsys", "position_coordsys"), ("equinox", "position_equinox"),
    ]),
    *((kind, [
        ("axis", [
            ("axis", [("ctype", f"{kind}_axis_axis_ctype"), ("cunit", f"{kind}_axis_axis_cunit")]),
            ("function", [
                ("naxis", f"{kind}_axis_function_naxis"), ("delta", f"{kind}_axis_function_delta"),
                ("refCoord", [("pix", f"{kind}_axis_function_refCoord_pix"),
                              ("val", f"{kind}_axis_function_refCoord_val")]),
            ]),
        ]),
        *more,
    ]) for kind, more in (
        ("energy", [(name, f"energy_{name}") for name in ("specsys", "restfrq", "restwav")]),
        ("time", [("timesys", "time_timesys"), ("mjdref", "time_mjdref")]),
        ("polarization", []),
    )),
)  # fmt: skip

_LISTS = {"groupURI": " ", "planeURI": " ", "emBand": "|", "state": "/"}
"""Columns that hold several values, and what stands between these."""

_CLOSE, _LINE, _MOVE = 0, 1, 2


def observation_document(database: sqlite3.Connection, number: str, planes: str) -> Iterator[str]:
    """Yield the document of an observation, by its obsID; `planes` is the condition of its rows."""
    (row,) = _rows(database, "SELECT * FROM Observation WHERE obsID = ?", number)
    members = row["members"]
    kind = "SimpleObservation" if row["typeCode"] == "S" else "DerivedObservation"
    yield _HEAD.format(kind, _entity(row, "obsID"))
    yield _filled(_OBSERVATION, row)
    yield "<caom2:planes>"
    query = f"SELECT * FROM Plane p WHERE p.obsID = ? AND {planes} ORDER BY p.productID"
    for plane in _rows(database, query, number):
        yield f"<caom2:plane{_entity(plane, 'planeID')}>{_filled(_PLANE, plane)}"
        yield f"{_position(plane)}{_filled(_COVERAGE, plane)}<caom2:artifacts>"
        yield from _artifacts(database, plane["planeID"])
        yield "</caom2:artifacts></caom2:plane>\n"
    yield "</caom2:planes>"
    if kind == "DerivedObservation" and members:
        uris = "".join(_leaf("observationURI", uri) for uri in members.split())
        yield f"<caom2:members>{uris}</caom2:members>"
    yield "</caom2:Observation>\n"


def _artifacts(database: sqlite3.Connection, plane: str) -> Iterator[str]:
    for row in _rows(database, "SELECT * FROM Artifact WHERE planeID = ? ORDER BY uri", plane):
        yield f"<caom2:artifact{_entity(row, 'artifactID')}>{_filled(_ARTIFACT, row)}<caom2:parts>"
        query = "SELECT * FROM Part WHERE artifactID = ? ORDER BY CAST(name AS INTEGER)"
        for part in _rows(database, query, row["artifactID"]):
            name = _leaf("name", part["name"])
            yield f"<caom2:part{_entity(part, 'partID')}>{name}<caom2:chunks>"
            for chunk in _rows(database, "SELECT * FROM Chunk WHERE partID = ?", part["partID"]):
                filled = _filled(_CHUNK, chunk)
                yield f"<caom2:chunk{_entity(chunk, 'chunkID')}>{filled}</caom2:chunk>"
            yield "</caom2:chunks></caom2:part>"
        yield "</caom2:parts></caom2:artifact>"


def _rows(database: sqlite3.Connection, query: str, value: str) -> Iterable[Row]:
    cursor = database.execute(query, (value,))
    names = [column[0] for column in cursor.description]
    return [dict(zip(names, row, strict=True)) for row in cursor]


def _entity(row: Row, key: str) -> str:
    named = (("id", key), *((name, name) for name in (
        "lastModified", "maxLastModified", "metaChecksum", "accMetaChecksum",
    )))  # fmt: skip
    return "".join(
        f" caom2:{name}={quoteattr(str(row[column]))}" for name, column in named if row[column]
    )


def _filled(template: Template, row: Row) -> str:
    written = []
    for name, content in template:
        if isinstance(content, str):
            written.append(_value(name, row.get(content)))
        elif inner := _filled(content, row):
            written.append(f"<caom2:{name}>{inner}</caom2:{name}>")
    return "".join(written)


def _value(name: str, value: Any) -> str:  # noqa: ANN401 (any SQLite value)
    if value is None:
        return ""
    if name in _LISTS:
        return "".join(_leaf(name, each) for each in str(value).split(_LISTS[name]) if each)
    if name == "bounds":
        lower, upper = (
            _leaf(*pair) for pair in zip(("lower", "upper"), value.split(), strict=True)
        )
        sample = f"<caom2:samples><caom2:sample>{lower}{upper}</caom2:sample></caom2:samples>"
        return f"<caom2:bounds>{lower}{upper}{sample}</caom2:bounds>"
    return _leaf(name, value)


def _leaf(name: str, value: object) -> str:
    return f"<caom2:{name}>{escape(str(value))}</caom2:{name}>"


def _position(plane: Row) -> str:
    shape = plane["position_bounds"]
    if shape is None:
        return ""
    kind, *numbers = str(shape).split()
    width, height = (plane[f"position_dimension_naxis{n}"] for n in (1, 2))
    rest = ""
    if width is not None:
        rest = (
            f"<caom2:dimension>{_leaf('naxis1', width)}{_leaf('naxis2', height)}</caom2:dimension>"
        )
    rest += _value("sampleSize", plane["position_sampleSize"])
    bounds = _circle(numbers) if kind == "circle" else _polygon(numbers)
    return f"<caom2:position>{bounds}{rest}</caom2:position>"


def _circle(numbers: Sequence[str]) -> str:
    centre = _leaf("cval1", numbers[0]) + _leaf("cval2", numbers[1])
    radius = _leaf("radius", numbers[2])
    return (
        f'<caom2:bounds xsi:type="caom2:Circle"><caom2:center>{centre}</caom2:center>'
        f"{radius}</caom2:bounds>"
    )


def _polygon(numbers: Sequence[str]) -> str:
    pairs = [
        _leaf("cval1", ra) + _leaf("cval2", dec)
        for ra, dec in zip(numbers[::2], numbers[1::2], strict=True)
    ]
    points = "".join(f"<caom2:point>{pair}</caom2:point>" for pair in pairs)
    ways = [_MOVE, *[_LINE] * (len(pairs) - 1), _CLOSE]
    vertices = "".join(
        f"<caom2:vertex>{pair}{_leaf('type', way)}</caom2:vertex>"
        for pair, way in zip([*pairs, pairs[0]], ways, strict=True)
    )
    return (
        f'<caom2:bounds xsi:type="caom2:Polygon"><caom2:points>{points}</caom2:points>'
        f"<caom2:samples><caom2:vertices>{vertices}</caom2:vertices></caom2:samples></caom2:bounds>"
    )
