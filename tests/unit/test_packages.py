"""What is packaged: metadata, what a tag has to be, and builds that are the same byte for byte."""

from __future__ import annotations

import subprocess
import tarfile
import zipfile
from importlib import metadata
from pathlib import Path

import pytest
from packaging.specifiers import SpecifierSet

from cadcfs import __version__
from scripts import release

ROOT = Path(__file__).parents[2]
DEBIAN_12 = "3.11.2"
"""Its Python: what is new may want a later patch, and is then not found at all."""


def test_two_builds_are_the_same_and_whole(tmp_path: Path) -> None:
    digests = [release.build(tmp_path / name) for name in ("first", "second")]
    assert digests[0] == digests[1]
    assert len(digests[0]) == 2
    (wheel,) = (tmp_path / "first").glob("*.whl")
    names = zipfile.ZipFile(wheel).namelist()
    known = subprocess.run(
        ["git", "ls-files", "cadcfs"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout.split()
    assert set(known) <= set(names)
    for name in ("data/share/man/man1/cadcfs.1", "data/share/cadcfs/systemd/cadcfs.service"):
        assert f"cadcfs-{__version__}.data/{name}" in names
    (sdist,) = (tmp_path / "first").glob("*.tar.gz")
    with tarfile.open(sdist) as archive:
        inside = {name.partition("/")[2] for name in archive.getnames()}
    assert {"Makefile", "README.md", "requirements.lock", "packaging/install.sh"} <= inside


def test_a_tag_is_its_version() -> None:
    release.check_tag([])
    release.check_tag([f"v{__version__}", "other"])
    with pytest.raises(SystemExit):
        release.check_tag(["v999.0"])


def test_every_dependency_is_locked() -> None:
    import re
    import tomllib

    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"]
    wanted = [*project["dependencies"], *extras["demo"], *extras["moc"], *extras["dev"]]
    locked = {line.split("==")[0] for line in (ROOT / "requirements.lock").read_text().split()}
    for requirement in wanted:
        name = re.match(r"[\w.-]+", requirement)
        assert name is not None
        assert re.sub(r"[-_.]+", "-", name[0]).lower() in locked, requirement


def test_what_is_locked_runs_on_debian_12() -> None:
    for line in (ROOT / "requirements.lock").read_text().split():
        name, _, version = line.partition("==")
        found = metadata.distribution(name)
        wanted = found.metadata.get("Requires-Python")
        assert not wanted or DEBIAN_12 in SpecifierSet(wanted), (name, version, wanted)


def test_install_scripts_are_good_shell() -> None:
    done = subprocess.run(
        ["sh", "-n", ROOT / "packaging" / "install.sh"], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
