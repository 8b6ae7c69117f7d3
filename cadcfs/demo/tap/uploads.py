"""Uploaded tables (TAP 1.1, section 2.7.5): VOTables that a query sees as `tap_upload.name`."""

from __future__ import annotations

from dataclasses import dataclass

from cadcfs.demo.adql.catalogue import Table
from cadcfs.demo.adql.scope import AdqlError
from cadcfs.demo.tap.submission import Submission


@dataclass(frozen=True, slots=True)
class Uploads:
    """Tables and their rows, as a SQLite database image."""

    tables: tuple[Table, ...]
    image: bytes


def uploads_of(submission: Submission) -> Uploads | None:
    """Read the tables that a request brings along (blocking); raise AdqlError."""
    if submission.get("UPLOAD") is None:
        return None
    raise AdqlError("UPLOAD is not supported")
