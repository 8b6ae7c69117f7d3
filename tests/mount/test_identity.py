"""Private data for those who may, nothing for those who may not, on one running mount.

Twins of astroquery.cadc's logins: password, certificate, a session that exists, logout, again.
"""

from __future__ import annotations

import os
import shutil
import stat
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from cadcfs.demo.auth.certificates import Certificates
from tests.rig import CADCFS, Mount, Server, until

pytestmark = pytest.mark.usefixtures("recorded")

Environ = dict[str, str]
HIDDEN = "collections/CFHT/by-target/Hidden"
PROPRIETARY = "collections/CFHT/by-target/Proprietary"
FILE = "2999001o.fits"
UNDATED = "collections/CFHT/by-target/Undated/shared.fits"
STRANGER = ("setpriv", "--reuid=12345", "--regid=12345", "--clear-groups")


@dataclass
class Person:
    """Somebody with a home of their own, who logs in and out."""

    server: Server
    state: Path
    more: Environ = field(default_factory=dict)
    url: str = ""

    @property
    def environ(self) -> Environ:
        keyring = "keyring.backends.fail.Keyring"
        home = {"XDG_STATE_HOME": str(self.state), "PYTHON_KEYRING_BACKEND": keyring}
        return home | self.more

    def cadcfs(self, *words: object, said: str = "") -> subprocess.CompletedProcess[str]:
        url = self.url or self.server.registry_url
        return subprocess.run(
            [*CADCFS, *map(str, words), "--registry-url", url],
            input=said, env=os.environ | self.environ,
            capture_output=True, text=True, timeout=120, check=False,
        )  # fmt: skip

    def login(self, name: str = "demo") -> None:
        done = self.cadcfs("login", "-u", name, said=f"{name}\n")
        assert done.returncode == 0, done.stderr
        assert done.stdout.startswith(f"logged in as {name} (password, until ")

    def logout(self) -> None:
        done = self.cadcfs("logout")
        assert (done.returncode, done.stdout) == (0, "logged out\n"), done.stderr


@pytest.fixture
def person(server: Server, tmp_path: Path) -> Person:
    return Person(server, tmp_path / "state")


@pytest.fixture
def secure(server: Server, tmp_path: Path) -> Person:
    """Somebody who asks over TLS."""
    trusted = {"SSL_CERT_FILE": str(server.certificates / "ca.pem")}
    return Person(server, tmp_path / "state", trusted, server.secure_registry_url)


@pytest.fixture
def sky(person: Person, server: Server, tmp_path: Path, expected_log: list[str]) -> Iterator[Mount]:
    """A mount of that person's."""
    path = tmp_path / "sky"
    path.mkdir()
    mounted = Mount(path, tmp_path / "cache", server.registry_url)
    mounted.start(environ=person.environ)
    yield mounted
    if mounted.is_mounted():
        mounted.stop()


def status_of(sky: Mount) -> str:
    lines = (sky.path / ".cadcfs" / "status").read_text().splitlines()
    return next(line.split(maxsplit=1)[1] for line in lines if line.startswith("identity:"))


def looked(sky: Mount) -> str:
    """The identity after another look at what decides."""
    return (sky.path / ".cadcfs" / "login").read_text().strip()


def is_there(path: Path) -> bool:
    try:
        path.stat()
    except FileNotFoundError:
        return False
    return True


def refused(path: Path) -> bool:
    try:
        path.read_bytes()
    except PermissionError:
        return True
    return False


def logins(server: Server) -> int:
    return sum(str(r["path"]).startswith("/ac/login") for r in server.requests())


def test_names_and_bytes_come_and_go_with_the_login(sky: Mount, person: Person) -> None:
    target, private = sky.path / HIDDEN, sky.path / PROPRIETARY / FILE
    bytes_there = person.server.archive.path_of(f"cadc:CFHT/{FILE}").read_bytes()
    for _ in range(2):
        assert status_of(sky) == "anonymous"
        assert not is_there(target)
        assert "Hidden" not in os.listdir(target.parent)
        assert private.stat().st_mode & 0o777 == 0
        assert refused(private)
        person.login()
        assert status_of(sky).startswith("demo (password, until ")
        assert os.listdir(target.parent).count("Hidden") == 1
        assert is_there(target / "2999004o.fits")
        assert private.stat().st_mode & 0o777 == 0o400
        assert private.read_bytes() == bytes_there
        person.logout()


