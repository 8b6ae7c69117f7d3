"""Private data for those who may, nothing for those who may not, on one running mount."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.rig import CADCFS, Mount, Server

Environ = dict[str, str]
HIDDEN = "collections/CFHT/by-target/Hidden"
PROPRIETARY = "collections/CFHT/by-target/Proprietary"
FILE = "2999001o.fits"


@dataclass
class Person:
    """Somebody with a home of their own, who logs in and out."""

    server: Server
    state: Path

    @property
    def environ(self) -> Environ:
        keyring = "keyring.backends.fail.Keyring"
        return {"XDG_STATE_HOME": str(self.state), "PYTHON_KEYRING_BACKEND": keyring}

    def cadcfs(self, *words: object, said: str = "") -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [*CADCFS, *map(str, words), "--registry-url", self.server.registry_url],
            input=said, env=os.environ | self.environ,
            capture_output=True, text=True, timeout=60, check=False,
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
