"""The gate: what the service takes, what it refuses, and what the functions give."""

from __future__ import annotations

import sqlite3

import pytest

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
            (*_fields("obsID", "planeID", "publisherID", "dataProductType", "quality_flag"),
             Field("position_bounds", "char", "*", "shape"),
             Field("position_bounds_samples", "char", "*", "multishape"),
             Field("energy_bounds", "double", "2", "interval"),
             Field("time_bounds", "double", "2", "interval"),
             Field("time_exposure", "double", unit="s"), Field("calibrationLevel", "int")),
        ),
        Table("caom2", "Artifact", (*_fields("planeID", "uri"), Field("contentLength", "long"))),
        Table("caom2", "EnumField", _fields("collection", "energy_emBand")),
    )
)  # fmt: skip

WHERE = "select obsID from caom2.Plane where"
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
    "select o.collection, max(intent), 1 + count(*) from caom2.Observation o group by collection",
    "select floor(time_exposure) as t, count(*) from caom2.Plane group by floor(time_exposure)",
    "select floor(time_exposure) as t, count(*) from caom2.Plane group by t",
    "select obsID, collection, count(*) from caom2.Observation group by obsID",
    "select stddev(time_exposure), count(*) from caom2.Plane having count(*) > 1",
    "select obsID from caom2.Observation where metaRelease between '2020-01-01' and now()",
    "select collection, count(*) as n from caom2.Observation group by collection having count(*)>3",
    "select collection, count(*) as n from caom2.Observation group by collection order by n desc",
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
    "select obsID from caom2.Plane where 1 = CONTAINS(POINT('', 1, 2), position_bounds_samples)",
    "select obsID from caom2.Plane where CONTAINS(REGION('Circle ICRS 1 2 3'), position_bounds)=0",
    "select obsID from caom2.Plane where CONTAINS(CENTROID(position_bounds), CIRCLE(1, 2, 3))=0",
    "select COORDSYS(position_bounds), DISTANCE(1, 2, 3, 4) from caom2.Plane",
    "select stddev(time_exposure), variance(ln(time_exposure)) from caom2.Plane",
    "select obsID, planeID, collection from caom2.Observation join caom2.Plane using (obsID)",
    "select o.obsID from caom2.Observation o left outer join caom2.Plane p on o.obsID = p.obsID",
    "select obsID from caom2.Plane where CONTAINS(4.5e-7, energy_bounds) = 1",
    "select min(time_exposure), max(time_exposure), avg(time_exposure) from caom2.Plane",
    "select lower(target_name) from caom2.Observation -- a comment",
]

