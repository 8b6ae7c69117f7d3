"""What a client may ask of a job: its control parameters and how they are checked (UWS 1.1, 2).

At CADC times and durations can only be lowered, and only while a job is PENDING; a wait ends
after a minute. Every function raises HTTPException with CADC's words for what is wrong.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime

import trio
from starlette.exceptions import HTTPException

from cadcfs.demo.auth.caller import Caller
from cadcfs.demo.tap.job import MOST_SECONDS, PHASES, Job, new_id
from cadcfs.demo.tap.running import timestamp
from cadcfs.demo.tap.submission import Pairs, Submission

_LONGEST_WAIT = 60
# Parameters that are the job's own, not the query's.
_UWS = frozenset({"PHASE", "RUNID", "QUOTE", "EXECUTIONDURATION", "DESTRUCTION", "ACTION", "WAIT"})


def new_job(submission: Submission, caller: Caller, base_url: str) -> Job:
    """Make a job out of a request."""
    kept = Submission(_query_pairs(submission), submission.files)
    job = Job(new_id(), kept, caller, base_url, submission.get("RUNID"))
    for name, change in SETTERS.items():
        if value := submission.get(name.upper()):
            change(job, value)
    return job


def _query_pairs(submission: Submission) -> Pairs:
    return tuple(pair for pair in submission.pairs if pair[0].upper() not in _UWS)


def set_parameters(job: Job, submission: Submission) -> None:
    """Give a pending job parameters, in place of those of the same name."""
    require_pending(job)
    new = {key.upper() for key, _ in submission.pairs}
    kept = tuple(pair for pair in job.submission.pairs if pair[0].upper() not in new)
    files = {**job.submission.files, **submission.files}
    job.submission = Submission(kept + _query_pairs(submission), files)


def require_pending(job: Job) -> None:
    """Refuse changes of a job that is on its way."""
    if job.phase != "PENDING":
        raise HTTPException(400, f"cannot update job control details when phase={job.phase}")


def phase_wish(submission: Submission) -> str:
    """Return RUN or ABORT."""
    wish = submission.get("PHASE") or ""
    if wish.upper() not in ("RUN", "ABORT"):
        raise HTTPException(400, f"invalid PHASE value: {wish}")
    return wish.upper()


async def wait(job: Job, text: str | None) -> None:
    """Hold on while an active job stays in its phase (UWS 1.1, section 2.2.1.1)."""
    if text is None:
        return
    try:
        wanted = int(text)
    except ValueError:
        raise HTTPException(400, f"invalid WAIT value: {text}") from None
    if not job.is_active:
        return
    with trio.move_on_after(_LONGEST_WAIT if wanted < 0 else min(wanted, _LONGEST_WAIT)):
        await job.changed.wait()


def filters(given: Submission) -> tuple[frozenset[str], datetime | None, int | None]:
    """Return the PHASEs, AFTER and LAST that narrow a list of jobs (UWS 1.1, 2.2.2.1)."""
    phases = frozenset(given.all("PHASE"))
    for phase in phases - PHASES:
        raise HTTPException(400, f"invalid UWS execution phase: PHASE={phase}")
    after, last = given.get("AFTER"), given.get("LAST")
    if last is not None and not (last.isascii() and last.isdigit() and int(last[:9]) > 0):
        raise HTTPException(400, f"invalid integer: LAST={last}")
    moment = None
    if after is not None:
        try:
            moment = _moment(after)
        except ValueError:
            raise HTTPException(400, f"invalid IVOA timestamp: AFTER={after}") from None
    return phases, moment, None if last is None else int(last)


def _moment(text: str) -> datetime:
    moment = datetime.fromisoformat(text)
    return moment if moment.tzinfo is None else moment.astimezone(UTC).replace(tzinfo=None)


def _set_destruction(job: Job, text: str) -> None:
    try:
        job.destruction = min(job.destruction, _moment(text))
    except ValueError:
        message = f"invalid destruction time value (IVOA timestamp): {text}"
        raise HTTPException(400, message) from None


def _set_quote(job: Job, text: str) -> None:
    try:
        job.quote = min(job.quote, _moment(text))
    except ValueError:
        raise HTTPException(400, f"invalid quote value (IVOA timestamp): {text}") from None


def _set_duration(job: Job, text: str) -> None:
    try:
        wanted = int(text)
    except ValueError:
        raise HTTPException(400, f"invalid execution duration value (long): {text}") from None
    # Nought stands for no limit of the client's own (UWS 1.1, section 2.1.8).
    job.seconds = min(job.seconds, wanted if wanted > 0 else MOST_SECONDS)


SETTERS: dict[str, Callable[[Job, str], None]] = {
    "destruction": _set_destruction,
    "executionduration": _set_duration,
    "quote": _set_quote,
}

TEXTS: dict[str, Callable[[Job], str]] = {
    "phase": lambda job: job.phase,
    "executionduration": lambda job: str(job.seconds),
    "destruction": lambda job: timestamp(job.destruction),
    "quote": lambda job: timestamp(job.quote),
    "owner": lambda job: job.caller.name or "",
}