def test_who_is_not_in_the_group_sees_no_more_than_anybody(sky: Mount, person: Person) -> None:
    preview = sky.path / PROPRIETARY / "previews" / "2999001o_preview_256.jpg"
    # Metadata are public, and so is what goes by their release.
    assert preview.read_bytes()[:2] == b"\xff\xd8"
    assert refused(sky.path / UNDATED)
    person.login("guest")
    assert status_of(sky).startswith("guest ")
    assert "Hidden" not in os.listdir((sky.path / HIDDEN).parent)
    assert refused(sky.path / PROPRIETARY / FILE)
    assert refused(sky.path / UNDATED)
    person.login("demo")
    assert "Hidden" in os.listdir((sky.path / HIDDEN).parent)
    # Without a release date and without a group it is nobody's.
    assert refused(sky.path / UNDATED)


def test_what_is_open_gives_nothing_after_the_logout(sky: Mount, person: Person) -> None:
    person.login()
    private = sky.path / PROPRIETARY / FILE
    with private.open("rb", buffering=0) as opened, private.open("rb", buffering=0) as mapped:
        assert opened.read(2880)[:6] == b"SIMPLE"
        person.logout()
        for file in (opened, mapped):
            file.seek(0)
            with pytest.raises(OSError, match=r"Permission denied|Stale file handle"):
                file.read(2880)
    assert not is_there(sky.path / HIDDEN / "2999004o.fits")


def test_what_is_kept_is_apart_and_for_its_owner_alone(sky: Mount, person: Person) -> None:
    public = next((sky.path / "collections/CFHT/by-target/M31").glob("*p.fits.fz"))
    person.login()
    bytes_there = (sky.path / PROPRIETARY / FILE).read_bytes()
    with public.open("rb") as file:
        file.read(1 << 20)
    sky.stop()
    accounts = sky.cache / "accounts"
    private = [path for path in accounts.rglob("*") if path.is_file()]
    assert any(bytes_there[4000:6000] in path.read_bytes() for path in private)
    for directory in (sky.cache, accounts, *accounts.iterdir()):
        assert stat.S_IMODE(directory.stat().st_mode) == 0o700
    others = [p for p in sky.cache.rglob("*") if p.is_file() and accounts not in p.parents]
    assert not any(bytes_there[4000:6000] in path.read_bytes() for path in others)
    assert not any(b"2999004o" in path.read_bytes() for path in others)


def test_a_file_is_opened_by_its_release(sky: Mount, server: Server) -> None:
    private = sky.path / "collections/CFHT/by-target/M33/2376829p.fits.fz"
    # What every first question needs is here before the time runs.
    assert os.listdir(sky.path / "collections/CFHT/by-target/M31")
    released = time.monotonic() + 5
    number = server.fault("embargo", uri="cadc:CFHT/2376829p.fits.fz", seconds=5)
    try:
        assert refused(private) or time.monotonic() >= released
        until(lambda: not refused(private))
        assert time.monotonic() >= released
        assert private.stat().st_mode & 0o777 == 0o444
    finally:
        server.mend(number)


def test_a_certificate_logs_in(
    secure: Person, server: Server, tmp_path: Path, expected_log: list[str]
) -> None:
    mine = tmp_path / "cadcproxy.pem"
    shutil.copy(server.certificates / "demo.pem", mine)
    mine.chmod(0o600)
    path = tmp_path / "sky"
    path.mkdir()
    sky = Mount(path, tmp_path / "cache", server.secure_registry_url)
    # An existing session: the certificate is found by itself.
    sky.start("-o", f"certificate={mine}", environ=secure.environ)
    try:
        private = path / PROPRIETARY / FILE
        assert status_of(sky).startswith("demo (certificate, until ")
        assert private.read_bytes()[:6] == b"SIMPLE"
        mine.chmod(0o644)
        os.utime(mine)
        assert looked(sky).startswith("anonymous (")
        assert "chmod 600" in status_of(sky)
        assert refused(private)
        mine.chmod(0o600)
        mine.write_bytes(Certificates(server.certificates).issue("demo", days=-1))
        assert "has ended at" in looked(sky)
        assert (path / "collections/CFHT/by-target/M31").is_dir()
        mine.write_bytes(
            (server.certificates / "demo.pem")
            .read_bytes()
            .partition(b"-----BEGIN PRIVATE")[0]
            .partition(b"-----BEGIN EC PRIVATE")[0]
            .partition(b"-----BEGIN RSA")[0]
        )
        assert "there is no key in it" in looked(sky)
        secure.logout()
        assert looked(sky) == "anonymous"
        done = secure.cadcfs("login", "--cert", server.certificates / "demo.pem")
        assert done.returncode == 0, done.stderr
        assert looked(sky).startswith("demo (certificate, until ")
        assert private.read_bytes()[:6] == b"SIMPLE"
        secure.logout()
        assert refused(private)
    finally:
        sky.stop()


