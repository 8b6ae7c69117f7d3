"""The walk guard through a real mount: programs that walk ask no more than their allowance."""

from __future__ import annotations

import os
import re
import shutil
import signal
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import pytest

from tests.rig import Mount, Server, until

MANY = "collections/SIMSURVEY/by-target"
ALLOWANCE = 20


@pytest.fixture
def guarded(server: Server, tmp_path: Path) -> Iterator[Callable[..., Mount]]:
    """Mounts with a walk guard."""
    mounts = []

    def start(allowance: int = ALLOWANCE, *options: str) -> Mount:
        path = tmp_path / f"sky{len(mounts)}"
        path.mkdir()
        mounts.append(Mount(path, tmp_path / f"cache{len(mounts)}", server.registry_url))
        mounts[-1].start(*options, environ={"CADCFS_WALK_ALLOWANCE": str(allowance)})
        os.listdir(path / MANY)
        server.forget()
        return mounts[-1]

    yield start
    for mount in mounts:
        mount.stop()


def walk(*command: object) -> subprocess.Popen[str]:
    """A walk in a group of its own, as a shell starts it."""
    return subprocess.Popen(
        [*map(str, command)], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
        start_new_session=True,
    )  # fmt: skip


def end(process: subprocess.Popen[str]) -> None:
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate(timeout=120)


def asked_after(server: Server, seconds: float, least: int) -> int:
    """Queries after *seconds*, or later when there are *least* of them."""
    time.sleep(seconds)
    until(lambda: len(server.queries()) >= least)
    return len(server.queries())


@pytest.mark.parametrize(
    "program",
    ["find {} -xdev", "du -s {}", "rg --files --no-ignore {}"],
    ids=lambda p: p.split()[0],
)
def test_a_walk_asks_no_more_than_its_allowance(
    guarded: Callable[..., Mount], server: Server, program: str
) -> None:
    mount = guarded()
    walker = walk(*program.format(mount.path / MANY).split())
    try:
        start = time.monotonic()
        burst = ALLOWANCE // 2
        asked = asked_after(server, 1, burst)
        assert burst <= asked <= burst + (time.monotonic() - start) * ALLOWANCE / 60 + 1
        # A person beside it is in another group.
        beside = mount.path / "collections/CFHT/by-target/M31"
        done = subprocess.run(
            ["ls", beside], capture_output=True, text=True, timeout=120, start_new_session=True
        )
        assert "2376828p.fits.fz" in done.stdout
        assert walker.poll() is None
        assert (
            f"{program.split(maxsplit=1)[0]} waits for its turn"
            in (mount.path / ".cadcfs/log").read_text()
        )
    finally:
        end(walker)


