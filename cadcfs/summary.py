"""A mount's snapshot in words, for `.cadcfs/status` and `cadcfs status`. Pure."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from typing import Any

SHOWN = 20
"""Calls and transfers that are told one by one."""


def text(facts: Mapping[str, Any]) -> str:
    """The lines for a person; *facts* as `dataclasses.asdict` makes them of a `Snapshot`."""
    lines = [f"{name + ':':28}{value}" for name, value in _table(facts)]
    for title, entries in _lists(facts):
        lines += ["", f"{title}:", *(f"  {entry}" for entry in entries)]
    return "".join(f"{line}\n" for line in lines)


def _table(facts: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    cache, reads, answers, made = (facts[k] for k in ("cache", "reads", "answers", "made"))
    troubled = [service for service in facts["services"] if not service["is_well"]]
    yield "cadcfs", facts["version"]
    yield "mounted on", facts["mountpoint"]
    yield "since", date(facts["since"])
    yield "process", str(facts["process"])
    yield "registry", facts["registry"]
    yield "identity", facts["identity"]["text"]
    yield "offline", "on, what was seen is shown" if facts["is_offline"] else "off"
    yield "do not answer", "; ".join(_service(each) for each in troubled) or "none"
    yield "cache", cache["directory"]
    used = "unknown" if cache["used"] is None else size(cache["used"])
    free = "unknown" if cache["free"] is None else size(cache["free"])
    yield "cached", f"{used} of {size(cache['limit'])}, {free} free on the disk"
    asked = reads["hits"] + reads["misses"]
    rate = f", {100 * reads['hits'] / asked:.1f} % hits" if asked else ""
    yield "reads", f"{reads['hits']} from the cache, {reads['misses']} waited{rate}"
    yield "fetched", f"{size(reads['fetched_bytes'])} in {reads['fetches']} requests"
    yield "made", f"{made['made']} files ({made['failed']} failed, {made['under_way']} under way)"
    yield "stale answers", f"{answers['stale']} shown, for the archive did not answer since"
    yield "answers in memory", f"{answers['known']} ({answers['rows']} rows)"
    yield "questions asked", f"{answers['loads']} ({answers['failures']} failed)"
    yield "questions under way", str(answers["in_flight"])
    yield "open files", str(facts["open_files"])
    yield "inodes known to the kernel", str(facts["inodes"])
    yield "log level", facts["log_level"]


def _lists(facts: Mapping[str, Any]) -> Iterator[tuple[str, list[str]]]:
    waiting = facts["under_way"]
    yield f"waiting for an answer ({len(waiting)})", [_call(each) for each in waiting[:SHOWN]]
    coming = facts["transfers"]
    yield f"coming from the archive ({len(coming)})", [_transfer(each) for each in coming[:SHOWN]]
    yield "services", [_service(each) for each in facts["services"]]
    yield "last warnings and errors", list(facts["last_errors"])


def _call(call: Mapping[str, Any]) -> str:
    who = f"{call['program']} ({call['pid']})" if call["pid"] else "unknown"
    return f"{call['age']:8.1f} s  {call['operation']:8} {call['path']}  by {who}  {call['run_id']}"


def _transfer(transfer: Mapping[str, Any]) -> str:
    share = 100 * transfer["here"] / transfer["size"] if transfer["size"] else 100
    return f"{share:5.1f} %  of {size(transfer['size']):>9}  {transfer['file']}"


def _service(service: Mapping[str, Any]) -> str:
    if service["is_well"]:
        return f"{service['service']} answered {date(service['answered'])}"
    return f"{service['service']} since {date(service['since'])}: {service['reason']}"


def date(seconds: float) -> str:
    """UTC, as ISO 8601."""
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(seconds))


def size(count: int) -> str:
    """Bytes for people, in powers of 1024, as the settings take them: 1.5 GiB."""
    amount, unit = float(count), "B"
    for unit in ("B", "KiB", "MiB", "GiB", "TiB"):
        if amount < 1024 or unit == "TiB":
            break
        amount /= 1024
    return f"{amount:.0f} B" if unit == "B" else f"{amount:.1f} {unit}"