@pytest.mark.parametrize(
    ("words", "said", "reason"),
    [
        (("-u", "demo"), "wrong\n", "refuses the login of demo: Invalid username or password"),
        (("--netrc", "{netrc}"), "", "has no user and password for the machine 127.0.0.1"),
        (("--netrc", "{open}"), "", "others can read it; mend that with: chmod 600"),
        (("--netrc", "{gone}"), "", "there is no "),
        (("--cert", "{netrc}"), "", "there is no certificate in"),
        (("--token-stdin",), "nonsense\n", "the archive does not take this token"),
    ],
)
def test_a_login_that_cannot_be_is_told_in_one_sentence(
    person: Person, tmp_path: Path, words: tuple[str, ...], said: str, reason: str
) -> None:
    files = {name: tmp_path / name for name in ("netrc", "open", "gone")}
    for name, mode in (("netrc", 0o600), ("open", 0o644)):
        files[name].write_text("machine elsewhere.invalid login demo password demo\n")
        files[name].chmod(mode)
    done = person.cadcfs("login", *(word.format(**files) for word in words), said=said)
    assert done.returncode == 1
    assert reason in done.stderr
    assert "Traceback" not in done.stderr
    assert not list(person.state.rglob("*.json"))


def test_an_account_service_that_is_down_is_told(person: Person, server: Server) -> None:
    server.fault("busy", path="^/ac/login", retry_after=0)
    try:
        server.forget()
        done = person.cadcfs("login", "-u", "demo", said="demo\n")
        assert done.returncode == 1
        assert "503" in done.stderr
        assert logins(server) <= 3
    finally:
        server.mend()


def ends_in_time(sky: Mount, person: Person, server: Server, work: Callable[[], object]) -> None:
    """*work* is refused soon after the login has ended; the rest of the mount goes on."""
    number = server.fault("expired")
    server.forget()
    began = time.monotonic()
    try:
        with pytest.raises(PermissionError):
            work()
    finally:
        server.mend(number)
    assert time.monotonic() - began < 30
    assert logins(server) <= 3
    assert "does not take the login of demo any more; log in again" in status_of(sky)
    assert (sky.path / "collections/CFHT/by-target/M31").is_dir()


def test_a_login_that_ends_is_told_in_time_and_not_hammered(
    sky: Mount, person: Person, server: Server
) -> None:
    private = sky.path / PROPRIETARY / FILE
    person.login()
    assert private.stat().st_mode & 0o777 == 0o400
    ends_in_time(sky, person, server, private.read_bytes)
    assert refused(private)
    person.login()
    assert not refused(private)
    listing = sky.path / "collections/CFHT/by-proposal"
    ends_in_time(sky, person, server, lambda: os.listdir(listing))
    assert os.listdir(listing)


def is_waited_for(sky: Mount, path: str) -> bool:
    """Whether somebody's open of the file waits for its answer."""
    told = (sky.path / ".cadcfs/status").read_text().splitlines()
    return any(path in line and " open " in line for line in told)


def test_a_login_that_ends_ends_the_wait_for_its_job(
    sky: Mount, person: Person, server: Server
) -> None:
    person.login()
    job = sky.path / "jobs/mine"
    job.mkdir()
    (job / "query.adql").write_text("SELECT count(*) FROM caom2.Plane")
    # The job is made, and cannot get on until this is mended.
    held = server.fault("busy", path="^/argus/async/[^/]+/phase$")
    try:
        (job / "phase").write_text("RUN\n")
        with subprocess.Popen(["cat", job / ".wait"], stderr=subprocess.PIPE, text=True) as waiting:
            # A login that has ended hides the job from whoever comes after.
            until(lambda: is_waited_for(sky, "/jobs/mine/.wait"))
            until((job / "id").exists)
            server.fault("expired")
            server.forget()
            server.mend(held)
            assert "Permission denied" in waiting.communicate(timeout=120)[1]
    finally:
        server.mend()
    assert logins(server) <= 3
    assert not is_there(job)
    person.login()
    assert (job / ".wait").read_text() == "COMPLETED\n"


