"""The gate: what the service takes, what it refuses, and what the functions give."""

from __future__ import annotations

import sqlite3

import pytest

pytest.importorskip("sqlglot")
pytest.importorskip("spherely")

from cadcfs.demo.adql import geometry
from cadcfs.demo.adql.catalogue import Catalogue, Field, Table
from cadcfs.demo.adql.functions import install
from cadcfs.demo.adql.gate import translate
from cadcfs.demo.adql.scope import AdqlError


def _fields(*names: str) -> tuple[Field, ...]:
    return tuple(Field(name, "char", "*") for name in names)


CATALOGUE = Catalogue(
    (
        Table(
            "caom2", "Observation",
            (*_fields("obsID", "collection", "observationID", "target_name", "intent"),
             Field("sequenceNumber", "int"), Field("metaRelease", "char", "*", "timestamp")),
        ),
        Table(
            "caom2", "Plane",
            (*_fields("obsID", "planeID", "publisherID", "dataProductType", "quality_flag",
                      "position_bounds", "energy_bounds", "time_bounds"),
             Field("time_exposure", "double", unit="s"), Field("calibrationLevel", "int")),
        ),
        Table("caom2", "Artifact", (*_fields("planeID", "uri"), Field("contentLength", "long"))),
        Table("caom2", "EnumField", _fields("collection", "energy_emBand")),
    )
)  # fmt: skip

JOINED = "caom2.Observation o join caom2.Plane p on o.obsID=p.obsID"

TAKEN = [
    "select distinct collection, energy_emBand from caom2.EnumField",
    f"select * from {JOINED} where lower(target_name) like '%m31%'",
    (
        f"SELECT * from {JOINED} WHERE INTERSECTS( CIRCLE('ICRS', 10.0, 41.0, 0.1),"
        " position_bounds) = 1 AND (quality_flag IS NULL OR quality_flag != 'junk')"
        " AND collection='CFHT'"
    ),
    (
        f"select o.observationID, p.publisherID, a.uri, a.contentLength from {JOINED}"
        " join caom2.Artifact a on p.planeID=a.planeID where o.collection='CFHT'"
    ),
    "SELECT TOP 5 OBSID FROM CAOM2.plane",
    "select caom2.Plane.obsID from caom2.Plane",
    "select Plane.obsID from caom2.Plane",
    "select p.* from caom2.Plane as p",
    'select "obsID" from caom2.Plane',
    "select count(*) from caom2.Plane",
    "select collection, count(*) as n from caom2.Observation group by collection having count(*)>3",
    "select collection, count(*) as n from caom2.Observation group by collection order by n desc",
    "select collection from caom2.Observation union select collection from caom2.EnumField",
    "select obsID from caom2.Plane where CONTAINS(POINT('ICRS',1,2), position_bounds)=1",
    "select obsID from caom2.Plane where INTERSECTS(RANGE_S2D(1,2,3,4), position_bounds)=1",
    "select obsID from caom2.Plane where INTERSECTS(BOX('ICRS',1,2,3,4), position_bounds)=1",
    "select obsID from caom2.Plane where INTERSECTS(POLYGON(1,2,3,4,5,9), position_bounds)=1",
    "select obsID from caom2.Plane where INTERSECTS(INTERVAL(1e-7,2e-7), energy_bounds)=1",
    "select COORD1(CENTROID(position_bounds)), AREA(position_bounds) from caom2.Plane",
    "select DISTANCE(POINT(1,2), POINT(3,4)) from caom2.Plane",
    "select isDownloadable(publisherID) from caom2.Plane",
    "select obsID from caom2.Observation where metaRelease < now()",
    "select case when calibrationLevel=1 then 'raw' else 'more' end as k from caom2.Plane",
    (
        "select upper(collection), 7/2, log(time_exposure) from caom2.Observation o"
        " join caom2.Plane p on o.obsID = p.obsID"
    ),
    "select obsID from caom2.Observation where obsID in (select obsID from caom2.Plane)",
    (
        "select o.obsID from caom2.Observation o where exists"
        " (select 1 from caom2.Plane p where p.obsID = o.obsID)"
    ),
    "select s.obsID from (select obsID from caom2.Plane) s",
    "select min(time_exposure), max(time_exposure), avg(time_exposure) from caom2.Plane",
    "select coalesce(target_name, 'none') from caom2.Observation -- a comment",
]

