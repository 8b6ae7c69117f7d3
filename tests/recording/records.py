"""What the recording proxy has seen, and whether a credential went where it must not."""

from __future__ import annotations

import bisect
import contextlib
import json
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

WHERE = "CADCFS_TESTS_RECORDED"
"""Names the directory of the proxy that runs, for whoever starts a server."""
PLACES, RECORDS = "places.json", "requests.jsonl"
BROKEN = "BROKEN"
"""The method of what is no request: the proxy itself failed."""
HEADERS = frozenset({"authorization", "cookie", "proxy-authorization", "x-vo-bearer"})
GRANT = re.compile(r"/files/([\w+=-]+~[\w+=-]+)/")
"""What lets whoever has the address read the file."""
SHORT = 12
"""A secret of fewer letters is a word: the demo's passwords are its names."""
PASSWORDS = rb"passw(?:or)?d['\"]?\s*[=: ]\s*['\"]?(?:demo|guest)\b|ZGVtbzpkZW1v|Z3Vlc3Q6Z3Vlc3Q"
"""Those beside the word for it, or as HTTP's Basic."""
WORDS = (b"assw", b"ZGVtbzpkZW1v", b"Z3Vlc3Q6Z3Vlc3Q")
"""What all of these hold: to look for a word is fast, in gigabytes."""
PIECE, LONGEST = 1 << 22, 1 << 14
"""Bytes that are looked at at once, and bytes of the longest secret."""
KEYS = re.compile(r"-----BEGIN [A-Z ]*PRIVATE KEY-----\n([\w+/=]+)\n([\w+/=]*)")


@dataclass(frozen=True)
class Place:
    """A server on this machine.

    *certificates* is the directory of its authority, "" without TLS; *is_own* where the archive's
    services are, so that credentials may go there.
    """

    port: int
    certificates: str = ""
    is_own: bool = False


@dataclass(frozen=True)
class Seen:
    """One request; *user* is whose certificate the client has shown, *url* has its scheme."""

    time: float
    method: str
    url: str
    headers: list[tuple[str, str]]
    user: str = ""
    password: str = ""

    @property
    def names(self) -> set[str]:
        return {name for name, _ in self.headers}

    @property
    def credentials(self) -> list[str]:
        """All secrets that it carries."""
        found = [value for name, value in self.headers if name in HEADERS]
        found += GRANT.findall(self.url)
        return [*found, *([self.password] if self.password else [])]

    @property
    def is_of_somebody(self) -> bool:
        return bool(self.credentials or self.user)


@dataclass
class Recording:
    """A proxy that runs, and what it has seen."""

    directory: Path
    port: int
    tests: list[tuple[float, str]] = field(default_factory=list)
    """When each test began."""
    direct: int = 0
    """Tests that were not to be recorded."""

    @property
    def environ(self) -> dict[str, str]:
        """What sends a program's requests through it."""
        url = f"http://127.0.0.1:{self.port}"
        names = ("HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy")
        return {**dict.fromkeys(names, url), "NO_PROXY": "", "no_proxy": ""}

    @property
    def places(self) -> dict[str, Place]:
        told = json.loads((self.directory / PLACES).read_text())
        return {origin: Place(**place) for origin, place in told.items()}

    def know(self, url: str, certificates: Path | None = None, *, own: bool, port: int = 0) -> None:
        """*url* is a server of the tests; by a name that is not this machine's, at *port*."""
        origin = origin_of(url)
        where = port or int(origin.rpartition(":")[2])
        known = self.places | {origin: Place(where, str(certificates or ""), own)}
        part = self.directory / "part"
        part.write_text(json.dumps({origin: asdict(place) for origin, place in known.items()}))
        part.replace(self.directory / PLACES)

    def seen(self) -> list[Seen]:
        lines = (self.directory / RECORDS).read_text().splitlines()
        return [Seen(**json.loads(line)) for line in lines]

    def test_of(self, seen: Seen) -> str:
        at = bisect.bisect([time for time, _ in self.tests], seen.time)
        return self.tests[at - 1][1] if at else "before the first test"

    def leaks(self) -> list[str]:
        """Requests that carried something to where it must not go, each with its test."""
        places = self.places
        found = {
            f"{why}: {seen.method} {without_secrets(seen)} in {self.test_of(seen)}"
            for seen in self.seen()
            if (why := wrong(seen, places))
        }
        return sorted(found)

    def numbers(self) -> dict[str, object]:
        """How much was seen, of whom, in numbers for people."""
        seen, own = self.seen(), {origin for origin, at in self.places.items() if at.is_own}
        origins = sorted({origin_of(each.url) for each in seen})
        return {
            "requests": len(seen),
            "origins": origins,
            "hosts": sorted({origin.rpartition(":")[0] for origin in origins}),
            "carrying": sum(each.is_of_somebody for each in seen),
            "elsewhere": sum(origin_of(each.url) not in own for each in seen),
            "direct": self.direct,
            "unseen": sum(each.method == "CONNECT" for each in seen),
            "secrets": len(self.secrets()),
        }

    def secrets(self) -> set[bytes]:
        """All that was used: tokens, cookies, passwords, addresses that let in, keys."""
        values = {value for seen in self.seen() for value in seen.credentials}
        found = {value.removeprefix("Bearer ").removeprefix("Basic ") for value in values}
        found = {re.sub(r'^CADC_SSO="?|"$', "", value) for value in found}
        for directory in {place.certificates for place in self.places.values()} - {""}:
            for pem in Path(directory).glob("*.pem"):
                found |= {"\n".join(lines) for lines in KEYS.findall(pem.read_text())}
        return {value.strip().encode() for value in found if len(value) >= SHORT}


