"""Observations as CAOM documents, over sockets."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from xml.etree import ElementTree as ET

import httpx
import pytest

from cadcfs.demo.archive import Archive

CAOM = "{http://www.opencadc.org/caom2/xml/v2.4}"
KIND = "{http://www.w3.org/2001/XMLSchema-instance}type"


async def document(client: httpx.AsyncClient, uri: str) -> ET.Element:
    reply = await client.get("/caom2ops/meta", params={"ID": uri})
    assert reply.headers["content-type"].startswith("text/xml")
    return ET.fromstring(reply.content)


async def test_an_observation_comes_with_all_below_it(
    client: httpx.AsyncClient, archive: Archive
) -> None:
    root = await document(client, "caom:CFHT/2376828")
    assert root.get(KIND) == "caom2:SimpleObservation"
    assert root.findtext(f"{CAOM}target/{CAOM}name") == "M31"
    planes = [plane.findtext(f"{CAOM}productID") for plane in root.iter(f"{CAOM}plane")]
    assert planes == ["2376828o", "2376828p"]
    with closing(sqlite3.connect(archive.database)) as database:
        uris, chunks = (
            {value for (value,) in database.execute(query)}
            for query in (
                (
                    "SELECT uri FROM Artifact JOIN Plane USING (planeID)"
                    " WHERE planeURI LIKE 'caom:CFHT/2376828/%'"
                ),
                (
                    "SELECT chunkID FROM Chunk JOIN Part USING (partID) JOIN Artifact USING"
                    " (artifactID) JOIN Plane USING (planeID)"
                    " WHERE planeURI LIKE 'caom:CFHT/2376828/%'"
                ),
            )
        )
        (bounds,) = database.execute(
            "SELECT position_bounds FROM Plane WHERE productID = '2376828p'"
        ).fetchone()
    assert {each.findtext(f"{CAOM}uri") for each in root.iter(f"{CAOM}artifact")} == uris
    assert {each.get(f"{CAOM}id") for each in root.iter(f"{CAOM}chunk")} == chunks
    points = root.findall(f".//{CAOM}plane[2]/{CAOM}position/{CAOM}bounds//{CAOM}point/*")
    assert [point.text for point in points] == bounds.split()[1:]


async def test_what_was_made_of_others_names_them(client: httpx.AsyncClient) -> None:
    root = await document(client, "caom:CFHTMEGAPIPE/MegaPipe.016.263")
    assert root.get(KIND) == "caom2:DerivedObservation"
    members = [uri.text for uri in root.iter(f"{CAOM}observationURI")]
    assert members == ["caom:CFHT/2376828", "caom:CFHT/2376829"]
    assert len(list(root.iter(f"{CAOM}planeURI"))) == 2


@pytest.mark.parametrize(
    ("query", "status", "text"),
    [
        ("", 400, "found 0 ID values, expected 1"),
        ("ID=nonsense", 400, "invalid observation URI: nonsense"),
        ("ID=caom:CFHT/none", 404, "not found: caom:CFHT/none"),
        ("ID=caom:CFHT/2999004", 404, "not found: caom:CFHT/2999004"),
    ],
)
async def test_what_is_not_there_is_said(
    client: httpx.AsyncClient, query: str, status: int, text: str
) -> None:
    reply = await client.get(f"/caom2ops/meta?{query}")
    assert (reply.status_code, reply.text) == (status, f"{text}\n")
