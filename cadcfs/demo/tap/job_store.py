"""Jobs on disk: a directory each, with `job.json`, uploaded files and the result.

A directory belongs to one running service at a time. A second one beside it finds the first's
locked and takes another, so that two archives over the same data do not touch each other's jobs.
"""

from __future__ import annotations

import fcntl
import json
import logging
import os
import shutil
from collections.abc import Iterator, Mapping
from itertools import count
from pathlib import Path

from cadcfs.demo.tap.job import Job, now
from cadcfs.demo.tap.submission import Submission

_log = logging.getLogger(__name__)

_RECORD, _INDEX = "job.json", "uploads.json"


class StoredFiles(Mapping[str, bytes]):
    """Uploaded files of a job by the name of their part, read when they are wanted."""

    def __init__(self, directory: Path) -> None:
        """Find the files in a job's directory; names of parts may be anything, and are listed."""
        self._directory = directory
        index = directory / _INDEX
        self._names: list[str] = json.loads(index.read_text()) if index.exists() else []

    def add(self, files: Mapping[str, bytes]) -> None:
        """Write files, in place of those of the same name."""
        for name, content in files.items():
            if name not in self._names:
                self._names.append(name)
            self._path(name).write_bytes(content)
        if self._names:
            (self._directory / _INDEX).write_text(json.dumps(self._names))

    def __getitem__(self, name: str) -> bytes:
        """Read a file."""
        if name not in self._names:
            raise KeyError(name)
        return self._path(name).read_bytes()

    def __iter__(self) -> Iterator[str]:
        """Yield the names."""
        return iter(self._names)

    def __len__(self) -> int:
        """Count the files."""
        return len(self._names)

    def _path(self, name: str) -> Path:
        return self._directory / f"upload-{self._names.index(name)}"


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
            if not (directory / _RECORD).exists():
                # Left by a service that ended while it deleted the job.
                shutil.rmtree(directory, ignore_errors=True)
                continue
            try:
                job = Job.from_json((directory / _RECORD).read_text(), StoredFiles(directory))
            except (OSError, ValueError, KeyError, TypeError) as trouble:
                _log.warning("job %s cannot be read and is dropped: %s", directory.name, trouble)
                shutil.rmtree(directory, ignore_errors=True)
                continue
            if job.destruction <= now():
                self.remove(job)
            else:
                yield job

    def create(self, job: Job) -> None:
        """Make a job's directory."""
        self.directory(job).mkdir()
        self.save(job, job.to_json())

    def save(self, job: Job, text: str) -> None:
        """Write a job's record, whole or not at all; nothing, if the job is gone."""
        path = self.directory(job) / _RECORD
        try:
            self._keep_files(job)
            temporary = path.with_suffix(".new")
            temporary.write_text(text)
            temporary.replace(path)
        except FileNotFoundError:
            _log.debug("job %s was deleted meanwhile", job.id)

    def _keep_files(self, job: Job) -> None:
        """Write uploaded files down; from now on they are there, not in memory."""
        if not isinstance(job.submission.files, StoredFiles):
            stored = StoredFiles(self.directory(job))
            stored.add(job.submission.files)
            job.submission = Submission(job.submission.pairs, stored)

    def forget(self, job: Job) -> None:
        """Delete a job's record, so that it does not come back; its files are still in use."""
        (self.directory(job) / _RECORD).unlink(missing_ok=True)

    def remove(self, job: Job) -> None:
        """Delete a job and all that belongs to it."""
        shutil.rmtree(self.directory(job), ignore_errors=True)

    def directory(self, job: Job) -> Path:
        """Where a job's files lie."""
        return self._root / job.id
