"""Names that programs of every age take as they are: IRAF, cfitsio, source-extractor, shells."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from cadcfs.tree.names import archive_value, directory_name, underscored
from tests.rig import Mount, Run, Server

DIRTY = {
    "CFHT": ["CDFS/GOODS", "* alf UMi", "K20H05N(567@114)", "Ar,Xe", "O'Neill's star", "HD  15082",
             "η Carinae"],
    "GEMINI": ["      6297.00", "104 Her (M3 III)", "alpha Tau (BS 1457) N=-3", "HD 1761267 : VEGA",
               "Mask for C4M06B[ccd1]", "100% sky"],
    "DAO": ["Fe/Ar @ 104 Her"],
}  # fmt: skip
ROOT = Path(__file__).parents[2]
PATH = re.compile(
    r"(?<![\w/.-])(?:sky/|~/cadc/)?((?:collections|region|name|jobs|tables)/[^\s`|)]+)"
)
UNREAL = re.compile(r"[<>*\[]|\.\.\.|YYYY|jobs/")
"""Placeholders, patterns, and what a job makes."""
SHELLS = {
    "bash": ["bash", "--norc", "-c"],
    "zsh": ["zsh", "-f", "-c"],
    "fish": ["fish", "--no-config", "-c"],
    "tcsh": ["tcsh", "-f", "-c"],
}


@pytest.fixture(scope="module")
def plain(server: Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    root = tmp_path_factory.mktemp("plain")
    (root / "sky").mkdir()
    mounted = Mount(root / "sky", root / "cache", server.registry_url)
    mounted.start("-o", "names=plain")
    yield mounted.path
    mounted.stop()


@pytest.fixture(scope="module")
def images(plain: Path) -> list[Path]:
    """A FITS image below each dirty name."""
    found = []
    for collection, targets in DIRTY.items():
        for target in targets:
            place = plain / "collections" / collection / "by-target"
            os.listdir(place)
            place /= directory_name(target, "plain")
            files = [path for path in place.iterdir() if path.suffix in (".fits", ".fz")]
            found.append(min(files))
    assert len(found) == sum(map(len, DIRTY.values()))
    return found


def test_names_hold_nothing_that_hurts(images: list[Path], plain: Path) -> None:
    for path in images:
        assert re.fullmatch(r"[A-Za-z0-9._+:=/-]+", str(path.relative_to(plain))), path


def test_cfitsio(images: list[Path], run: Run) -> None:
    done = run("funpack", "-L", *images)
    assert done.returncode == 0, done.stdout
    assert done.stdout.count(" IMAGE ") >= len(images)
    done = run("fitsverify", "-q", *images)
    assert done.returncode == 0, done.stdout
    assert done.stdout.count("verification OK") == len(images)


def test_source_extractor(images: list[Path], run: Run, tmp_path: Path) -> None:
    """It cuts its arguments at `=`, so it takes the spelling with underscores."""
    share = Path("/usr/share/source-extractor")
    (tmp_path / "columns").write_text("NUMBER\nX_IMAGE\nY_IMAGE\n")
    for path in images:
        target = archive_value(path.parent.name)
        assert target
        spelling = path.parents[1] / underscored(target) / path.name
        assert os.readlink(spelling.parent) == path.parent.name
        done = run(
            "source-extractor", spelling, "-c", share / "default.sex",
            "-PARAMETERS_NAME", tmp_path / "columns",
            "-FILTER", "N",
            "-STARNNW_NAME", share / "default.nnw", "-CATALOG_NAME", tmp_path / "cat",
        )  # fmt: skip
        assert "All done" in done.stdout + done.stderr, done.stderr
        assert "*Error*" not in done.stderr, (path, done.stderr)


def test_iraf(images: list[Path], tmp_path: Path) -> None:
    tasks = "".join(f'imheader ("{path}")\n' for path in images if path.suffix == ".fits")
    done = subprocess.run(
        ["irafcl"], input=f"images\n{tasks}logout\n", capture_output=True, text=True, timeout=120,
        check=False, cwd=tmp_path,
        env={**os.environ, "HOME": str(tmp_path), "USER": "iraf", "TERM": "xterm"},
    )  # fmt: skip
    assert "ERROR" not in done.stdout.upper() + done.stderr.upper(), done.stdout
    assert done.stdout.count("[real]") + done.stdout.count("[short]") >= 1, done.stdout


@pytest.mark.parametrize("shell", SHELLS)
def test_paths_of_the_documents_need_no_quotes(mount: Mount, run: Run, shell: str) -> None:
    texts = [(ROOT / "README.md").read_text(), (mount.path / "README.txt").read_text()]
    texts += [path.read_text() for path in (ROOT / "docs").glob("*.md")]
    paths = sorted(
        {
            match.rstrip(".,;:'\"")
            for text in texts
            for match in PATH.findall(text)
            if not UNREAL.search(match)
        }
    )
    assert len(paths) > 5
    script = f"cd {shlex.quote(str(mount.path))}; ls -d {' '.join(paths)}"
    done = run(*SHELLS[shell], script)
    assert done.returncode == 0, done.stderr
    assert len(done.stdout.split("\n")) == len(paths) + 1
