"""Writes observations into the SQLite database that the archive's TAP service queries."""

from __future__ import annotations

import hashlib
import sqlite3
import uuid
from collections.abc import Iterable, Iterator
from contextlib import closing
from pathlib import Path

from cadcfs.demo.build.derived import fill_derived
from cadcfs.demo.build.planes import values_of
from cadcfs.demo.build.records import MODIFIED, PUBLIC, Exposure, Item, Product, Values
from cadcfs.demo.schema import TABLES, Column, columns_of

_INDEXES = (
    "CREATE INDEX obs_id ON Observation (obsID)",
    "CREATE INDEX obs_name ON Observation (collection, observationID)",
    "CREATE INDEX obs_collection ON Observation (collection)",
    "CREATE INDEX obs_target ON Observation (lower(target_name))",
    "CREATE INDEX plane_obs ON Plane (obsID)",
    "CREATE INDEX plane_id ON Plane (planeID)",
    "CREATE INDEX plane_publisher ON Plane (publisherID)",
    "CREATE INDEX plane_uri ON Plane (planeURI)",
    "CREATE INDEX artifact_plane ON Artifact (planeID)",
    "CREATE INDEX artifact_id ON Artifact (artifactID)",
    "CREATE INDEX artifact_uri ON Artifact (uri)",
    "CREATE INDEX part_artifact ON Part (artifactID)",
    "CREATE INDEX part_id ON Part (partID)",
    "CREATE INDEX chunk_part ON Chunk (partID)",
)

_FILLED = ("Observation", "Plane", "Artifact", "Part", "Chunk")


def write_database(path: Path, exposures: Iterable[Exposure]) -> None:
    """Write all tables of the archive."""
    rows: dict[str, list[tuple[object, ...]]] = {table: [] for table in _FILLED}
    for exposure in exposures:
        for table, values in _records(exposure):
            rows[table].append(_row(table, values))
    with closing(sqlite3.connect(path)) as database, database:
        for name in TABLES:
            columns = ", ".join(f"{c.name} {_type(c)}" for c in columns_of(name))
            database.execute(f"CREATE TABLE {name.partition('.')[2]} ({columns})")
        for table, records in rows.items():
            marks = ", ".join("?" * len(columns_of(f"caom2.{table}")))
            database.executemany(f"INSERT INTO {table} VALUES ({marks})", records)
        for index in _INDEXES:
            database.execute(index)
        fill_derived(database)
        database.execute("ANALYZE")


def _type(column: Column) -> str:
    if column.datatype == "char" or column.arraysize:
        return "TEXT"
    return "REAL" if column.datatype in ("double", "float") else "INTEGER"


def _row(table: str, values: Values) -> tuple[object, ...]:
    columns = columns_of(f"caom2.{table}")
    unknown = set(values) - {column.name for column in columns}
    if unknown:
        raise ValueError(f"{table} has no {sorted(unknown)}")
    return tuple(values.get(column.name) for column in columns)


def _records(exposure: Exposure) -> Iterator[tuple[str, Values]]:
    uri = f"caom:{exposure.collection}/{exposure.name}"
    yield (
        "Observation",
        _stamped(
            uri,
            {
                "observationURI": uri,
                "obsID": _id(uri),
                "collection": exposure.collection,
                "observationID": exposure.name,
                "algorithm_name": "exposure",
                "type": "OBJECT",
                "intent": "science",
                "metaRelease": PUBLIC,
                "target_name": exposure.target,
                "typeCode": "S",
            }
            | dict(exposure.values),
        ),
    )
    for product in exposure.products:
        yield "Plane", _plane(exposure, product, uri)
        plane_uri = f"{uri}/{product.name}"
        for item in product.items:
            yield "Artifact", _artifact(item, plane_uri)
            yield from _parts(item, _id(f"{plane_uri} {item.uri}"))


def _plane(exposure: Exposure, product: Product, observation: str) -> Values:
    uri = f"{observation}/{product.name}"
    publisher = f"ivo://cadc.nrc.ca/{exposure.collection}?{exposure.name}/{product.name}"
    values: Values = {
        "publisherID": publisher,
        "obsID": _id(observation),
        "planeID": _id(uri),
        "planeURI": uri,
        "productID": product.name,
        "metaRelease": exposure.values.get("metaRelease", PUBLIC),
        "dataRelease": PUBLIC,
        "dataProductType": "image",
        "calibrationLevel": 1,
        "provenance_name": "cadcfs-synth",
    }
    return _stamped(uri, {**values, **product.values, **values_of(product.items)})


def _artifact(item: Item, plane: str) -> Values:
    # The same URI may lie in many planes, and is then an artifact of each.
    name = f"{plane} {item.uri}"
    values = {
        "uri": item.uri,
        "planeID": _id(plane),
        "artifactID": _id(name),
        "productType": item.product_type,
        "releaseType": item.release_type,
        "contentType": item.content_type,
        "contentLength": item.length,
        "contentChecksum": item.checksum,
        "contentRelease": item.release,
    }
    return _stamped(name, values)


def _parts(item: Item, artifact: str) -> Iterator[tuple[str, Values]]:
    for part in item.parts:
        name = f"{artifact}/{part.name}"
        values = {
            "artifactID": artifact,
            "partID": _id(name),
            "name": part.name,
            "productType": item.product_type,
        }
        yield "Part", _stamped(name, values)
        if part.chunk is not None:
            own = {"partID": _id(name), "chunkID": _id(f"{name}/chunk")}
            yield "Chunk", _stamped(f"{name}/chunk", {**own, **part.chunk})


def _stamped(name: str, values: Values) -> Values:
    text = repr((name, sorted(values.items())))
    digest = "md5:" + hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()
    return {
        **values,
        "lastModified": MODIFIED,
        "maxLastModified": MODIFIED,
        "metaChecksum": digest,
        "accMetaChecksum": digest,
    }


def _id(uri: str) -> str:
    return str(uuid.uuid5(uuid.NAMESPACE_URL, uri))
