"""Mistakes at the command line: one sentence, an exit code, no traceback."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from cadcfs.config import load


def cadcfs(*words: object, **environ: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "cadcfs", *map(str, words)],
        capture_output=True, text=True, timeout=120, check=False, env=os.environ | environ,
    )  # fmt: skip


def refused(done: subprocess.CompletedProcess[str], words: str) -> None:
    assert done.returncode == 1
    assert done.stdout == ""
    assert done.stderr.startswith("cadcfs: ")
    assert len(done.stderr.splitlines()) == 1, done.stderr
    assert words in done.stderr


@pytest.fixture
def empty(tmp_path: Path) -> Path:
    place = tmp_path / "mnt"
    place.mkdir()
    return place


def test_version() -> None:
    done = cadcfs("--version")
    assert done.returncode == 0
    assert done.stdout.startswith("cadcfs ")


def test_the_mount_point_is_missing(tmp_path: Path) -> None:
    refused(cadcfs("mount", tmp_path / "none"), "mkdir -p")


def test_the_mount_point_is_not_empty(empty: Path) -> None:
    (empty / "file").touch()
    refused(cadcfs("mount", empty), "is not empty")


def test_the_mount_point_is_a_file(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    refused(cadcfs("mount", tmp_path / "file"), "is not a directory")


def test_the_registry_cannot_be_reached(empty: Path, tmp_path: Path) -> None:
    done = cadcfs(
        "mount", "--registry-url", "http://127.0.0.1:9/reg/resource-caps",
        "--cache-dir", tmp_path / "cache", empty,
    )  # fmt: skip
    refused(done, "no registry answers")
    assert os.listdir(empty) == []


def test_an_unknown_option(empty: Path) -> None:
    refused(cadcfs("mount", "-o", "regsitry_url=x", empty), "unknown setting 'regsitry_url'")


def test_nothing_is_mounted_there(empty: Path) -> None:
    refused(cadcfs("umount", empty), "nothing is mounted")
    refused(cadcfs("status", empty), "does not answer")


def test_generic_mount_options_say_nothing(empty: Path, tmp_path: Path) -> None:
    done = cadcfs(
        "mount", "-o", "ro,nosuid,nodev,_netdev,x-systemd.automount,noauto", empty,
        CADCFS_REGISTRY_URL="http://127.0.0.1:9/", CADCFS_CACHE_DIR=str(tmp_path / "c"),
    )  # fmt: skip
    refused(done, "no registry answers")


@pytest.mark.parametrize(
    ("typed", "completed"), [("cadcfs fe", "fetch"), ("cadcfs cache ver", "verify")]
)
def test_the_shell_completes_commands(typed: str, completed: str) -> None:
    told = {"COMP_WORDS": typed, "COMP_CWORD": str(typed.count(" "))}
    done = subprocess.run(
        [Path(sys.executable).with_name("cadcfs")],
        capture_output=True, text=True, timeout=120, check=False,
        env=os.environ | told | {"_CADCFS_COMPLETE": "complete_bash"},
    )  # fmt: skip
    assert done.stdout.split() == [completed]


def test_config_show_tells_where_each_setting_was_set(tmp_path: Path) -> None:
    done = cadcfs("config", "show", "-o", "registry_url=http://me:secret@h/x", CADCFS_READ_TIME="5")
    assert done.returncode == 0
    lines = done.stdout.splitlines()
    assert 'registry_url = "http://me:***@h/x"  # from the command line' in lines
    assert "read_time = 5.0  # from the environment" in lines
    assert 'names = "archive"' in lines
    # What is printed can be a settings file.
    file = tmp_path / "config.toml"
    file.write_text(done.stdout)
    assert load({}, {}, (file,)).read_time == 5.0
    told = json.loads(cadcfs("config", "show", "--json").stdout)
    assert told["names"] == {"value": "archive", "from": "default"}
