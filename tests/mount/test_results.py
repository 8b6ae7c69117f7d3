"""Results of jobs in all formats, judged by astroquery; uploads; many jobs at once."""

from __future__ import annotations

import csv
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from astropy.io.votable import parse_single_table
from astropy.table import MaskedColumn, Table

from cadcfs.jobs.turns import SHARE
from tests.mount.test_jobs import ENDS, SLOW, ended, ran, shared
from tests.rig import Mount, Run, Server

IS_JOB = re.compile(r"/async/[a-z0-9]{16}$")
EVERY_TYPE = (
    "SELECT o.*, p.* FROM caom2.Observation o JOIN caom2.Plane p ON o.obsID = p.obsID "
    "WHERE o.collection NOT LIKE 'SIM%' ORDER BY p.publisherID"
)
"""Integers, reals, text and arrays of fixed and varying length, with NULLs; names that repeat."""


__all__ = ["shared"]


@pytest.fixture
def reference(server: Server, monkeypatch: pytest.MonkeyPatch) -> Iterator[Table]:
    """What astroquery makes of the same query."""
    from astroquery.cadc import CadcClass, conf, core

    monkeypatch.setattr(core.get_access_url, "caps", {})
    with conf.set_temp("CADC_REGISTRY_URL", server.registry_url):
        job = CadcClass().create_async(EVERY_TYPE)
        job.run().wait()
        job.raise_if_error()
        yield job.fetch_result().to_table()


def made(jobs: Path, name: str, adql: str) -> Path:
    job = jobs / name
    job.mkdir()
    (job / "query.adql").write_text(adql)
    return job


def delimited(file: Path, delimiter: str) -> list[list[str]]:
    with file.open(newline="", encoding="utf-8") as opened:
        return list(csv.reader(opened, delimiter=delimiter))


def is_null(value: Any) -> bool:
    if value is None or value is np.ma.masked:
        return True
    if isinstance(value, str):
        return value == ""
    parts = np.ma.ravel(np.ma.asarray(value)).tolist()
    return all(part is None or part != part for part in parts)


def same(first: Any, second: Any) -> bool:
    if is_null(first) or is_null(second):
        return is_null(first) and is_null(second)
    if isinstance(first, str):
        return first == (second.decode() if isinstance(second, bytes) else str(second))
    one, two = (np.ma.ravel(np.ma.asarray(v)).filled(np.nan) if np.ma.asarray(v).dtype.kind == "f"
                else np.ma.ravel(np.ma.asarray(v)) for v in (first, second))  # fmt: skip
    return one.shape == two.shape and np.array_equal(one, two, equal_nan=one.dtype.kind == "f")


def unit_of(column: Any) -> str:
    return str(column.unit) if column.unit is not None else ""


def test_all_formats_are_what_astroquery_gets(
    shared: Path, reference: Table, run: Run, tmp_path: Path
) -> None:
    job = made(shared, "all", EVERY_TYPE)
    assert ran(job) == "COMPLETED"
    assert {"obsID2", "metaRelease2"} <= set(reference.colnames)
    in_vot = parse_single_table(job / "result.vot").to_table(use_names_over_ids=True)
    in_fits = Table.read(job / "result.fits", character_as_bytes=False)
    in_parquet = pq.read_table(job / "result.parquet")
    in_csv = delimited(job / "result.csv", ",")
    in_tsv = delimited(job / "result.tsv", "\t")
    names = list(reference.colnames)
    assert names == in_vot.colnames == in_fits.colnames == in_parquet.column_names
    assert names == in_csv[0] == in_tsv[0]
    assert len(reference) > 50
    assert in_csv[1:] == in_tsv[1:]
    assert len(in_vot) == len(in_fits) == in_parquet.num_rows == len(in_csv) - 1 == len(reference)
    for place, name in enumerate(names):
        expected = reference[name]
        parquet = in_parquet.column(name)
        told = in_parquet.schema.field(name).metadata or {}
        assert unit_of(in_fits[name]) == unit_of(expected), name
        assert told.get(b"unit", b"").decode() == unit_of(expected), name
        if expected.dtype.kind in "if" and expected.ndim == 1:
            assert in_fits[name].dtype.newbyteorder("=") == expected.dtype, name
            assert parquet.type.to_pandas_dtype() == expected.dtype.type, name
        for row, value in enumerate(expected):
            assert same(value, in_vot[name][row]), (name, row)
            assert same(value, in_fits[name][row]), (name, row, value, in_fits[name][row])
            assert same(value, parquet[row].as_py()), (name, row, value, parquet[row])
            assert same_text(value, in_csv[row + 1][place]), (name, row)
    checked = run("fitsverify", "-e", job / "result.fits")
    complaints = [line for line in checked.stdout.splitlines() if line.startswith("*** ")]
    # FITS knows ASCII alone; the names of stars are UTF-8 all the same.
    assert all("non-ASCII text" in line for line in complaints), complaints


def same_text(value: Any, text: str) -> bool:
    if is_null(value):
        return text == "" or is_null([float(part) for part in text.split()])
    if isinstance(value, str):
        # astropy drops the blanks round a text, which the archive holds.
        return value == text.strip()
    return same(value, [np.asarray(value).dtype.type(part) for part in text.split()])


