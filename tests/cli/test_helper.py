"""mount(8), fstab and systemd: the helpers, and what a service is told."""

from __future__ import annotations

import os
import select
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from cadcfs.cli import helper, mounting
from cadcfs.kernel import mountpoints
from tests.rig import CADCFS, Server

ROOT = Path(__file__).parents[2]
SCENE = """\
set -eu
mount -t tmpfs none "$(realpath /sbin)"
{cadcfs} install-helper
echo "cadc: {sky} fuse.cadcfs {options},_netdev,nofail,user,x-systemd.automount,comment=sky 0 0" \\
    > {root}/fstab
mount -T {root}/fstab -a
mount -T {root}/fstab -a
grep -c ' {sky} .* - fuse.cadcfs cadc: ' /proc/self/mountinfo
ls {sky}/collections | grep CFHT
cp {sky}/README.txt {root}/copy
umount {sky}
mount -t cadcfs cadc: {sky} -o {options}
ls {sky}
umount {sky}
for wrong in "cadc: -o nonsense=1" "other: -o rw" "cadc: -o {options},remount,names=plain"; do
    set -- $wrong
    mount.cadcfs "$1" {sky} "$2" "$3" 2>&1 || echo "exit $?"
done
"""
"""Runs where /sbin and all mounts are its own, as root or as root of a name space."""


def cadcfs(*words: object, **environ: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*CADCFS, *map(str, words)],
        capture_output=True, text=True, timeout=120, check=False, env=os.environ | environ,
    )  # fmt: skip


def test_mount_and_fstab(server: Server, tmp_path: Path) -> None:
    sky = tmp_path / "sky"
    sky.mkdir()
    options = f"registry_url={server.registry_url},cache_dir={tmp_path}/cache"
    scene = SCENE.format(
        cadcfs=" ".join(CADCFS), sky=sky, root=tmp_path, options=options,
    )  # fmt: skip
    command = ["unshare", "--mount", *(["--map-root-user"] if os.geteuid() else []), "sh", "-c"]
    done = subprocess.run(
        [*command, scene], capture_output=True, text=True, timeout=120, check=False, cwd=tmp_path
    )
    assert (done.returncode, done.stderr) == (0, "")
    lines = done.stdout.splitlines()
    assert lines[:2] == ["wrote /sbin/mount.fuse.cadcfs", "wrote /sbin/mount.cadcfs"]
    # Once, although it was mounted twice.
    assert lines[2:4] == ["1", "CFHT"]
    assert "README.txt" in lines[4:]
    assert (tmp_path / "copy").read_text().startswith("The Canadian Astronomy Data Centre")
    nonsense, first, source, second, remount, third = lines[-6:]
    assert (first, second, third) == ("exit 32",) * 3
    assert "unknown setting 'nonsense'" in nonsense
    assert "the source is 'cadc:', not 'other:'" in source
    assert "unmount it, and mount it again" in remount


def test_helpers_are_written_with_this_interpreter_and_removed(tmp_path: Path) -> None:
    done = cadcfs("install-helper", "--directory", tmp_path)
    assert done.returncode == 0, done.stderr
    for name in helper.NAMES:
        assert f"exec {sys.executable} -I -c" in (tmp_path / name).read_text()
        assert os.access(tmp_path / name, os.X_OK)
    assert sorted(os.listdir(tmp_path)) == sorted(helper.NAMES)
    fake = subprocess.run(
        [tmp_path / "mount.cadcfs", "cadc:", tmp_path / "none", "-fv", "-o", "rw"], check=False
    )
    assert fake.returncode == 0
    assert cadcfs("install-helper", "--directory", tmp_path, "--remove").returncode == 0
    assert os.listdir(tmp_path) == []


