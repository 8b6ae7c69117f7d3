"""Jobs on disk: a directory each, with `job.json`, uploaded files and the result.

A directory belongs to one running service at a time. A second one beside it finds the first's
locked and takes another, so that two archives over the same data do not touch each other's jobs.
"""

from __future__ import annotations

import fcntl
import logging
import os
import shutil
from collections.abc import Iterator
from itertools import count
from pathlib import Path

from cadcfs.demo.tap.job import Job, now

_log = logging.getLogger(__name__)


class JobStore:
    """Keeps the jobs of one service (every method blocks)."""

    def __init__(self, root: Path, lock: int) -> None:
        """Keep jobs below a directory whose lock is held; use `open`."""
        self._root = root
        self._lock = lock

    @classmethod
    def open(cls, parent: Path) -> JobStore:
        """Take the first directory below *parent* that no other service uses."""
        for number in count(1):
            root = parent / ("jobs" if number == 1 else f"jobs-{number}")
            root.mkdir(parents=True, exist_ok=True)
            lock = os.open(root / "lock", os.O_RDWR | os.O_CREAT, 0o600)
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                os.close(lock)
                continue
            return cls(root, lock)
        raise AssertionError

    def close(self) -> None:
        """Let another service have the directory."""
        os.close(self._lock)

    def load(self) -> Iterator[Job]:
        """Read all jobs; drop those whose time is over and those that cannot be read."""
        for directory in sorted(path for path in self._root.iterdir() if path.is_dir()):
            try:
                uploads = directory / "uploads"
                files = {path.name: path.read_bytes() for path in uploads.glob("*")}
                job = Job.from_json((directory / "job.json").read_text(), files)
            except (OSError, ValueError, KeyError, TypeError) as trouble:
                _log.warning("job %s cannot be read and is dropped: %s", directory.name, trouble)
                shutil.rmtree(directory, ignore_errors=True)
                continue
            if job.destruction <= now():
                self.remove(job)
            else:
                yield job

    def create(self, job: Job) -> None:
        """Make a job's directory, with its uploaded files."""
        uploads = self.directory(job) / "uploads"
        uploads.mkdir(parents=True)
        for name, content in job.submission.files.items():
            # A part's name may be anything; what cannot be a file's name is not kept.
            if name not in (".", "..") and "/" not in name and "\0" not in name:
                (uploads / name).write_bytes(content)
        self.save(job, job.to_json())

    def save(self, job: Job, text: str) -> None:
        """Write a job's record, whole or not at all; nothing, if the job is gone."""
        path = self.directory(job) / "job.json"
        try:
            temporary = path.with_suffix(".new")
            temporary.write_text(text)
            temporary.replace(path)
        except FileNotFoundError:
            _log.debug("job %s was deleted meanwhile", job.id)

    def remove(self, job: Job) -> None:
        """Delete a job and all that belongs to it."""
        shutil.rmtree(self.directory(job), ignore_errors=True)

    def directory(self, job: Job) -> Path:
        """Where a job's files lie."""
        return self._root / job.id