REFUSED = {
    "select collection, count(*) from caom2.Observation":
        'column "collection" must appear in the GROUP BY clause or be used in an aggregate function'
        " at line 1, column 8",
    "select o.collection, o.intent, count(*) from caom2.Observation o group by collection":
        'column "o.intent" must appear in the GROUP BY clause',
    "select collection from caom2.Observation group by collection having intent = 'x'":
        'column "intent" must appear',
    "select obsID from caom2.Observation where metaRelease > 'yesterday'":
        "not a timestamp: 'yesterday'",
    "drop table caom2.Plane": "only SELECT",
    "insert into caom2.Plane values (1)": "only SELECT",
    "select obsID from caom2.Plane; select 1": "one statement",
    "": "one statement",
    "select from caom2.Plane": "select list is empty",
    f"{WHERE} (obsID='x'": "line 1",
    "select obsID from caom2.Plane limit 3": "line 1",
    "select nothing from caom2.Plane": 'column "nothing" does not exist at line 1, column 8',
    "select p.nothing from caom2.Plane p": 'column "p.nothing" does not exist',
    f"{WHERE} x.obsID='1'": 'column "x.obsID"',
    "select name from sqlite_master": 'table "sqlite_master" does not exist',
    "select obsID from caom2.Planes": 'table "caom2.Planes" does not exist',
    "select load_extension('x') from caom2.Plane": 'function "load_extension" does not exist',
    "select pi() from caom2.Plane": 'function "pi" does not exist',
    "select circle(1) from caom2.Plane": "wrong number of arguments",
    "select count(distinct obsID) from caom2.Plane": "DISTINCT",
    "select obsID from caom2.Plane union select obsID from caom2.Observation": "UNION is not",
    "select s.obsID from (select obsID from caom2.Plane) s": "sub-select not supported in FROM",
    "with s as (select obsID from caom2.Plane) select obsID from s": "WITH is not supported",
    "select obsID from caom2.Plane offset 3": "invalid ADQL keyword: OFFSET at line 1, column 38",
    "select coalesce(target_name, 'x') from caom2.Observation": 'function "coalesce"',
    "select rand() from caom2.Plane": 'function "rand" does not exist at line 1, column 8',
    "select truncate(1.5) from caom2.Plane": 'function "truncate" does not exist',
    "select 1": "FROM is missing",
    "select obsID % 2 from caom2.Plane": "not part of ADQL: MOD",
    f"select obsID from {JOINED}": 'column "obsID" is ambiguous at line 1, column 8',
    "select obsID from caom2.Plane p, caom2.Artifact p": "stands for two tables",
    "select AREA(time_exposure) from caom2.Plane": "AREA() used with unsupported parameter",
    "select CENTROID(time_exposure) from caom2.Plane": "CENTROID() used with unsupported",
    f"{WHERE} CONTAINS(POINT('FK5',1,2), position_bounds)=1":
        "POINT takes ICRS only, not FK5 at line 1, column 46",
    f"{WHERE} INTERSECTS(RANGE_S2D(10,11), position_bounds)=1":
        "wrong number of arguments to RANGE_S2D at line 1, column 48",
    f"{WHERE} INTERSECTS(POLYGON('ICRS',1,2,3,4,5,6,7), position_bounds)=1":
        "POLYGON requires an even number",
    f"{WHERE} INTERSECTS(BOX(time_exposure,2,3,4), position_bounds)=1":
        "Cannot be parsed as double value: time_exposure",
    f"{WHERE} INTERSECTS(REGION('Union ICRS 1'), position_bounds)=1": "REGION: not a region",
    f"{WHERE} INTERSECTS(planeID, position_bounds)=1":
        "invalid argument type for intersects: planeID",
    f"{WHERE} INTERSECTS(energy_bounds, position_bounds)=1": "compares regions with regions",
    f"{WHERE} CONTAINS(POINT(1,2), position_bounds)=2": "must be compared with 0 or 1",
    f"{WHERE} CONTAINS(POINT(1,2), position_bounds)": "must be compared with 0 or 1",
}  # fmt: skip


@pytest.mark.parametrize("adql", TAKEN)
def test_a_query_of_the_corpus_passes(adql: str) -> None:
    assert translate(adql, CATALOGUE).fields


@pytest.mark.parametrize(("adql", "message"), REFUSED.items())
def test_a_query_out_of_order_is_refused_with_its_place(adql: str, message: str) -> None:
    with pytest.raises(AdqlError) as refused:
        translate(adql, CATALOGUE)
    assert message in str(refused.value)


def test_times_are_written_as_the_tables_have_them() -> None:
    sql = translate(
        "select obsID from caom2.Observation where metaRelease <= '2020-01-01'"
        " and metaRelease in ('2020-01-01 12:00:00', '2020-01-01T14:00:00.5+02:00')",
        CATALOGUE,
    ).sql
    for moment in ("01T00:00:00.000", "01T12:00:00.000", "01T12:00:00.500"):
        assert f"'2020-01-{moment}'" in sql


def test_null_comes_last() -> None:
    sql = translate("select obsID from caom2.Observation order by intent", CATALOGUE).sql
    assert sql.endswith("NULLS LAST")


def test_fields_keep_the_metadata_of_their_columns() -> None:
    fields = translate(
        "select time_exposure as t, 1 + calibrationLevel, AREA(position_bounds) from caom2.Plane",
        CATALOGUE,
    ).fields
    assert [(f.name, f.datatype, f.unit) for f in fields] == [
        ("t", "double", "s"), ("expression", "long", ""), ("area", "double", "deg**2"),
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
        ("CONTAINS(REGION('Position ICRS 10 20'), REGION('Box ICRS 10 20 1 1'))", 1),
        ("INTERSECTS(RANGE_S2D(359, 1, -1, 1), POINT(0, 0))", 1),
        ("COORD1(POINT('ICRS GEOCENTER', 1, 2))", 1.0),
        ("ROUND(DISTANCE(0, 0, 0, 90), 9)", 90.0),
        ("LN(1)", 0.0),
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
