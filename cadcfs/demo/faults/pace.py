"""Seams for the services: a cap on rows, and the slowness of CADC (cadcfs demo --like-cadc).

The middleware leaves in the scope what a service has to do itself, since it alone knows the
query: `rows_allowed`, `query_delay` and `link_delay` are for their endpoints.
"""

from __future__ import annotations

from collections.abc import Mapping, MutableMapping
from typing import Any

from cadcfs.demo.faults.indexes import is_slow
from cadcfs.demo.faults.rules import Fault
from cadcfs.demo.requestlog import note_faults

_CAP = "cadcfs.row-cap"
_PACE = "cadcfs.like-cadc"


def keep_for_services(scope: MutableMapping[str, Any], faults: tuple[Fault, ...]) -> None:
    """Leave in a request's scope what the services ask for."""
    for fault in faults:
        if fault.kind == "row-cap":
            scope[_CAP] = fault
        elif fault.kind == "like-cadc":
            scope[_PACE] = fault


def rows_allowed(scope: MutableMapping[str, Any]) -> int | None:
    """Return how many rows an answer may have at most, whatever MAXREC says; None: all."""
    fault = scope.get(_CAP)
    if not isinstance(fault, Fault) or not fault.claim():
        return None
    note_faults(scope, fault.kind)
    return int(fault.options["rows"])


def query_delay(scope: MutableMapping[str, Any], adql: str) -> float:
    """Return how many seconds CADC would take for a query that it has no index for; else 0."""
    fault = scope.get(_PACE)
    if not isinstance(fault, Fault) or not is_slow(adql) or not fault.claim():
        return 0.0
    note_faults(scope, fault.kind)
    return float(fault.options["seconds"])


def link_delay(scope: Mapping[str, Any]) -> float:
    """Return how many seconds DataLink takes for each ID."""
    fault = scope.get(_PACE)
    return float(fault.options["per_id"]) if isinstance(fault, Fault) else 0.0
