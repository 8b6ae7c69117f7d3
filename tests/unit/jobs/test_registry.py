"""The list of jobs on disk: names, wishes, crashes, several processes."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from cadcfs.errors import BadRequest, Exists, NotFound
from cadcfs.jobs.record import Phase, Wish
from cadcfs.jobs.registry import Registry


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "jobs.sqlite"


@pytest.fixture
def registry(file: Path) -> Iterator[Registry]:
    opened = Registry(file, "service", "anonymous")
    yield opened
    opened.close()


def test_a_job_is_found_by_name_and_by_the_archives_id(registry: Registry) -> None:
    job = registry.add("bright")
    registry.change(job.key, archive_id="e3h6rssb161oyf7j", adql="SELECT 1")
    assert registry.find("bright") == registry.find("e3h6rssb161oyf7j")
    assert registry.find("nosuch") is None
    assert [found.name for found in registry.jobs()] == ["bright"]
    with pytest.raises(Exists):
        registry.add("bright")


def test_a_name_is_free_once_its_job_is_removed(registry: Registry) -> None:
    old = registry.add("bright")
    registry.change(old.key, wish=Wish.DELETE)
    assert registry.find("bright") is None
    new = registry.add("bright")
    assert new.key != old.key
    assert [job.key for job in registry.unfinished()] == [old.key]
    registry.forget(old.key)
    with pytest.raises(NotFound):
        registry.get(old.key)


def test_run_and_abort_are_told_once(registry: Registry) -> None:
    job = registry.add("one")
    with pytest.raises(BadRequest, match="has no query"):
        registry.run(job.key)
    registry.change(job.key, adql="SELECT 1")
    job = registry.run(job.key)
    assert (job.phase, job.wish) == (Phase.QUEUED, Wish.RUN)
    assert not job.may_change
    with pytest.raises(BadRequest, match="was run"):
        registry.run(job.key)
    assert registry.abort(job.key).wish is Wish.ABORT
    assert registry.heard(job.key, Wish.RUN, phase=Phase.EXECUTING).wish is Wish.ABORT
    assert registry.heard(job.key, Wish.ABORT, phase=Phase.ABORTED).wish is None
    with pytest.raises(BadRequest, match="has ended"):
        registry.abort(job.key)


def test_what_was_never_run_is_aborted_at_once(registry: Registry) -> None:
    job = registry.abort(registry.add("one").key)
    assert (job.phase, job.wish) == (Phase.ABORTED, None)


def test_jobs_of_another_service_or_identity_are_not_seen(file: Path, registry: Registry) -> None:
    registry.add("mine")
    for service, owner in (("other", "anonymous"), ("service", "somebody")):
        other = Registry(file, service, owner)
        assert other.jobs() == []
        assert other.find("mine") is None
        other.add("mine")
        other.close()


def test_another_process_is_noticed(file: Path, registry: Registry) -> None:
    seen = registry.version()
    registry.add("ours")
    assert registry.version() == seen
    other = Registry(file, "service", "anonymous")
    other.add("theirs")
    other.close()
    assert registry.version() != seen
    assert [job.name for job in registry.jobs()] == ["ours", "theirs"]


def test_a_committed_job_outlives_its_process(file: Path) -> None:
    program = (
        "import os, sys, pathlib\n"
        "from cadcfs.jobs.registry import Registry\n"
        "registry = Registry(pathlib.Path(sys.argv[1]), 'service', 'anonymous')\n"
        "job = registry.change(registry.add('sudden').key, adql='SELECT 1')\n"
        "registry.run(job.key)\n"
        "os.kill(os.getpid(), 9)\n"
    )
    assert subprocess.run([sys.executable, "-c", program, file], check=False).returncode == -9
    registry = Registry(file, "service", "anonymous")
    (job,) = registry.unfinished()
    assert (job.name, job.wish) == ("sudden", Wish.RUN)
    registry.close()


def test_a_damaged_list_is_set_aside(file: Path, expected_log: list[str]) -> None:
    expected_log.append("cannot be read")
    file.write_bytes(b"no database" * 1000)
    registry = Registry(file, "service", "anonymous")
    assert registry.jobs() == []
    registry.add("new")
    registry.close()
    assert [path.name for path in file.parent.glob("*.damaged-*")]