def test_jobs_of_the_account_and_of_nobody(sky: Mount, person: Person, server: Server) -> None:
    query = "SELECT TOP 1 collection FROM caom2.Observation"
    (sky.path / "jobs/open.adql").write_text(query)
    person.login()
    (sky.path / "jobs/mine.adql").write_text(query)
    for name in ("open", "mine"):
        assert (sky.path / f"jobs/{name}/.wait").read_text() == "COMPLETED\n"
        assert (sky.path / f"jobs/{name}/result.csv").read_text().startswith("collection\n")
    made_elsewhere = (sky.path / "jobs/mine/id").read_text().strip()
    with pytest.raises(FileExistsError):
        (sky.path / "jobs/open").mkdir()
    cache = ("--cache-dir", sky.cache)
    listed = person.cadcfs("jobs", "list", *cache)
    assert listed.returncode == 0, listed.stderr
    assert {"open", "mine"} <= set(listed.stdout.split())
    person.logout()
    assert "mine" not in os.listdir(sky.path / "jobs")
    assert (sky.path / "jobs/open/result.csv").read_text().startswith("collection\n")
    assert "mine" not in person.cadcfs("jobs", "list", *cache).stdout.split()
    # Seen from another machine the account's job has the archive's name.
    person.login()
    other = ("--cache-dir", sky.cache.parent / "other")
    assert made_elsewhere in person.cadcfs("jobs", "list", *other).stdout.split()
    done = person.cadcfs("jobs", "result", made_elsewhere, "--format", "csv", *other)
    assert done.stdout.startswith("collection\n"), done.stderr


def test_a_login_is_renewed_from_netrc(
    sky: Mount, person: Person, server: Server, tmp_path: Path
) -> None:
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login demo password demo\n")
    netrc.chmod(0o600)
    done = person.cadcfs("login", "--netrc", netrc)
    assert done.returncode == 0, done.stderr
    private = sky.path / PROPRIETARY / FILE
    assert private.stat().st_mode & 0o777 == 0o400
    number = server.fault("expired")
    server.forget()
    try:
        assert private.read_bytes()[:6] == b"SIMPLE"
        assert logins(server) == 1
        assert status_of(sky).startswith("demo (netrc, until ")
    finally:
        server.mend(number)


def as_stranger(command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*STRANGER, "sh", "-c", command], capture_output=True, text=True, timeout=120, check=False
    )


@pytest.mark.parametrize("shared", [False, True])
def test_another_user_of_the_machine(person: Person, server: Server, shared: bool) -> None:
    import tempfile

    person.login()
    base = Path(tempfile.mkdtemp(prefix="cadcfs-shared-"))
    base.chmod(0o755)
    path = base / "sky"
    path.mkdir()
    sky = Mount(path, base / "cache", server.registry_url)
    options = ("-o", "allow_other", *(("--share-identity",) if shared else ()))
    sky.start(*options, environ=person.environ)
    try:
        assert ("demo (" in status_of(sky)) is shared
        (path / ".cadcfs/log").read_text()
        os.listdir((path / HIDDEN).parent)
        seen = as_stranger(f"ls {(path / HIDDEN).parent}")
        assert seen.returncode == 0, seen.stderr
        assert "M31" in seen.stdout.split()
        # An administrator who shares an identity shares its names; never its bytes.
        assert ("Hidden" in seen.stdout.split()) is shared
        for known in (path / PROPRIETARY / FILE, *path.glob(f"{HIDDEN}/*.fits")):
            assert "Permission denied" in as_stranger(f"cat {known}").stderr
        for name in ("status", "log", "config", "metrics", "login", "inode/2"):
            assert "Permission denied" in as_stranger(f"cat {path}/.cadcfs/{name}").stderr
        assert "Permission denied" in as_stranger(f"ls {path}/.cadcfs").stderr
        for control in (".query", ".error", ".refresh"):
            assert "Permission denied" in as_stranger(f"cat {path}/collections/{control}").stderr
            assert (path / "collections" / control).stat().st_mode & 0o777 == 0o400
        assert "Permission denied" in as_stranger(f"ls {base}/cache").stderr
        assert "Permission denied" in as_stranger(f"mkdir {path}/jobs/theirs").stderr
        assert as_stranger(f"head -c 80 {path}/README.txt").stdout
        if not shared:
            assert not is_there(path / HIDDEN)
    finally:
        sky.stop()
        shutil.rmtree(base)
