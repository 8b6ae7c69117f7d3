"""The client's own parsers, given every kind of recorded document."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

from cadcfs.archive.services import FILES, TAP, access_url
from cadcfs.archive.tap import told
from cadcfs.archive.uws import parse_job
from cadcfs.archive.votable import parse_votable
from cadcfs.errors import CadcfsError
from tests.judges.bench import Bench, Comparison, Reasons
from tests.judges.structure import Difference

_LOGIN = "ivo://ivoa.net/std/UMS#login-0.1"
_LINKS = "ivo://ivoa.net/std/DataLink#links-1.1"

WANTED = {
    "argus-caps-2019-live.xml": (TAP, "/argus"),
    "argus-caps-2026-template.xml": (TAP, "/argus"),
    "youcat-caps-template.xml": (TAP, "/youcat"),
    "luskan-caps-template.xml": (TAP, "/luskan"),
    "raven-caps-template.xml": (FILES, "/raven/files"),
    "minoc-caps-template.xml": (FILES, "/minoc/files"),
    "ac-gms-caps-template.xml": (_LOGIN, "/ac/login"),
    "bifrost-datalink-caps-template.xml": (_LINKS, "/bifrost/links"),
}
"""Recorded capabilities -> a standard, and how the address found for it ends."""


def capabilities(bench: Bench) -> Iterator[Difference]:
    """Look the addresses up that the client needs."""
    for name, (standard, end) in WANTED.items():
        document = (bench.recorded / "capabilities" / name).read_text()
        try:
            found = access_url(document, standard, name)
        except CadcfsError as error:
            yield Difference(f"client: {name}", "-", str(error))
            continue
        if not found.startswith("http") or not found.endswith(end):
            yield Difference(f"client: {name}", "+", f"{found} for {standard}")


def jobs(bench: Bench) -> Iterator[Difference]:
    """Read every recorded job."""
    for path in sorted((bench.recorded / "uws").glob("*job*.xml")):
        if "list" not in path.name:
            yield from _taken(path, _phase)


def tables(bench: Bench) -> Iterator[Difference]:
    """Read every recorded VOTable; the one of an error tells what was wrong."""
    for folder in ("query_results", "datalink", "tap"):
        for path in sorted((bench.recorded / folder).glob("*.xml")):
            if b"<VOTABLE" not in path.read_bytes():
                continue
            yield from _taken(path, _error if "error" in path.name else _rows)


def _taken(path: Path, read: Callable[[Path], str]) -> Iterator[Difference]:
    try:
        wrong = read(path)
    except CadcfsError as error:
        wrong = str(error)
    if wrong:
        yield Difference(f"client: {path.parent.name}/{path.name}", "-", wrong)


def _phase(path: Path) -> str:
    job = parse_job(path.read_bytes(), path.name)
    return "" if job.job_id and job.phase else f"{job.job_id!r} is {job.phase!r}"


def _error(path: Path) -> str:
    return "" if told(path.read_text()) else "its message is not found"


def _rows(path: Path) -> str:
    answer = parse_votable(path.read_bytes(), path.name)
    expected = path.read_bytes().lower().count(b"<tr>")
    found = len(answer.rows)
    return "" if found == expected else f"{found} rows of {expected}"


COMPARISONS: tuple[Comparison, ...] = (capabilities, jobs, tables)
REASONS: Reasons = {}
