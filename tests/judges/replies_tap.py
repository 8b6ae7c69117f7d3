"""Recorded answers of the TAP service beside ours: tables, results, errors, jobs, TAP_SCHEMA."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from xml.etree import ElementTree

from tests.judges.bench import Bench, Comparison, Reasons
from tests.judges.structure import Difference, differences, local, shape

_FLAGS = ("principal", "indexed", "std")
_FACTS = ("datatype", "arraysize", "xtype", "unit", "ucd", "utype", *_FLAGS)
_NAMED = {"INFO": "name", "FIELD": "name", "PARAM": "name", "result": "id"}


def tap_schema(bench: Bench) -> Iterator[Difference]:
    """Compare every column of TAP_SCHEMA with what is recorded of it, descriptions aside."""
    query = f"select table_name, column_name, {', '.join(_FACTS)} from tap_schema.columns"
    text = _sync(bench, query, FORMAT="csv").decode()
    ours = _facts(csv.DictReader(io.StringIO(text)))
    path = bench.recorded / "tap" / "argus-tap_schema-columns.csv"
    with path.open(newline="") as file:
        recorded = _facts(csv.DictReader(file))
    tables = {name.partition(" ")[0].rpartition(".")[0] for name in recorded}
    ours = {fact for fact in ours if fact.partition(" ")[0].rpartition(".")[0] in tables}
    yield from differences("TAP_SCHEMA", recorded, ours)


def _facts(rows: csv.DictReader[str]) -> set[str]:
    return {
        f"{row['table_name']}.{row['column_name']} {fact}={row[fact]}"
        for row in rows
        for fact in _FACTS
    }


def tables(bench: Bench) -> Iterator[Difference]:
    """Compare the form of `/tables` and `/tables/<name>`, and which tables there are."""
    for name, path in (("db_schema.xml", ""), ("table_schema.xml", "/caom2.Observation")):
        recorded = ElementTree.parse(bench.recorded / "tap" / name).getroot()
        ours = ElementTree.fromstring(bench.client.get(f"{bench.base}/argus/tables{path}").content)
        where = f"/tables{path}"
        yield from differences(where, shape(recorded), shape(ours))
        yield from differences(f"tables of {where}", _names(recorded), _names(ours))


def _names(root: ElementTree.Element) -> set[str]:
    parents = [each for each in root.iter() if local(each.tag) == "table"]
    return {str(each.findtext("name")) for each in parents}


def results(bench: Bench) -> Iterator[Difference]:
    """Compare a result and its columns, ObsCore's columns, the link service, and an error."""
    answers = {
        "tap/votable.xml": "select top 3 uri, contentChecksum, contentLength, contentType"
        " from caom2.Artifact where contentType is not null",
        "query_results/cadc-obscore-MACHO-3rows.xml": "select * from ivoa.ObsCore",
        "tap/example-caomPublisherID.xml": "select publisherID from caom2.Plane",
        "tap/error-400.SYNTH.xml": "select nothing from caom2.Plane",
    }
    for name, query in answers.items():
        recorded = ElementTree.parse(bench.recorded / name).getroot()
        ours = ElementTree.fromstring(_sync(bench, query, MAXREC="3"))
        if name.endswith("PublisherID.xml"):
            recorded, ours = (_descriptor(each) for each in (recorded, ours))
        yield from differences(name, shape(recorded, _NAMED), shape(ours, _NAMED))


def _descriptor(root: ElementTree.Element) -> ElementTree.Element:
    return next(each for each in root.iter() if each.get("utype") == "adhoc:service")


def jobs(bench: Bench) -> Iterator[Difference]:
    """Compare the documents of jobs that succeeded and failed, and a list of jobs."""
    for name, query in (("job.xml", "select top 1 obsID from caom2.Plane"), ("job-error.xml", "x")):
        recorded = ElementTree.parse(bench.recorded / "uws" / name).getroot()
        form = {"LANG": "ADQL", "QUERY": query, "PHASE": "RUN"}
        job = str(bench.client.post(f"{bench.base}/argus/async", data=form).url)
        while bench.client.get(f"{job}/phase").text in ("QUEUED", "EXECUTING"):
            bench.client.get(job, params={"WAIT": "10"})
        ours = ElementTree.fromstring(bench.client.get(job).content)
        yield from differences(f"uws/{name}", shape(recorded, _NAMED), shape(ours, _NAMED))
    recorded = ElementTree.parse(bench.recorded / "uws" / "test-job-list.xml").getroot()
    login = {"username": "demo", "password": "demo"}
    token = bench.client.post(f"{bench.base}/ac/login", data=login).text
    headers = {"Authorization": f"Bearer {token}"}
    bench.client.post(f"{bench.base}/argus/async", data={"RUNID": "r"}, headers=headers)
    listed = bench.client.get(f"{bench.base}/argus/async", headers=headers)
    ours = ElementTree.fromstring(listed.content)
    yield from differences("uws/test-job-list.xml", shape(recorded), shape(ours))


def _sync(bench: Bench, query: str, **more: str) -> bytes:
    form = {"LANG": "ADQL", "QUERY": query, **more}
    return bench.client.post(f"{bench.base}/argus/sync", data=form).content


COMPARISONS: tuple[Comparison, ...] = (tap_schema, tables, results, jobs)
REASONS: Reasons = {
    r"/tables.*: \+ .*(schema/description|@std)": "said of every schema and of standard columns",
    r"/tables/caom2.Observation: - /table/foreignKey": (
        "keys lead from the table that refers: ObservationMember to Observation"
    ),
    r"tables of /tables: \+ caom2.HarvestState": "came after the recording of 2018",
    r"query_results/cadc-obscore.*: \+ .*@xtype": "came after the recording of 2020",
    r"query_results/cadc-obscore.*: - .*core_id": "gone from ObsCore since the recording of 2020",
    r"query_results/cadc-obscore.*: - .*RESPONSEFORMAT": (
        "the service descriptor of 2026 asks for an ID alone"
    ),
    r"tap/votable.xml: \+ .*(placeholder|@ID)": "came after the recording of 2018",
    r"uws/job.*: \+ .*(diag|rowcount|runId)": "CADC's jobs have them; the recording is another's",
    r"uws/job.*: - .*schemaLocation": "CADC's jobs have none; the recording is another's",
    r"uws/test-job-list.xml: \+ .*(version|creationTime|ownerId|runId)": (
        "UWS 1.1; the recording is of a draft of UWS 1.0"
    ),
    r"uws/test-job-list.xml: - .*@(href|type)": "CADC lists jobs by identifier, without addresses",
}
