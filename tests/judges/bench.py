"""What every comparison with recorded replies works with."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import httpx

from tests.judges.structure import Difference
from tests.rig import Server


@dataclass(frozen=True, slots=True)
class Bench:
    """The recordings, and a client of the archive at its base address."""

    recorded: Path
    server: Server
    client: httpx.Client
    base: str


Comparison = Callable[[Bench], Iterator[Difference]]
Reasons = Mapping[str, str]
"""Regular expression that a difference's text matches from its start -> why it is meant."""