def wrong(seen: Seen, places: dict[str, Place]) -> str:
    """What is wrong with where *seen* went; "" for nothing."""
    if seen.method == BROKEN:
        return "the proxy failed"
    if not seen.is_of_somebody:
        return ""
    parts = urlsplit(seen.url)
    place = places.get(origin_of(seen.url))
    if place is None or not place.is_own:
        return "a credential for another host"
    if parts.scheme != "https" and not is_here(parts.hostname or ""):
        return "a credential without TLS"
    return ""


def traces(places: list[Path], secrets: set[bytes]) -> list[str]:
    """Files under *places* that hold one of *secrets*, or a password beside the word for it."""
    # As log lines and JSON have it, a line's end is written out.
    forms = {form for each in secrets for form in (each, each.replace(b"\n", b"\\n"))}
    files = {path for place in places for path in place.rglob("*") if path.is_file()}
    return [str(path) for path in sorted(files) if holds(path, forms)]


def holds(path: Path, forms: set[bytes]) -> bool:
    return any(
        any(form in piece for form in forms)
        or (any(word in piece for word in WORDS) and re.search(PASSWORDS, piece))
        for piece in pieces(path)
    )


def pieces(path: Path) -> Iterator[bytes]:
    """What is on disk of a file, each piece with the beginning of the next; caches have holes."""
    with contextlib.suppress(FileNotFoundError), path.open("rb", buffering=0) as file:
        at, size = 0, os.fstat(file.fileno()).st_size
        while at < size:
            try:
                at = os.lseek(file.fileno(), at, os.SEEK_DATA)
            except OSError:
                return  # A hole until the end.
            end = os.lseek(file.fileno(), at, os.SEEK_HOLE)
            for start in range(at, end, PIECE):
                yield os.pread(file.fileno(), PIECE + LONGEST, start)
            at = end


def without_secrets(seen: Seen) -> str:
    return GRANT.sub("/files/[secret]/", seen.url.partition("?")[0])


def origin_of(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.hostname}:{parts.port or (443 if parts.scheme == 'https' else 80)}"


def is_here(host: str) -> bool:
    return host in ("localhost", "::1") or host.endswith(".localhost") or host.startswith("127.")


def declare(*urls: str, certificates: Path | None = None) -> None:
    """These are the archive's own addresses, where somebody records."""
    if where := os.environ.get(WHERE):
        for url in urls:
            Recording(Path(where), 0).know(url, certificates, own=True)


@contextmanager
def recording() -> Iterator[Recording]:
    """Run the proxy."""
    with tempfile.TemporaryDirectory(prefix="recorded-") as name:
        (Path(name) / PLACES).write_text("{}")
        plain = {k: v for k, v in os.environ.items() if not k.lower().endswith("_proxy")}
        with subprocess.Popen(
            [sys.executable, "-m", "tests.recording.proxy", name],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=plain,
            cwd=Path(__file__).parents[2],
        ) as process:  # fmt: skip
            assert process.stdout is not None
            try:
                yield Recording(Path(name), int(process.stdout.readline()))
            finally:
                process.communicate(timeout=60)
