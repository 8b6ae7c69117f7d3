"""Servers that are not to be trusted, and ways out of TLS or to other hosts, at the mount."""

from __future__ import annotations

import errno
import os
import ssl
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler
from itertools import pairwise
from pathlib import Path

import pytest
import trustme

from cadcfs.demo.auth.certificates import Certificates
from tests.mount.test_identity import FILE, PROPRIETARY, Person, status_of
from tests.mount.test_secrets import giving, leading, serving
from tests.recording.records import Recording, origin_of
from tests.rig import Mount, Server

pytestmark = pytest.mark.usefixtures("recorded")

ARCHIVE, FILES = "https://ws.cadc-ccda.hia-iha.nrc-cnrc.gc.ca", "https://ws-uv.canfar.net"
OTHERS = ("https://mast.stsci.edu", "https://ws-uv.canfar.net.invalid", "https://evilcanfar.net")
"""Another archive, and names that look like one of the archive's own."""


@pytest.fixture
def person(server: Server, recorded: Recording, tmp_path: Path) -> Person:
    """Somebody who asks the archive by its real name, which the proxy leads to the embedded one."""
    port = int(server.secure_registry_url.split(":")[2].partition("/")[0])
    recorded.know(ARCHIVE, server.certificates, own=True, port=port)
    trusted = {"SSL_CERT_FILE": str(server.certificates / "ca.pem")}
    return Person(server, tmp_path / "state", trusted, f"{ARCHIVE}/reg/resource-caps")


@contextmanager
def mounted(person: Person, place: Path, *options: str) -> Iterator[Mount]:
    (place / "sky").mkdir()
    sky = Mount(place / "sky", place / "cache", person.url)
    sky.start("-o", ",".join(("log_level=warning", *options)), environ=person.environ)
    try:
        yield sky
    finally:
        sky.stop()


def tls_of(server: Server) -> ssl.SSLContext:
    return Certificates(server.certificates).server_context()


def foreign(kind: str, server: Server) -> ssl.SSLContext:
    """TLS of a server that is not to be trusted."""
    known = (server.certificates / name for name in ("ca.pem", "ca-key.pem"))
    ours = trustme.CA.from_pem(*(path.read_bytes() for path in known))
    authority = ours if kind == "another host's" else trustme.CA()
    name = "elsewhere.invalid" if kind == "another host's" else "127.0.0.1"
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(name).configure_cert(context)
    return context


CURES = {
    "another host's": "this is another host than was asked",
    "an unknown authority's": "name its file in SSL_CERT_FILE",
}


def lines_with(words: str, sky: Mount) -> list[str]:
    return [line for line in sky.warnings() if words in line]


@pytest.mark.parametrize("kind", CURES)
def test_a_server_that_is_not_trusted_is_told_nothing(
    kind: str, person: Person, server: Server, tmp_path: Path
) -> None:
    person.login()
    with serving(giving(b"x" * 4096), foreign(kind, server)) as host:
        with mounted(person, tmp_path, f"files_url={host.url}/files") as sky:
            assert status_of(sky).startswith("demo (")
            with pytest.raises(OSError, match="Input/output") as caught:
                (sky.path / PROPRIETARY / FILE).read_bytes()
            assert caught.value.errno == errno.EIO
            # The kernel asks for the first page once more before it gives up.
            told = lines_with("EIO", sky)
            assert 1 <= len(told) <= 2
            assert all("its certificate is not trusted" in line for line in told)
            assert all(CURES[kind] in line for line in told)
            assert CURES[kind] in (sky.path / PROPRIETARY / ".error").read_text()
        assert host.seen == []
        (tmp_path / "second").mkdir()
        with mounted(person, tmp_path / "second", f"tap_url={host.url}/argus") as sky:
            with pytest.raises(OSError, match="No route to host"):
                os.listdir(sky.path / "collections/CFHT/by-target/M31")
            told = lines_with("EHOSTUNREACH", sky)
            assert told
            assert all(CURES[kind] in line for line in told)
        done = Person(server, person.state, person.more, f"{host.url}/reg/resource-caps").cadcfs(
            "login", "-u", "demo", said="demo\n"
        )
        assert done.returncode == 1
        assert CURES[kind] in done.stderr
        assert host.seen == []