def test_what_is_not_ours_is_not_overwritten(tmp_path: Path) -> None:
    (tmp_path / "mount.cadcfs").write_text("#!/bin/sh\n")
    done = cadcfs("install-helper", "--directory", tmp_path)
    assert done.returncode == 1
    assert "is not ours" in done.stderr
    done = cadcfs("install-helper", "--directory", tmp_path / "none")
    assert done.returncode == 1
    assert "sudo" in done.stderr


def test_generic_options_are_dropped() -> None:
    options = ["rw,dev,suid,_netdev,nofail,noauto,user", "user=me,x-systemd.automount,comment=a b"]
    assert mounting.parsed_options([*options, "xattr,names=plain"]) == {
        "xattr": "true", "names": "plain",
    }  # fmt: skip


def test_a_mount_holds_nothing_that_the_shell_left_open(server: Server, tmp_path: Path) -> None:
    (tmp_path / "sky").mkdir()
    command = [*CADCFS, "mount", "--registry-url", server.registry_url,
               "--cache-dir", tmp_path / "cache", tmp_path / "sky"]  # fmt: skip
    reading, writing = os.pipe()
    subprocess.run(command, pass_fds=(writing,), timeout=120, check=True)
    os.close(writing)
    try:
        assert select.select([reading], [], [], 120)[0]
        assert os.read(reading, 1) == b""
    finally:
        os.close(reading)
        assert cadcfs("umount", "--lazy", tmp_path / "sky").returncode == 0


@pytest.mark.parametrize("abstract", [False, True])
def test_systemd_hears_that_the_mount_answers_goes_on_and_ends(
    server: Server, tmp_path: Path, *, abstract: bool
) -> None:
    sky = tmp_path / "sky"
    sky.mkdir()
    name = f"@cadcfs-test-{os.getpid()}" if abstract else str(tmp_path / "notify")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as channel:
        channel.bind(f"\0{name[1:]}" if abstract else name)
        channel.settimeout(120)
        daemon = subprocess.Popen(
            [*CADCFS, "mount", "--foreground", "--registry-url", server.registry_url,
             "--cache-dir", tmp_path / "cache", sky],
            env=os.environ | {"NOTIFY_SOCKET": name, "WATCHDOG_USEC": "600000"},
            stderr=subprocess.DEVNULL,
        )  # fmt: skip
        try:
            ready = channel.recv(4096).decode().splitlines()
            assert ready == ["READY=1", f"MAINPID={daemon.pid}", f"STATUS=mounted on {sky}"]
            assert mountpoints.mounted_type(sky) == mountpoints.TYPE
            assert [channel.recv(4096) for _ in range(3)] == [b"WATCHDOG=1"] * 3
            daemon.send_signal(signal.SIGTERM)
            said = [channel.recv(4096)]
            while said[-1] == b"WATCHDOG=1":
                said.append(channel.recv(4096))
            assert said[-1] == b"STOPPING=1"
            assert daemon.wait(timeout=120) == 0
        finally:
            daemon.kill()
            daemon.wait()
    assert mountpoints.mounted_type(sky) is None


@pytest.mark.parametrize(
    ("unit", "who"), [("cadcfs.service", "system"), ("cadcfs@.service", "user")]
)
def test_systemd_likes_the_units(unit: str, who: str, tmp_path: Path) -> None:
    command = Path(sys.executable).with_name("cadcfs")
    text = (ROOT / "systemd" / unit).read_text().replace("/usr/local/bin/cadcfs", str(command))
    instance = tmp_path / unit.replace("@", "@cadc")
    instance.write_text(text)
    done = subprocess.run(
        ["systemd-analyze", "verify", f"--{who}", "--man=no", instance],
        capture_output=True, text=True, timeout=120, check=False,
        env=os.environ | {"XDG_RUNTIME_DIR": str(tmp_path)},
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")
    # Whatever gives a service mounts or processes of its own would hide the mount, or its callers.
    for hiding in ("Protect", "Private", "DynamicUser", "NoNewPrivileges", "SystemCallFilter"):
        assert not any(line.startswith(hiding) for line in text.splitlines())
