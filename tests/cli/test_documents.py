"""README, tutorial and how-tos do what they say: their shell blocks are run, by one bash a page."""

from __future__ import annotations

import doctest
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.recording.records import declare
from tests.rig import Server, copied

ROOT = Path(__file__).parents[2]
PAGES = ["README.md", "docs/tutorial.md", *(
    f"docs/howto/{name}.md" for name in ("astropy", "iraf", "rsync", "source-extractor", "topcat")
)]  # fmt: skip
BLOCK = re.compile(r"^```sh\n(.*?)^```\n(?:\n?```text\n(.*?)^```$)?", re.MULTILINE | re.DOTALL)
BETWEEN = "-- next block --"
LIKE = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE


@dataclass
class Place:
    """A checkout with an archive that was built before, a home, and the archive to mount."""

    checkout: Path
    environ: dict[str, str]

    def run(self, script: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            ["bash", "-e", "-c", script], cwd=self.checkout, env=self.environ, text=True,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=240, check=False,
        )  # fmt: skip


@pytest.fixture(scope="module")
def place(server: Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    root = tmp_path_factory.mktemp("documents")
    checkout, home, tools = root / "cadcfs", root / "home", root / "bin"
    for directory in (checkout, home, tools):
        directory.mkdir()
    for name in ("Makefile", "pyproject.toml", "requirements.lock", "README.md"):
        (checkout / name).symlink_to(ROOT / name)
    (checkout / ".venv").symlink_to(sys.prefix)
    (checkout / ".demo").mkdir()
    built = server.archive.root
    copied(built, checkout / ".demo" / built.name)
    # The interpreter that runs the tests is the one to use, however old its mark is;
    # and `make test` is what is running.
    (tools / "make").write_text(
        '#!/bin/sh\n[ "$1" = test ] || exec /usr/bin/make -o .venv/.ready "$@"\n'
    )
    (tools / "make").chmod(0o755)
    environ = os.environ | {
        "HOME": str(home), "PATH": f"{tools}:{Path(sys.executable).parent}:{os.environ['PATH']}",
        "CADCFS_REGISTRY_URL": server.registry_url, "CADCFS_WALK_ALLOWANCE": "0",
    }  # fmt: skip
    environ = {name: value for name, value in environ.items() if not name.startswith("XDG_")}
    found = Place(checkout, environ)
    yield found
    if (port := checkout / ".demo/port").exists():
        declare(f"http://127.0.0.1:{port.read_text()}")
    found.run("make demo-stop")


@pytest.mark.parametrize("page", PAGES)
def test_a_page_does_what_it_says(page: str, place: Place) -> None:
    blocks = BLOCK.findall((ROOT / page).read_text())
    assert blocks
    if "howto" in page:
        place.run("mkdir -p ~/cadc; cadcfs mount ~/cadc")
    script = f"\necho '{BETWEEN}'\n".join(commands for commands, _ in blocks)
    done = place.run(script)
    place.run("cadcfs umount --lazy ~/cadc")
    said = done.stdout.split(f"{BETWEEN}\n")
    assert done.returncode == 0, done.stdout
    for (commands, wanted), got in zip(blocks, said, strict=True):
        assert doctest.OutputChecker().check_output(wanted, got, LIKE) or not wanted, (
            f"{page}:\n{commands}\nprints\n{got}\nand not\n{wanted}"
        )


def test_readme_and_tutorial_have_no_other_shell_blocks() -> None:
    for page in PAGES[:2]:
        kind = None
        for line in (ROOT / page).read_text().splitlines():
            if line.startswith("```"):
                kind = (line[3:] or "unmarked") if kind is None else None
                assert kind in (None, "sh", "text"), (page, line)
            elif kind == "text":
                assert not line.startswith(("$ ", "cadcfs ", "make ", "mkdir ", "cp ")), line


def test_what_is_made_out_of_the_code_is_fresh() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "scripts.documents", "--check"],
        cwd=ROOT, capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