def by_password(person: Person, server: Server) -> None:
    person.login()


def by_certificate(person: Person, server: Server) -> None:
    done = person.cadcfs("login", "--cert", server.certificates / "demo.pem")
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("log_in", [by_password, by_certificate])
def test_ways_out_of_tls_and_to_other_hosts(
    log_in: Callable[[Person, Server], None],
    person: Person,
    server: Server,
    recorded: Recording,
    tmp_path: Path,
) -> None:
    content = server.archive.path_of(f"cadc:CFHT/{FILE}").read_bytes()
    log_in(person, server)
    astray = FILES.replace("https", "http")
    following = {FILES: astray}

    def onward(asked: BaseHTTPRequestHandler) -> str:
        return following[f"https://{asked.headers['Host']}"] + asked.path

    with (
        serving(giving(content)) as plain,
        serving(leading(onward), tls_of(server)) as leads,
        mounted(person, tmp_path, f"files_url={FILES}/files") as sky,
    ):
        recorded.know(FILES, server.certificates, own=True, port=leads.server_port)
        recorded.know(astray, own=True, port=plain.server_port)
        for place in OTHERS:
            recorded.know(place, server.certificates, own=False, port=leads.server_port)
        assert status_of(sky).startswith("demo (")
        private = sky.path / PROPRIETARY / FILE
        with pytest.raises(OSError, match="Input/output"):
            private.read_bytes()
        told = lines_with("EIO", sky)
        assert told
        reason = f"a redirect that is not followed: to {astray}"
        assert all(reason in line for line in told)
        assert plain.seen == []
        following.update(pairwise((FILES, *OTHERS, plain.url)))
        assert private.read_bytes() == content
    carrying = {"authorization", "cookie"}
    assert plain.seen
    assert not any(carrying & head.keys() for head in plain.seen)
    assert all(f"https://{head['host']}" == FILES or not carrying & head.keys()
               for head in leads.seen)  # fmt: skip
    others = {origin_of(place) for place in OTHERS}
    there = [each for each in recorded.seen() if origin_of(each.url) in others]
    assert {origin_of(each.url) for each in there} == others
    assert not any(each.is_of_somebody for each in there)


def test_plain_http_off_this_machine_sees_nothing(
    person: Person, server: Server, recorded: Recording, tmp_path: Path
) -> None:
    content = server.archive.path_of(f"cadc:CFHT/{FILE}").read_bytes()
    archive, files = (url.replace("https:", "http:") for url in (ARCHIVE, FILES))
    recorded.know(archive, own=True, port=int(origin_of(server.registry_url).partition(":")[2]))
    there = Person(server, person.state, person.more, f"{archive}/reg/resource-caps")
    for words, said, reason in (
        (("-u", "demo"), "demo\n", "so it gets no password"),
        (("--token-stdin",), "a-token-of-some-length\n", "the archive does not take this token"),
    ):
        done = there.cadcfs("login", *words, said=said)
        assert done.returncode == 1
        assert reason in done.stderr
    person.login()
    with (
        serving(giving(content)) as host,
        mounted(person, tmp_path, f"files_url={files}/files") as sky,
    ):
        recorded.know(files, own=True, port=host.server_port)
        assert (sky.path / PROPRIETARY / FILE).read_bytes() == content
    origins = {origin_of(archive), origin_of(files)}
    plain = [each for each in recorded.seen() if origin_of(each.url) in origins]
    assert {origin_of(each.url) for each in plain} == origins
    assert not any(each.is_of_somebody for each in plain)
