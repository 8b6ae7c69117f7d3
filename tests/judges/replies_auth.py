"""Recorded capabilities, logins and refusals beside ours."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from xml.etree import ElementTree

from tests.judges.bench import Bench, Comparison, Reasons
from tests.judges.structure import Difference, differences, shape

_NAMED_BY = {"capability": "standardID", "securityMethod": "standardID"}

CAPABILITIES = {
    "argus-caps-2026-template.xml": "/argus",
    "bifrost-datalink-caps-template.xml": "/caom2ops",
    "raven-caps-template.xml": "/raven",
    "minoc-caps-template.xml": "/minoc",
    "data-pub-caps-template.xml": "/data",
    "ac-gms-caps-template.xml": "/ac",
}
"""Recorded document -> path of the service of ours that stands for it."""


def capabilities(bench: Bench) -> Iterator[Difference]:
    """Compare the capabilities of each service that the embedded archive has."""
    for name, path in CAPABILITIES.items():
        recorded = ElementTree.parse(bench.recorded / "capabilities" / name).getroot()
        reply = bench.client.get(f"{bench.base}{path}/capabilities")
        where = f"capabilities of {path}"
        if reply.status_code != 200:
            yield Difference(where, "-", "the service")
            continue
        ours = ElementTree.fromstring(reply.content)
        yield from differences(where, shape(recorded, _NAMED_BY), shape(ours, _NAMED_BY))


def logins(bench: Bench) -> Iterator[Difference]:
    """Compare a login that succeeds and two that do not."""
    url = f"{bench.base}/ac/login"
    forms = {
        "login-200.SYNTH.txt": {"username": "demo", "password": "demo"},
        "login-400.SYNTH.txt": {"password": "demo"},
        "login-401.SYNTH.txt": {"username": "demo", "password": "wrong"},
    }
    for name, form in forms.items():
        reply = bench.client.post(url, data=form)
        status, headers, body = _reply(bench.recorded / "auth" / name)
        recorded = {f"status {status}", *(f"header {key}" for key in headers)}
        ours = {f"status {reply.status_code}"}
        ours |= {f"header {key}" for key in reply.headers if key not in _ANY_SERVER}
        if "{" not in body:
            recorded.add(f"body {body}")
            ours.add(f"body {reply.text}")
        yield from differences(name, recorded, ours)


def refusals(bench: Bench) -> Iterator[Difference]:
    """Compare what the file service says of files that are not there, or not for everybody."""
    missing = "raven-404-get.SYNTH.txt"
    _, _, body = _reply(bench.recorded / "auth" / missing)
    yield from _refusal(bench, missing, body.rpartition(" ")[2])
    yield from _refusal(bench, "raven-403.SYNTH.txt", "cadc:CFHT/2999001o.fits")
    number = bench.server.fault("unavailable", path="^/raven/")
    yield from _refusal(bench, "any-service-503-offline.SYNTH.txt", "cadc:CFHT/2999001o.fits")
    bench.server.mend(number)


def _refusal(bench: Bench, name: str, uri: str) -> Iterator[Difference]:
    status, headers, body = _reply(bench.recorded / "auth" / name)
    reply = bench.client.get(f"{bench.base}/raven/files/{uri}")
    recorded = {f"status {status}", f"body {body}", *(f"header {key}" for key in headers)}
    ours = {f"status {reply.status_code}", f"body {reply.text}"}
    ours |= {f"header {key}" for key in reply.headers if key not in _ANY_SERVER}
    yield from differences(name, recorded, ours)


_ANY_SERVER = {"date", "content-length", "transfer-encoding", "connection"}


def _reply(path: Path) -> tuple[int, set[str], str]:
    """Read a recorded reply: status, names of headers in lower case, body."""
    text = path.read_text().rpartition("---\n")[2]
    head, _, body = text.partition("\n\n")
    lines = head.splitlines()
    status = re.search(r"\d{3}", lines[0])
    assert status
    names = {line.partition(":")[0].strip().lower() for line in lines[1:]}
    return int(status[0]), names - _ANY_SERVER, body.strip()


COMPARISONS: tuple[Comparison, ...] = (capabilities, logins, refusals)
REASONS: Reasons = {
    r".*(?i:log#control|logging#(log)?control)": "the level of a service's own log is no client's",
    r".*/securityMethod\[vos://cadc.nrc.ca~vospace/CADC/std/Auth#token-1.0\]": (
        "deprecated since 2020; no client of today sends it"
    ),
    r"capabilities of /ac: - .*(OAuth|OpenID)": "logging in by a web browser is not offered",
    r"capabilities of /ac: - .*(reqs|resetpass)-0.1": "its users are fixed",
    r"capabilities of /ac: - .*(GMS#groups|GMS#search-0.1|mapping-0.1)": (
        "administration of groups; that one is a member is told by GMS#search-1.0"
    ),
    r"capabilities of /caom2ops: \+ .*(SODA|links-1.0|Pkg)": (
        "the recorded template is of DataLink alone; CADC's own service has these, too"
    ),
    r"raven-40[34].*\+ header (www-authenticate|server)": (
        "the recordings, written by hand, leave them out; the server's source has them"
    ),
    r"capabilities of /(raven|minoc): - .*availability.*securityMethod": (
        "availability looks the same for everybody"
    ),
}
