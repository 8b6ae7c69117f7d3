"""`cadcfs query`, `jobs`, `tables` and `collections`: the same engine without a mount."""

from __future__ import annotations

import csv
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pyarrow.parquet as pq
import pytest
from astropy.io.votable import parse_single_table
from astropy.table import Table

from tests.mount.test_jobs import SLOW
from tests.rig import Mount, Server, until

QUERY = "SELECT TOP 3 collection, observationID FROM caom2.Observation ORDER BY observationID"
Cadcfs = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def environ(server: Server, tmp_path: Path) -> dict[str, str]:
    return os.environ | {
        "CADCFS_REGISTRY_URL": server.registry_url, "CADCFS_CACHE_DIR": str(tmp_path / "cache"),
    }  # fmt: skip


@pytest.fixture
def cadcfs(environ: dict[str, str], tmp_path: Path) -> Cadcfs:
    def runner(*words: object, stdin: str = "") -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "cadcfs", *map(str, words)], cwd=tmp_path, env=environ,
            input=stdin, capture_output=True, text=True, timeout=120, check=False,
        )  # fmt: skip

    return runner


@pytest.fixture
def faults(server: Server) -> Iterator[Callable[..., None]]:
    url = server.registry_url.replace("/reg/resource-caps", "/demo/faults")

    def arm(**fault: object) -> None:
        httpx.post(url, json=fault, timeout=120).raise_for_status()

    yield arm
    httpx.delete(url, timeout=120)


def said(done: subprocess.CompletedProcess[str]) -> str:
    assert done.returncode == 0, done.stderr
    return done.stdout


def refused(done: subprocess.CompletedProcess[str], words: str) -> None:
    assert done.returncode == 1
    assert done.stdout == ""
    assert words in done.stderr
    assert len(done.stderr.splitlines()) == 1, done.stderr


def test_a_query_into_a_pipe_and_into_files(cadcfs: Cadcfs, tmp_path: Path) -> None:
    rows = list(csv.reader(said(cadcfs("query", QUERY)).splitlines()))
    assert rows[0] == ["collection", "observationID"]
    assert len(rows) == 4
    assert list(csv.reader(said(cadcfs("query", "-", stdin=QUERY)).splitlines())) == rows
    tabs = said(cadcfs("query", QUERY, "--format", "tsv")).splitlines()
    assert list(csv.reader(tabs, delimiter="\t")) == rows
    for name in ("r.vot", "r.fits", "r.parquet"):
        assert said(cadcfs("query", QUERY, "-o", name)) == ""
    expected = [row[1] for row in rows[1:]]
    assert list(parse_single_table(tmp_path / "r.vot").to_table()["observationID"]) == expected
    assert list(Table.read(tmp_path / "r.fits")["observationID"]) == expected
    assert pq.read_table(tmp_path / "r.parquet")["observationID"].to_pylist() == expected
    assert sorted(os.listdir(tmp_path)) == ["cache", "r.fits", "r.parquet", "r.vot"]


def test_a_result_into_a_pipe_that_has_a_name_and_through_a_link(
    cadcfs: Cadcfs, tmp_path: Path
) -> None:
    """What stands there stays what it is."""
    pipe, link, real = tmp_path / "pipe", tmp_path / "link.csv", tmp_path / "real.csv"
    os.mkfifo(pipe)
    real.write_text("older")
    link.symlink_to(real.name)
    reader = subprocess.Popen(["cat", pipe], stdout=subprocess.PIPE, text=True)
    assert said(cadcfs("query", QUERY, "--format", "csv", "-o", pipe)) == ""
    rows = reader.communicate(timeout=120)[0]
    assert rows.startswith("collection,observationID\n")
    assert pipe.is_fifo()
    assert said(cadcfs("query", QUERY, "-o", link)) == ""
    assert link.is_symlink()
    assert real.read_text() == rows
    assert said(cadcfs("query", QUERY, "-o", "-")) == rows
    assert sorted(os.listdir(tmp_path)) == ["cache", "link.csv", "pipe", "real.csv"]


def test_a_query_with_an_upload_and_a_limit(cadcfs: Cadcfs, tmp_path: Path) -> None:
    (tmp_path / "mine.csv").write_text("id,name\n7,CFHT\n")
    done = cadcfs(
        "query", "SELECT t.id, o.observationID FROM caom2.Observation o "
        "JOIN tap_upload.mine t ON o.collection = t.name", "--upload", "mine=mine.csv",
        "--maxrec", "2",
    )  # fmt: skip
    rows = list(csv.reader(said(done).splitlines()))
    assert [row[0] for row in rows] == ["id", "7", "7"]
    assert "cut after 2 rows, as --maxrec says" in done.stderr