def test_an_indexer_gets_what_is_cached_and_nothing_else(
    guarded: Callable[..., Mount], server: Server, tmp_path: Path
) -> None:
    mount = guarded()
    known = mount.path / "collections/CFHT/by-target/M31"
    os.listdir(known)
    server.forget()
    updatedb = shutil.copy(shutil.which("find") or "", tmp_path / "updatedb")
    done = subprocess.run(
        [updatedb, known, "-maxdepth", "1", "-ls"], capture_output=True, text=True, timeout=60
    )
    assert "2376828p.fits.fz" in done.stdout
    some = sorted(os.listdir(mount.path / MANY))[:20]
    done = subprocess.run(
        [updatedb, *(mount.path / MANY / name for name in some)],
        capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    assert done.stderr.count("Device or resource busy") == len(some)
    reader = shutil.copy(shutil.which("cat") or "", tmp_path / "tracker-extract")
    done = subprocess.run(
        [reader, known / "2376828p.fits.fz"], capture_output=True, text=True, timeout=60
    )
    assert "busy" in done.stderr
    assert not server.requests()
    # What it was refused is not remembered against others.
    assert os.listdir(mount.path / MANY / some[0])


def test_updatedb_gets_what_is_cached(
    guarded: Callable[..., Mount], server: Server, tmp_path: Path
) -> None:
    mount = guarded()
    for place in ("collections/CFHT/by-target", "collections/CFHT/by-target/M31"):
        os.listdir(mount.path / place)
    server.forget()
    database = tmp_path / "files.db"
    command = ["updatedb", "--require-visibility", "no"]
    command += ["--database-root", mount.path / "collections/CFHT/by-target"]
    command += ["--output", database, "--prunefs", "", "--prunepaths", ""]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    assert not server.queries()
    assert mount.log().count("updatedb indexes whatever is mounted") < 3
    done = subprocess.run(
        ["plocate", "--database", database, "2376828p.fits.fz"], capture_output=True, text=True
    )
    assert "/collections/CFHT/by-target/M31/" in done.stdout


def test_updatedb_passes_by_a_mount_that_its_settings_name(
    guarded: Callable[..., Mount], server: Server, tmp_path: Path
) -> None:
    mount = guarded()
    example = (Path(__file__).parents[2] / "docs/updatedb.conf.example").read_text()
    found = re.search(r'^PRUNEFS = "(\S+)', example, re.MULTILINE)
    assert found
    command = ["updatedb", "--require-visibility", "no", "--database-root", mount.path.parent]
    command += ["--output", tmp_path / "files.db", "--prunefs", found[1], "--prunepaths", ""]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    done = subprocess.run(
        ["plocate", "--database", tmp_path / "files.db", "README.txt"],
        capture_output=True, text=True,
    )  # fmt: skip
    assert str(mount.path) not in done.stdout
    assert not server.requests()


PROMPTS = {
    "git": ["git", "status"],
    "zsh": ["zsh", "-fic", "autoload -Uz vcs_info; vcs_info; print $vcs_info_msg_0_; : *(N)"],
    "fish": ["fish", "--no-config", "-c", "fish_git_prompt; fish_vcs_prompt; complete -C 'cat re'"],
    "bash": ["bash", "--norc", "-ic", "compgen -f re; compgen -d; git rev-parse; true"],
}


def test_a_prompt_asks_nothing(
    guarded: Callable[..., Mount], server: Server, tmp_path: Path
) -> None:
    place = guarded().path / "collections/CFHT/by-target/M31"
    places = (place, place.parent, place.parents[3] / "region", place.parents[3])
    for where in places:
        os.listdir(where)
    server.forget()
    for program, command in PROMPTS.items():
        for where in places:
            subprocess.run(
                command, cwd=where, capture_output=True, timeout=120, start_new_session=True,
                env=os.environ | {"HOME": str(tmp_path), "TERM": "dumb"},
            )  # fmt: skip
        assert not server.requests(), program


def test_a_turn_that_comes_too_late_is_busy(guarded: Callable[..., Mount], server: Server) -> None:
    mount = guarded(4, "-o", "listing_time=3")
    names = [mount.path / MANY / name for name in sorted(os.listdir(mount.path / MANY))[:6]]
    done = subprocess.run(
        ["ls", *names], capture_output=True, text=True, timeout=120, start_new_session=True
    )
    assert done.returncode == 2
    assert "Device or resource busy" in done.stderr
    assert len(server.queries()) == 2
    assert os.listdir(names[0])
    assert "its next turn comes too late" in (mount.path / MANY / ".error").read_text()


def test_a_waiting_walk_is_killed_at_once(guarded: Callable[..., Mount]) -> None:
    mount = guarded(2)
    walker = walk("find", mount.path / MANY)
    log = mount.path / ".cadcfs/log"
    until(lambda: "waits for its turn" in log.read_text())
    start = time.monotonic()
    end(walker)
    assert time.monotonic() - start < 10


def copied(mount: Mount, targets: int, copies: Path) -> subprocess.CompletedProcess[str]:
    """A script that copies one file from each of many targets."""
    copies.mkdir()
    script = (
        'cd "$1"; ls | head -n "$2" | while read -r t; do cp "$t/urls.txt" "$3/$t" || exit; done'
    )
    return subprocess.run(
        ["sh", "-c", script, "sh", mount.path / MANY, str(targets), copies],
        capture_output=True, text=True, timeout=300, start_new_session=True,
    )  # fmt: skip


def test_a_script_over_many_cold_targets_ends_without_an_error(
    guarded: Callable[..., Mount], tmp_path: Path
) -> None:
    done = copied(guarded(200), 103, tmp_path / "copies")
    assert (done.returncode, done.stderr) == (0, "")
    assert len(os.listdir(tmp_path / "copies")) == 103


@pytest.mark.soak
def test_a_script_over_a_hundred_cold_targets_ends_with_the_usual_allowance(
    guarded: Callable[..., Mount], server: Server, tmp_path: Path
) -> None:
    done = copied(guarded(60), 100, tmp_path / "copies")
    assert (done.returncode, done.stderr) == (0, "")
    assert len(os.listdir(tmp_path / "copies")) == 100
    assert len(server.queries()) == 100


def seconds_of_ls(places: Iterable[Path]) -> float:
    """The median of what `ls` of each of *places* takes a person, who is a group of his own."""
    took = []
    for place in places:
        start = time.monotonic()
        done = subprocess.run(
            ["ls", place], capture_output=True, timeout=120, start_new_session=True
        )  # fmt: skip
        took.append(time.monotonic() - start)
        assert done.returncode == 0
    return statistics.median(took)


@pytest.mark.soak
def test_many_walks_at_once_leave_a_person_alone(
    guarded: Callable[..., Mount], server: Server
) -> None:
    """Their allowances are theirs; how long `ls` takes beside them is told, not judged."""
    mount = guarded(60)
    known = [mount.path / "collections/CFHT/by-target/M31"] * 20
    cold = [mount.path / f"collections/CFHT/region/10.68_41.{n}_0.1" for n in range(10, 50)]
    os.listdir(known[0])
    subprocess.run(["git", "init", "--quiet", mount.path.parent], check=True)
    quiet = seconds_of_ls(known), seconds_of_ls(cold[:20])
    server.forget()
    start = time.monotonic()
    walkers = [
        walk("find", mount.path, "-xdev"), walk("du", "-s", mount.path / "collections"),
        walk("rg", "--files", "--no-ignore", mount.path / MANY),
        walk("git", "-C", mount.path.parent, "status", "--untracked-files=all"),
        walk("updatedb", "--require-visibility", "no", "--database-root", mount.path,
             "--output", mount.path.parent / "files.db", "--prunefs", "", "--prunepaths", ""),
    ]  # fmt: skip
    try:
        beside = seconds_of_ls(known), seconds_of_ls(cold[20:])
        time.sleep(20)
        later = seconds_of_ls(known * 5)
        time.sleep(max(0.0, start + 59 - time.monotonic()))
        # One look for what has no value belongs to its directory, as by-date's question does.
        asked = sum("TOP 1 " not in query for query in server.queries()) - 20
    finally:
        for walker in walkers:
            end(walker)
    sys.stderr.write(
        f"{asked} directories in a minute; ls of what is known {quiet[0] * 1000:.1f} ms alone, "
        f"{beside[0] * 1000:.1f} ms when they begin, {later * 1000:.1f} ms beside them; of what "
        f"is new {quiet[1] * 1000:.0f} ms and {beside[1] * 1000:.0f} ms\n"
    )
    assert asked <= 4 * 60