def test_text_of_the_world(shared: Path, tmp_path: Path) -> None:
    words = ["Sternenhaufen ü", "κ Cas", "星団", "a\tb", 'say "so"', "<&>", ""]
    table = Table({"word": words, "n": MaskedColumn([1, 2, 3, 4, 5, 6, 7], mask=[0] * 6 + [1])})
    table.write(tmp_path / "words.vot", format="votable")
    job = made(shared, "world", "SELECT n, word FROM tap_upload.words")
    subprocess.run(["cp", tmp_path / "words.vot", job / "uploads"], check=True, timeout=ENDS)
    assert ran(job) == "COMPLETED"
    by_number = {str(row[0]): row[1] for row in delimited(job / "result.csv", ",")}
    assert [by_number[str(n)] for n in range(1, 7)] == words[:6]
    assert by_number[""] == ""
    in_fits = Table.read(job / "result.fits", character_as_bytes=False)
    assert sorted(str(w) for w in in_fits["word"].filled("")) == sorted(words)
    assert sorted(w or "" for w in pq.read_table(job / "result.parquet")["word"].to_pylist()) == (
        sorted(words)
    )


@pytest.mark.parametrize("form", ["vot", "csv", "fits", "ecsv"])
def test_a_join_with_an_upload_of_ten_thousand_rows(
    shared: Path, tmp_path: Path, form: str
) -> None:
    table = Table({"id": np.arange(10_000), "name": [f"n{i}" for i in range(10_000)]})
    table["value"] = np.linspace(0, 1, 10_000)
    table["name"][42] = "CFHT"
    file = tmp_path / f"mine.{form}"
    table.write(file, format={"vot": "votable", "ecsv": "ascii.ecsv", "csv": "ascii.csv"}.get(form))
    job = made(
        shared, "joined",
        "SELECT TOP 3 o.observationID, t.id, t.value FROM caom2.Observation o "
        "JOIN tap_upload.mine t ON o.collection = t.name",
    )  # fmt: skip
    copied = subprocess.run(["cp", file, job / "uploads/"], timeout=ENDS, capture_output=True)
    assert copied.returncode == 0, copied.stderr
    assert ran(job) == "COMPLETED"
    found = parse_single_table(job / "result.vot").to_table()
    assert set(found["id"]) == {42}
    assert np.allclose(found["value"], table["value"][42])
    assert len(found) == 3
    shutil.rmtree(job)


def test_a_cut_result_says_so(shared: Path) -> None:
    job = made(shared, "cut", "SELECT obsID FROM caom2.Observation")
    (job / "maxrec").write_text("10\n")
    assert ran(job) == "COMPLETED"
    assert len(parse_single_table(job / "result.vot").array) == 10
    told = (job / "error.txt").read_text()
    assert "OVERFLOW" in told
    assert "10 rows" in told


def test_twenty_jobs_at_once(server: Server, mount: Mount, tmp_path: Path) -> None:
    mount.stop()
    mount.start("-o", "jobs_polled=3")
    server.forget()
    jobs = mount.path / "jobs"
    began = time.monotonic()
    names = [f"job{number}" for number in range(20)]
    for number, name in enumerate(names):
        made(jobs, name, f"SELECT TOP {number + 1} obsID FROM caom2.Observation")
        (jobs / name / "phase").write_text("RUN\n")
    slow = made(jobs, "slow", SLOW)
    (slow / "phase").write_text("RUN\n")
    for number, name in enumerate(names):
        assert ended(jobs / name) == "COMPLETED"
        assert len(parse_single_table(jobs / name / "result.vot").array) == number + 1
    assert ended(slow) == "COMPLETED"
    took = time.monotonic() - began
    requests = [r for r in server.requests() if "/async" in str(r["path"])]
    looks = [r for r in requests if r["method"] == "GET" and IS_JOB.search(str(r["path"]))]
    assert len(looks) >= 21
    # One each to be led to after making and running it, one for its result; the rest are polls.
    assert len(looks) <= 3 * 21 + 21 * (1 + took / SHARE), len(looks)
    assert in_flight([r for r in looks if "WAIT" in str(r["query"])]) <= 3
    assert len([r for r in requests if r["method"] == "POST"]) == 2 * 21


def in_flight(requests: list[dict[str, Any]]) -> int:
    """How many of them were answered at the same time, at most."""
    import datetime

    moments = []
    for request in requests:
        begin = datetime.datetime.fromisoformat(str(request["time"])).timestamp()
        moments += [(begin, 1), (begin + float(request["seconds"]), -1)]
    most = now = 0
    for _, step in sorted(moments, key=lambda m: (m[0], m[1])):
        now += step
        most = max(most, now)
    return most


def memory(pid: int) -> int:
    """Resident bytes."""
    fields = Path(f"/proc/{pid}/statm").read_text().split()
    return int(fields[1]) * os.sysconf("SC_PAGE_SIZE")


@pytest.mark.parametrize("rows", [60_000, pytest.param(1_000_000, marks=pytest.mark.soak)])
def test_a_long_result_costs_the_daemon_no_memory(mount: Mount, rows: int, tmp_path: Path) -> None:
    job = made(
        mount.path / "jobs", "long",
        f"SELECT TOP {rows} a.observationID, a.obsID, b.collection, a.intent, b.sequenceNumber "
        "FROM caom2.Observation a, caom2.Observation b",
    )  # fmt: skip
    before = memory(mount.pid())
    assert ran(job) == "COMPLETED"
    for form in ("vot", "csv", "tsv", "fits", "parquet"):
        subprocess.run(["cp", job / f"result.{form}", tmp_path], check=True, timeout=1200)
    after = memory(mount.pid())
    sys.stdout.write(f"{rows} rows in five formats: the daemon grew by {after - before} bytes\n")
    assert after - before < 100 << 20
    assert not (job / "error.txt").exists()
    with (tmp_path / "result.csv").open() as lines:
        assert sum(1 for _ in lines) == rows + 1
    assert pq.ParquetFile(tmp_path / "result.parquet").metadata.num_rows == rows
    assert len(Table.read(tmp_path / "result.fits")) == rows
