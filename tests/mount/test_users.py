"""Two real accounts of the machine: one that is not root mounts and logs in, the other looks on."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sysconfig
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.mount.test_identity import FILE, HIDDEN, PROPRIETARY
from tests.recording.records import Recording, traces
from tests.rig import Server, wait_for_end

MINE, THEIRS = "games", "daemon"
"""Accounts that every Debian has."""
M31 = "collections/CFHT/by-target/M31"
AS_USUAL = """
mount --bind $1/fuse.conf /etc/fuse.conf
mount -t tmpfs none $1/dev
mknod -m 666 $1/dev/fuse c 10 229
mount --bind $1/dev/fuse /dev/fuse
mount --bind $2 $1/code
mount --bind $3 $1/site
echo ready
exec cat
"""
"""What a Debian lets its users do, whatever it is outside; what is mounted there goes with it.

Our code lies where others may read it, which it need not outside.
"""
COMMAND = ("/usr/bin/python3", "-m", "cadcfs")


@dataclass
class Machine:
    """Runs commands as one account or the other, in a namespace of mounts of their own."""

    server: Server
    base: Path
    recorded: Recording
    inside: tuple[str, ...]

    @property
    def sky(self) -> Path:
        return self.base / "sky"

    def run(self, account: str, *words: object, said: str = "") -> subprocess.CompletedProcess[str]:
        environ = {
            **self.recorded.environ,
            "PATH": os.environ["PATH"], "LANG": "C.UTF-8", "HOME": str(self.base / "home"),
            "PYTHON_KEYRING_BACKEND": "keyring.backends.fail.Keyring",
            "CADCFS_REGISTRY_URL": self.server.registry_url, "CADCFS_WALK_ALLOWANCE": "0",
            "PYTHONPATH": f"{self.base}/code:{self.base}/site",
        }  # fmt: skip
        other = ("setpriv", f"--reuid={account}", f"--regid={account}", "--init-groups")
        return subprocess.run(
            [*self.inside, *other, *map(str, words)], input=said, env=environ, cwd="/",
            capture_output=True, text=True, timeout=120, check=False,
        )  # fmt: skip

    def cadcfs(self, *words: object, said: str = "") -> str:
        done = self.run(MINE, *COMMAND, *words, said=said)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def mount(self, *options: str) -> None:
        self.cadcfs("login", "-u", "demo", said="demo\n")
        self.cadcfs("mount", *options, self.sky)

    def mine(self, *words: object) -> str:
        done = self.run(MINE, *words)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def is_denied(self, *words: object) -> bool:
        """Whether the other account is refused."""
        done = self.run(THEIRS, *words)
        return done.returncode != 0 and "Permission denied" in done.stderr


@pytest.fixture
def machine(server: Server, recorded: Recording) -> Iterator[Machine]:
    # In /tmp itself: directories of pytest are root's alone.
    base = Path(tempfile.mkdtemp(prefix="cadcfs-users-"))
    base.chmod(0o755)
    fuse = base / "fuse.conf"
    fuse.write_text("user_allow_other\n")
    for name in ("home", "sky"):
        (base / name).mkdir(mode=0o755)
        shutil.chown(base / name, MINE)
    for name in ("dev", "code", "site"):
        (base / name).mkdir()
    places = (Path(__file__).parents[2], sysconfig.get_path("platlib"))
    with subprocess.Popen(
        ["unshare", "--mount", "sh", "-ec", AS_USUAL, "sh", base, *places],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    ) as holder:  # fmt: skip
        assert holder.stdout is not None
        assert holder.stdout.readline() == "ready\n"
        inside = ("nsenter", f"--target={holder.pid}", "--mount", "--wd=/")
        made = Machine(server, base, recorded, inside)
        try:
            yield made
        finally:
            status = made.run(MINE, "cat", base / "sky/.cadcfs/status").stdout
            made.run(MINE, *COMMAND, "umount", "--lazy", base / "sky")
            for pid in re.findall(r"^process: *(\d+)$", status, re.MULTILINE):
                wait_for_end(int(pid), seconds=120)
            holder.send_signal(signal.SIGTERM)
    assert (base / "home/.cache/cadcfs/cadcfs.log").is_file()
    assert traces([base / "home/.cache"], recorded.secrets()) == []
    shutil.rmtree(base)


def test_who_is_not_root_mounts_for_nobody_else(machine: Machine, server: Server) -> None:
    machine.mount()
    sky, private = machine.sky, machine.sky / PROPRIETARY / FILE
    size = server.archive.path_of(f"cadc:CFHT/{FILE}").stat().st_size
    told = f"{MINE} {MINE} 400 {size}"
    assert machine.mine("stat", "-c", "%U %G %a %s", private) == f"{told}\n"
    assert machine.mine("head", "-c", "6", private) == "SIMPLE"
    assert "Hidden" in machine.mine("ls", (sky / HIDDEN).parent).split()
    for words in (("ls", sky), ("cat", sky / "README.txt"), ("stat", sky / M31),
                  ("cat", private), ("cat", sky / ".cadcfs/status")):  # fmt: skip
        assert machine.is_denied(*words), words
    (token,) = (machine.base / "home/.local/state/cadcfs/logins").glob("*.json")
    assert machine.is_denied("cat", token)
    assert machine.is_denied("ls", machine.base / "home/.cache/cadcfs")
    assert machine.cadcfs("logout") == "logged out\n"
    assert machine.run(MINE, "cat", private).returncode != 0
    assert "Hidden" not in machine.mine("ls", (sky / HIDDEN).parent).split()


@pytest.mark.parametrize("shared", [False, True])
def test_others_are_let_in_and_see_nothing_private(machine: Machine, shared: bool) -> None:
    machine.mount("-o", "allow_other", *(("--share-identity",) if shared else ()))
    sky, private = machine.sky, machine.sky / PROPRIETARY / FILE
    assert ("identity: demo" in " ".join(machine.mine("cat", sky / ".cadcfs/status").split())) is (
        shared
    )
    names = machine.mine("ls", (sky / HIDDEN).parent).split()
    assert ("Hidden" in names) is shared
    theirs = machine.run(THEIRS, "ls", (sky / HIDDEN).parent)
    assert theirs.stdout.split() == names
    assert "M31" in names
    if shared:
        assert machine.mine("head", "-c", "6", private) == "SIMPLE"
    seen = machine.run(THEIRS, "sh", "-c", f"head -c 6 {sky}/{M31}/2376828p.fits.fz")
    assert seen.stdout == "SIMPLE", seen.stderr
    closed = [private, *(sky / ".cadcfs" / name for name in ("status", "log", "login", "config"))]
    closed += [sky / "collections" / name for name in (".query", ".error", ".refresh")]
    for path in closed:
        assert machine.is_denied("cat", path), path
    for path in (sky / ".cadcfs", machine.base / "home/.cache/cadcfs"):
        assert machine.is_denied("ls", path), path
    assert machine.is_denied("mkdir", sky / "jobs/theirs")
    # Whatever the owner has looked at before: nothing is answered to another out of a cache.
    machine.mine("cat", sky / ".cadcfs/status", sky / "collections/.query")
    assert machine.is_denied("cat", sky / "collections/.query")
    assert machine.is_denied("cat", sky / ".cadcfs/status")
