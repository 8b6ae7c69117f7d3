"""Other people's judges of TAP services and VOTables (STILTS) on the embedded archive."""

from __future__ import annotations

import re
from pathlib import Path

import httpx
import pytest

from tests.conftest import Run
from tests.rig import Server

EVERYTHING = "select top 40 * from caom2.Observation o join caom2.Plane p on o.obsID = p.obsID"
UWS_WAIT = {"WAIT": "60"}


@pytest.fixture
def base(server: Server) -> str:
    return server.registry_url.removesuffix("/reg/resource-caps")


def test_taplint_finds_no_error(base: str, run: Run) -> None:
    """All stages; the one table that CADC lacks, too, is ObsLocTAP's."""
    # The exit code says nothing: it is 0 with any number of errors.
    done = run(
        "stilts", "taplint", f"tapurl={base}/argus", "report=EFS", "maxrepeat=5", timeout=300
    )
    lines = done.stdout.splitlines()
    assert "Totals: Errors: 0;" in done.stdout, done.stdout + done.stderr
    stages = {match[1] for line in lines if (match := re.match(r"Section (\w+):", line))}
    assert {"TMV", "TMC", "CPV", "QGE", "QPO", "QAS", "UWS", "MDQ", "OBS", "UPL", "EXA"} <= stages
    assert [line[:10] for line in lines if line.startswith(("E-", "F-"))] == ["F-LOC-NOTP"]


def test_votlint_likes_every_votable(base: str, run: Run, tmp_path: Path) -> None:
    """Synchronous answers in both serializations, an empty one, an asynchronous one, errors."""
    asked = {
        "sync": {"QUERY": EVERYTHING},
        "binary2": {
            "QUERY": EVERYTHING,
            "RESPONSEFORMAT": "application/x-votable+xml;serialization=binary2",
        },
        "cut": {"QUERY": "select * from ivoa.ObsCore", "MAXREC": "3"},
        "computed": {
            "QUERY": "select top 9 centroid(position_bounds), area(position_bounds), now(),"
            " circle('ICRS', 1, 2, 3), isDownloadable(planeURI) from caom2.Plane"
        },
        "empty": {"QUERY": EVERYTHING, "MAXREC": "0"},
        "error": {"QUERY": "select nothing from caom2.Plane where a < 'ä & <'"},
    }
    with httpx.Client(base_url=base, follow_redirects=True, timeout=60) as client:
        documents = {
            name: client.post("/argus/sync", data={"LANG": "ADQL", **form}).content
            for name, form in asked.items()
        }
        for name in ("sync", "error"):
            form = {"LANG": "ADQL", "PHASE": "RUN", **asked[name]}
            job = str(client.post("/argus/async", data=form).url)
            while client.get(f"{job}/phase").text in ("QUEUED", "EXECUTING"):
                client.get(job, params=UWS_WAIT)
            path = "error" if name == "error" else "results/result"
            documents[f"async {name}"] = client.get(f"{job}/{path}").content
    for name, content in documents.items():
        path = tmp_path / f"{name}.xml"
        path.write_bytes(content)
        done = run("stilts", "votlint", "ucd=false", "unit=false", f"votable={path}")
        assert not re.search("^ERROR", done.stdout, re.MULTILINE), (name, done.stdout)