def test_mistakes_are_one_sentence(cadcfs: Cadcfs, tmp_path: Path) -> None:
    refused(cadcfs("query", "SELECT x FROM caom2.NoSuch"), "NoSuch")
    refused(cadcfs("query", " "), "empty")
    refused(cadcfs("query", QUERY, "-o", "what.is"), "--format")
    refused(cadcfs("query", QUERY, "--format", "xls"), "no such format")
    refused(cadcfs("query", QUERY, "--upload", "a=nosuch"), "no file nosuch")
    refused(cadcfs("query", QUERY, "--upload", "1=nosuch"), "NAME=FILE")
    (tmp_path / "a.png").write_bytes(bytes(range(256)))
    refused(cadcfs("query", QUERY, "--upload", f"a={tmp_path}/a.png"), "neither VOTable")
    refused(cadcfs("jobs", "show", "nosuch"), "no job nosuch")
    refused(cadcfs("tables", "caom2.NoSuch"), "no table")


def test_a_query_that_runs_out_of_time_goes_on_as_a_job(
    cadcfs: Cadcfs, faults: Callable[..., None], tmp_path: Path
) -> None:
    faults(kind="busy", path="^/argus/sync", status=504)
    (tmp_path / "mine.csv").write_text("id,name\n7,CFHT\n")
    done = cadcfs(
        "query", "SELECT t.id FROM caom2.Observation o "
        "JOIN tap_upload.mine t ON o.collection = t.name", "--upload", "mine=mine.csv",
        "--maxrec", "2",
    )  # fmt: skip
    assert said(done).split() == ["id", "7", "7"]
    assert "going on as a job" in done.stderr
    assert "cut after 2 rows, as maxrec says" in done.stderr
    faults(kind="row-cap", path="^/argus/async", rows=7)
    done = cadcfs("query", "SELECT obsID, observationID FROM caom2.Observation")
    assert len(said(done).splitlines()) == 8
    assert "cut after 7 rows, the archive's limit for a result of 2 columns" in done.stderr
    assert said(cadcfs("jobs")) == ""


def test_an_interrupted_query_stays_a_job(
    cadcfs: Cadcfs, environ: dict[str, str], faults: Callable[..., None]
) -> None:
    faults(kind="busy", path="^/argus/sync", status=504)
    process = subprocess.Popen(
        [sys.executable, "-m", "cadcfs", "query", SLOW], env=environ, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip
    until(lambda: "EXECUTING" in said(cadcfs("jobs")))
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=120)
    assert process.returncode == 130, err
    (job,) = json.loads(said(cadcfs("jobs", "--json")))
    assert f"cadcfs jobs wait {job['name']}" in err
    assert said(cadcfs("jobs", "wait", job["name"])) == "COMPLETED\n"
    assert said(cadcfs("jobs", "result", job["id"])).startswith("pairs\n")
    assert said(cadcfs("jobs", "rm", job["name"])) == ""
    assert said(cadcfs("jobs")) == ""


def test_the_command_and_a_mount_share_jobs(
    mount: Mount, server: Server, cadcfs: Cadcfs, environ: dict[str, str]
) -> None:
    assert environ["CADCFS_CACHE_DIR"] == str(mount.cache)
    for name in ("one", "two"):
        job = mount.path / "jobs" / name
        job.mkdir()
        (job / "query.adql").write_text(SLOW)
        (job / "phase").write_text("RUN\n")
        until(lambda: (job / "phase").read_text() == "EXECUTING\n")  # noqa: B023
    assert {line.split("\t")[0] for line in said(cadcfs("jobs")).splitlines()} == {"one", "two"}
    assert said(cadcfs("jobs", "abort", "one")) == ""
    until(lambda: (mount.path / "jobs/one/phase").read_text() == "ABORTED\n")
    assert cadcfs("jobs", "wait", "one").returncode == 1
    assert said(cadcfs("jobs", "wait", "two")) == "COMPLETED\n"
    facts = json.loads(said(cadcfs("jobs", "show", "two", "--json")))
    assert facts["query"] == SLOW
    assert facts["id"] == (mount.path / "jobs/two/id").read_text().strip()
    server.forget()
    assert said(cadcfs("jobs", "rm", "one", "two")) == ""
    assert os.listdir(mount.path / "jobs") == []
    deleted = [r for r in server.requests() if r["method"] == "DELETE"]
    assert len(deleted) == 2


def test_tables_and_collections(cadcfs: Cadcfs) -> None:
    lines = said(cadcfs("tables")).splitlines()
    assert "caom2.Plane" in [line.split("\t")[0] for line in lines]
    columns = json.loads(said(cadcfs("tables", "caom2.Plane", "--json")))
    assert {"name", "datatype", "unit", "ucd", "flags"} <= set(columns[0])
    assert len(said(cadcfs("tables", "CAOM2.PLANE")).splitlines()) == len(columns)
    found = {one["name"]: one for one in json.loads(said(cadcfs("collections", "--json")))}
    assert "MegaPrime" in found["CFHT"]["instruments"]
    assert len(said(cadcfs("collections")).splitlines()) == len(found)
