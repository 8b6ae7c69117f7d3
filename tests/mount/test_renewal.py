"""A session that exists, and its end: renewed where that can be by itself, and told of before."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.mount.test_identity import (
    FILE,
    PROPRIETARY,
    Person,
    logins,
    looked,
    person,
    refused,
    sky,
    status_of,
)
from tests.rig import Mount, Server, until

__all__ = ["person", "sky"]

pytestmark = pytest.mark.usefixtures("recorded")

QUERY = ("query", "SELECT DISTINCT target_name FROM caom2.Observation WHERE target_name = 'Hidden'")


@pytest.fixture
def netrc(tmp_path: Path) -> Path:
    file = tmp_path / "netrc"
    file.write_text("machine 127.0.0.1 login demo password demo\n")
    file.chmod(0o600)
    return file


@pytest.fixture
def desktop(server: Server, tmp_path: Path) -> Person:
    """Somebody with a keyring."""
    more = {
        "PYTHON_KEYRING_BACKEND": "tests.mount.file_keyring.FileKeyring",
        "TESTS_KEYRING": str(tmp_path / "keyring"),
        "PYTHONPATH": str(Path(__file__).parents[2]),
    }
    return Person(server, tmp_path / "state", more)


@pytest.fixture
def desk_sky(desktop: Person, server: Server, tmp_path: Path) -> Iterator[Mount]:
    path = tmp_path / "sky"
    path.mkdir()
    mounted = Mount(path, tmp_path / "cache", server.registry_url)
    mounted.start(environ=desktop.environ)
    yield mounted
    mounted.stop()


@pytest.fixture
def ended(server: Server) -> Iterator[list[int]]:
    """Calling `append(server.fault("expired"))` ends all logins before; mended afterwards."""
    numbers: list[int] = []
    yield numbers
    for number in numbers:
        server.mend(number)


def new_token(server: Server) -> str:
    url = server.registry_url.replace("/reg/resource-caps", "/ac/login")
    form = {"username": "demo", "password": "demo"}
    with httpx.Client(timeout=120) as asking:
        return asking.post(url, data=form).text


def test_a_session_that_exists_is_taken_over(
    person: Person, server: Server, tmp_path: Path
) -> None:
    token = new_token(server)
    # As a browser's cookie has it, and as a header does.
    for said in (f'"{token}"\n', f"Bearer {token}\n"):
        done = person.cadcfs("login", "--token-stdin", said=said)
        assert done.returncode == 0, done.stderr
        assert done.stdout.startswith("logged in as demo (token)")
        assert token not in done.stdout + done.stderr
        person.cadcfs("logout")
    person.cadcfs("login", "--token-stdin", said=f"{token}\n")
    (tmp_path / "sky").mkdir()
    later = Mount(tmp_path / "sky", tmp_path / "cache", server.registry_url)
    later.start(environ=person.environ)
    try:
        assert status_of(later) == "demo (token)"
        assert (later.path / PROPRIETARY / FILE).read_bytes()[:6] == b"SIMPLE"
        person.logout()
        assert refused(later.path / PROPRIETARY / FILE)
    finally:
        later.stop()


def test_a_command_renews_from_netrc(
    person: Person, server: Server, netrc: Path, tmp_path: Path, ended: list[int]
) -> None:
    cache = ("--cache-dir", tmp_path / "cache")
    assert person.cadcfs("login", "--netrc", netrc).returncode == 0
    ended.append(server.fault("expired"))
    server.forget()
    done = person.cadcfs(*QUERY, *cache)
    assert (done.returncode, done.stdout.split()) == (0, ["target_name", "Hidden"]), done.stderr
    assert logins(server) == 1
    assert person.cadcfs("whoami").stdout.startswith("demo (netrc, until ")
    netrc.write_text("machine elsewhere.invalid login demo password demo\n")
    ended.append(server.fault("expired"))
    server.forget()
    done = person.cadcfs(*QUERY, *cache)
    assert done.returncode == 1
    assert "does not take the login of demo any more; log in again" in done.stderr
    assert logins(server) == 0


def test_a_command_tells_that_its_login_has_ended(
    person: Person, server: Server, tmp_path: Path, ended: list[int]
) -> None:
    person.login()
    ended.append(server.fault("expired"))
    server.forget()
    done = person.cadcfs(*QUERY, "--cache-dir", tmp_path / "cache")
    assert (done.returncode, done.stdout) == (1, "")
    assert "does not take the login of demo any more; log in again" in done.stderr
    assert "Traceback" not in done.stderr
    assert logins(server) == 0


def test_a_login_that_has_ended_stays_so(
    sky: Mount, person: Person, server: Server, ended: list[int]
) -> None:
    private = sky.path / PROPRIETARY / FILE
    person.login()
    assert not refused(private)
    ended.append(server.fault("expired"))
    with pytest.raises(PermissionError):
        os.listdir(sky.path / "collections/CFHT/by-proposal")
    for _ in range(2):
        assert "log in again" in looked(sky)
        assert person.cadcfs("whoami").returncode == 1
        assert "log in again" in status_of(sky)
    assert os.listdir(sky.path / "collections/CFHT/by-target/M31")
    person.login()
    assert not refused(private)


def test_the_keyrings_other_token_is_taken(
    desk_sky: Mount, desktop: Person, server: Server, tmp_path: Path, ended: list[int]
) -> None:
    desktop.login()
    private = desk_sky.path / PROPRIETARY / FILE
    assert private.stat().st_mode & 0o777 == 0o400
    keyring = tmp_path / "keyring"
    ((name, token),) = json.loads(keyring.read_text()).items()
    assert not [path for path in desktop.state.rglob("*.json") if token in path.read_text()]
    ended.append(server.fault("expired"))
    keyring.write_text(json.dumps({name: new_token(server)}))
    server.forget()
    assert private.read_bytes()[:6] == b"SIMPLE"
    assert logins(server) == 0
    assert status_of(desk_sky).startswith("demo (password, until ")


def test_a_keyring_that_is_unlocked_later(desk_sky: Mount, desktop: Person, tmp_path: Path) -> None:
    desktop.login()
    locked = tmp_path / "keyring.locked"
    locked.touch()
    (login,) = desktop.state.rglob("*.json")
    os.utime(login)
    assert "the keyring cannot be asked" in looked(desk_sky)
    assert refused(desk_sky.path / PROPRIETARY / FILE)
    locked.unlink()
    assert desktop.cadcfs("whoami").stdout.startswith("demo (password, until ")
    assert status_of(desk_sky).startswith("demo (password, until ")
    assert not refused(desk_sky.path / PROPRIETARY / FILE)


def test_an_end_that_is_near_is_told_once(sky: Mount, person: Person) -> None:
    person.login()
    (login,) = person.state.rglob("*.json")
    kept = json.loads(login.read_text())
    login.write_text(json.dumps(kept | {"until": time.time() + 1800}))
    until(lambda: "the login ends soon: demo (password, until " in sky.log())
    looked(sky)
    assert sky.log().count("log in again with: cadcfs login") == 1
    assert not refused(sky.path / PROPRIETARY / FILE)


def test_a_netrc_login_is_renewed_before_its_end(
    sky: Mount, person: Person, server: Server, netrc: Path
) -> None:
    assert person.cadcfs("login", "--netrc", netrc).returncode == 0
    (login,) = person.state.rglob("*.json")
    server.forget()
    kept = json.loads(login.read_text())
    near = time.time() + 1800
    login.write_text(json.dumps(kept | {"until": near}))
    until(lambda: json.loads(login.read_text())["until"] > near)
    assert logins(server) == 1
    assert "ends soon" not in sky.log()
