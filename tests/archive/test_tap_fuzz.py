"""Whatever a client sends, the TAP service answers: never a 500, a traceback or a hang."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from pathlib import Path
from xml.etree import ElementTree

import httpx
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from cadcfs.demo.adql.functions import SIGNATURES
from tests.rig import Server, running_server


def _words(text: str) -> list[str]:
    return text.split()


WORDS = st.sampled_from(
    _words("""
    SELECT select TOP DISTINCT FROM WHERE AND OR NOT IN BETWEEN LIKE IS NULL EXISTS GROUP BY
    HAVING ORDER ASC DESC JOIN LEFT OUTER NATURAL USING ON AS CASE WHEN THEN ELSE END UNION
    ALL WITH LIMIT OFFSET CAST INTO DROP DELETE ( ) , . ; * + - / = != < <= > >= || ' " --
    /* */ 0 1 -1 3.5 1e308 1e999 9223372036854775808 'x' 'ICRS' '%' caom2.Plane
    caom2.Observation caom2.Artifact caom2.Chunk ivoa.ObsCore tap_schema.columns
    caom2.EnumField sqlite_master p o obsID planeID position_bounds energy_bounds
    time_bounds target_name calibrationLevel metaRelease collection count sum avg min max
    lower upper abs floor round sqrt log power mod POINT CIRCLE BOX POLYGON REGION CONTAINS
    INTERSECTS AREA CENTROID COORD1 COORDSYS DISTANCE INTERVAL RANGE_S2D isDownloadable
    substring split_part now pi rand [1] {x} ? @ : $1 \\    é SELECT TOP 3 * FROM
    caom2.Plane WHERE
""")
)
SOUP = st.lists(WORDS, min_size=1, max_size=25).map(" ".join)
NUMBERS = st.floats(allow_nan=False, allow_infinity=False, width=32).map(repr)
SHAPES = st.one_of(
    st.tuples(st.sampled_from(["POINT", "CIRCLE", "POLYGON", "BOX", "RANGE_S2D", "INTERVAL"]),
              st.lists(NUMBERS, max_size=9)).map(lambda t: f"{t[0]}({', '.join(t[1])})"),
    st.text(max_size=30).map(lambda t: "REGION('" + t.replace("'", "''") + "')"),
    st.sampled_from(["position_bounds", "energy_bounds", "target_name", "3"]),
)  # fmt: skip
GEOMETRY = st.tuples(st.sampled_from(["CONTAINS", "INTERSECTS"]), SHAPES, SHAPES).map(
    lambda t: f"select top 3 planeID from caom2.Plane where {t[0]}({t[1]}, {t[2]}) = 1"
)
ATOMS = st.sampled_from(
    _words("""
    1 -5 3.7 'abc' '' NULL 9223372036854775807 1e308 '2020-01-01T00:00:00.000' 'circle(1)'
    p.planeID p.calibrationLevel p.time_exposure p.position_bounds p.energy_bounds p.metaRelease
    p.dataProductType p.position_dimension_naxis1 p.polarization_dimension
""")
)


def _compound(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    calls = [
        st.lists(inner, min_size=known.fewest, max_size=min(known.most, known.fewest + 1)).map(
            lambda given, name=name: f"{name}({', '.join(given)})"
        )
        for name, known in SIGNATURES.items()
    ]
    three = st.tuples(inner, inner, inner)
    return st.one_of(
        *calls,
        st.tuples(inner, st.sampled_from("+-*/"), inner).map(lambda t: f"({' '.join(t)})"),
        three.map(lambda t: f"CASE WHEN {t[0]} > {t[1]} THEN {t[2]} ELSE {t[0]} END"),
        st.tuples(inner, st.sampled_from(["INTEGER", "DOUBLE", "VARCHAR", "CHAR(3)"])).map(
            lambda t: f"CAST({t[0]} AS {t[1]})"
        ),
    )


EXPRESSIONS = st.recursive(ATOMS, _compound, max_leaves=8)
TYPED = st.tuples(EXPRESSIONS, EXPRESSIONS, EXPRESSIONS).map(
    lambda t: f"select top 9 {t[0]}, {t[1]} from caom2.Plane p where {t[2]} is not null"
)
QUERIES = st.one_of(
    SOUP, GEOMETRY, TYPED, st.text(max_size=80), st.just("select top 3 * from caom2.Plane")
)
VALUES = st.one_of(
    st.text(max_size=12),
    st.sampled_from(
        _words("""
    ADQL ADQL-2.0 PQL doQuery getCapabilities votable csv tsv parquet fits VOTable text/xml
    0 1 -1 5 2147483647 99999999999999999999 1e3 x,param:x t,param:table t,http://[::1
    t,http://127.0.0.1:1/x t,file:///etc/passwd RUN ABORT text/csv;header votable;x=1
    application/x-votable+xml;serialization=binary2
