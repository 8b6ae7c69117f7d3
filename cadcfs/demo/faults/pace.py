"""What a service has to do itself, since it alone knows the query: be slow, cut answers.

The middleware leaves the faults that a request meets in its scope; `pace_of` is for the endpoints
of TAP, `link_delay` for DataLink.
"""

from __future__ import annotations

from collections.abc import Mapping, MutableMapping
from dataclasses import dataclass
from typing import Any

from cadcfs.demo.faults.indexes import is_slow
from cadcfs.demo.faults.rules import Fault
from cadcfs.demo.requestlog import note_faults

_CAP = "cadcfs.row-cap"
_SLOW = "cadcfs.like-cadc"


@dataclass(frozen=True, slots=True)
class Pace:
    """How a query is to be disturbed: seconds before its answer, and rows at most."""

    seconds: float = 0.0
    rows: int | None = None

    def limit(self, wanted: int | None) -> int | None:
        """Return how many rows may go out when so many are wanted; None stands for all."""
        given = [rows for rows in (wanted, self.rows) if rows is not None]
        return min(given, default=None)


UNDISTURBED = Pace()


def keep_for_services(scope: MutableMapping[str, Any], faults: tuple[Fault, ...]) -> None:
    """Leave in a request's scope what the services ask for."""
    for fault in faults:
        if fault.kind == "row-cap":
            scope[_CAP] = fault
        elif fault.kind == "like-cadc":
            scope[_SLOW] = fault


def pace_of(scope: MutableMapping[str, Any], adql: str | None) -> Pace:
    """Return how the query of a request is to be disturbed."""
    cap, slow = scope.get(_CAP), scope.get(_SLOW)
    rows, seconds = None, 0.0
    if isinstance(cap, Fault) and _claim(scope, cap):
        rows = int(cap.options["rows"])
    if isinstance(slow, Fault) and adql and is_slow(adql) and _claim(scope, slow):
        seconds = float(slow.options["seconds"])
    return Pace(seconds, rows)


def link_delay(scope: Mapping[str, Any]) -> float:
    """Return how many seconds DataLink takes for each ID."""
    fault = scope.get(_SLOW)
    return float(fault.options["per_id"]) if isinstance(fault, Fault) else 0.0


def _claim(scope: MutableMapping[str, Any], fault: Fault) -> bool:
    claimed = fault.claim()
    if claimed:
        note_faults(scope, fault.kind)
    return claimed