REFUSED = {
    "drop table caom2.Plane": "only SELECT",
    "insert into caom2.Plane values (1)": "only SELECT",
    "select obsID from caom2.Plane; select 1": "one statement",
    "": "one statement",
    "select from caom2.Plane": "select list is empty",
    "select obsID from caom2.Plane where (obsID='x'": "line 1",
    "select obsID from caom2.Plane limit 3": "line 1",
    "select nothing from caom2.Plane": 'column "nothing" does not exist at line 1, column 14',
    "select p.nothing from caom2.Plane p": 'column "p.nothing" does not exist',
    "select obsID from caom2.Plane where x.obsID='1'": 'column "x.obsID"',
    "select name from sqlite_master": 'table "sqlite_master" does not exist',
    "select obsID from caom2.Planes": 'table "caom2.Planes" does not exist',
    "select load_extension('x') from caom2.Plane": 'function "load_extension" does not exist',
    "select pi() from caom2.Plane": 'function "pi" does not exist',
    "select circle(1) from caom2.Plane": "wrong number of arguments",
    "select count(distinct obsID) from caom2.Plane": "DISTINCT",
    "select obsID from caom2.Plane union select planeID, uri from caom2.Artifact": "number of col",
}


@pytest.mark.parametrize("adql", TAKEN)
def test_a_query_of_the_corpus_passes(adql: str) -> None:
    assert translate(adql, CATALOGUE).fields


@pytest.mark.parametrize(("adql", "message"), REFUSED.items())
def test_a_query_out_of_order_is_refused_with_its_place(adql: str, message: str) -> None:
    with pytest.raises(AdqlError) as refused:
        translate(adql, CATALOGUE)
    assert message in str(refused.value)


def test_fields_keep_the_metadata_of_their_columns() -> None:
    fields = translate(
        "select p.time_exposure as t, count(*), AREA(position_bounds) from caom2.Plane p", CATALOGUE
    ).fields
    assert [(f.name, f.datatype, f.unit) for f in fields] == [
        ("t", "double", "s"), ("count", "long", ""), ("area", "double", ""),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("expression", "value"),
    [
        ("LOG(1)", 0.0),
        ("MOD(-7, 3)", -1),
        ("ROUND(2.5)", 3.0),
        ("SPLIT_PART('a/b', '/', 2)", "b"),
        ("SUBSTRING('abcdef', 2, 3)", "bcd"),
        ("NOW()", "2026-01-01T00:00:00.000"),
        ("SQRT(-1)", None),
        ("AREA(NULL)", None),
        ("CONTAINS(POINT('ICRS', 0, 0), CIRCLE('ICRS', 359.9, 0, 0.2))", 1),
        ("CONTAINS(POINT(10, 10), CIRCLE(10, 10.3, 0.2))", 0),
        ("CONTAINS(POINT(0, 0.5), BOX(0, 0, 2, 2))", 1),
        ("INTERSECTS(CIRCLE(1.5, 0, 0.6), BOX(0, 0, 2, 2))", 1),
        ("INTERSECTS(CIRCLE(1.5, 0, 0.4), BOX(0, 0, 2, 2))", 0),
        ("CONTAINS(CIRCLE(0, 0, 0.9), BOX(0, 0, 2, 2))", 1),
        ("CONTAINS(CIRCLE(0, 0, 1.1), BOX(0, 0, 2, 2))", 0),
        ("CONTAINS(BOX(0, 0, 2, 2), CIRCLE(0, 0, 1.5))", 1),
        ("CONTAINS(BOX(0, 0, 2, 2), CIRCLE(0, 0, 1.3))", 0),
        ("CONTAINS(5, '1.0 9.0')", 1),
        ("INTERSECTS(INTERVAL(0, 0.5), '1.0 9.0')", 0),
    ],
)
def test_a_function_gives(expression: str, value: object) -> None:
    connection = sqlite3.connect(":memory:")
    install(connection, "2026-01-01T00:00:00.000", lambda _plane: False)
    assert connection.execute(f"SELECT {expression}").fetchone()[0] == value
    connection.close()


def test_the_notch_of_a_footprint_is_not_part_of_it() -> None:
    footprint = geometry.parse("polygon 0 0 2 0 2 1 1 1 1 2 0 2")
    assert not geometry.intersects(geometry.parse("circle 1.7 1.7 0.2"), footprint)
    assert geometry.intersects(geometry.parse("circle 1.7 0.7 0.2"), footprint)