""")
    ),
)
NAMES = st.one_of(
    st.sampled_from(
        _words("""
    LANG lang QUERY RESPONSEFORMAT FORMAT MAXREC UPLOAD REQUEST RUNID PHASE DESTRUCTION
    EXECUTIONDURATION
""")
    ),
    st.text(max_size=8),
)
PARTS = st.one_of(
    st.binary(max_size=60),
    st.sampled_from(
        [b"<VOTABLE/>", b"<?xml version='1.0'?><!DOCTYPE x [<!ENTITY a 'b'>]><x>&a;</x>"]
    ),
)
PATHS = st.sampled_from(
    _words("""
    /argus/sync /argus/async /argus/tables /argus/tables/caom2.Plane /argus/async/x
    /argus/async/x/phase /argus/results/x /argus/sync/x/run /argus/examples
    /argus/capabilities
""")
)


@pytest.fixture(scope="module")
def quiet_server(tmp_path_factory: pytest.TempPathFactory, data_dir: Path) -> Iterator[Server]:
    """A server of its own: thousands of requests are not for other tests' logs."""
    with running_server(data_dir) as running:
        yield running


def _ask(client: httpx.Client, draw: st.DataObject) -> httpx.Response:
    """One request, out of order in any of its parts."""
    form = {"LANG": "ADQL", "QUERY": draw.draw(QUERIES), "MAXREC": "20"}
    form |= draw.draw(st.dictionaries(NAMES, VALUES, max_size=3))
    how = draw.draw(st.sampled_from(["get", "post", "multipart", "raw", "path"]))
    if how == "get":
        return client.get("/argus/sync", params=form)
    if how == "post":
        path = draw.draw(st.sampled_from(["/argus/sync", "/argus/async"]))
        return client.post(path, data=form)
    if how == "multipart":
        files = {"table": ("t.vot", draw.draw(PARTS))}
        return client.post("/argus/sync", data=form, files=files)
    kinds = ["application/x-www-form-urlencoded", "multipart/form-data", "text/xml",
             "multipart/form-data; boundary=x", "application/json"]  # fmt: skip
    headers = {"Content-Type": draw.draw(st.sampled_from(kinds))}
    path = draw.draw(PATHS)
    if how == "path":
        method = draw.draw(st.sampled_from(["GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS"]))
        return client.request(method, path, params=draw.draw(st.dictionaries(NAMES, VALUES)))
    return client.post("/argus/sync", content=draw.draw(PARTS), headers=headers)


def _check(reply: httpx.Response) -> None:
    assert reply.status_code in (200, 303, 400, 403, 404, 405, 413), reply.text
    assert b"Traceback" not in reply.content
    kind = reply.headers.get("content-type", "")
    if kind.startswith("application/x-votable+xml") and reply.request.method != "HEAD":
        root = ElementTree.fromstring(reply.content)
        infos = [each for each in root.iter() if each.get("name") == "QUERY_STATUS"]
        assert infos[0].get("value") == ("OK" if reply.status_code == 200 else "ERROR")


def _many(server: Server, count: int) -> int:
    base = server.registry_url.removesuffix("/reg/resource-caps")
    asked = itertools.count()
    with httpx.Client(base_url=base, follow_redirects=True, timeout=120) as client:

        @settings(
            max_examples=count, deadline=None, derandomize=True, database=None,
            phases=[Phase.generate], suppress_health_check=list(HealthCheck),
        )  # fmt: skip
        @given(st.data())
        def request(draw: st.DataObject) -> None:
            next(asked)
            _check(_ask(client, draw))

        request()
    return next(asked)


def test_any_request_is_answered(quiet_server: Server) -> None:
    assert _many(quiet_server, 150) >= 150


@pytest.mark.soak
def test_a_thousand_requests_are_answered(quiet_server: Server) -> None:
    assert _many(quiet_server, 1_000) >= 1_000
