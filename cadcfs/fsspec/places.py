"""What is asked of the tree by path, and what a path can be wrong about."""

from __future__ import annotations

from dataclasses import dataclass

from cadcfs.errors import CadcfsError


@dataclass(frozen=True)
class Range:
    """The bytes [start, stop) of a file; negative ones count from its end, None is its end."""

    path: str
    start: int | None
    stop: int | None


class BelowFile(CadcfsError):
    """A path goes on below a file."""


class NoFile(CadcfsError):
    """A directory has no bytes."""
