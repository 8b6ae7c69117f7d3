"""UWS documents (UWS 1.1, appendix A): a job, its parts, and lists of jobs, as CADC writes them."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from xml.sax.saxutils import escape, quoteattr

from cadcfs.demo.tap.job import Job
from cadcfs.demo.tap.running import timestamp
from cadcfs.demo.tap.submission import Pairs
from cadcfs.demo.tap.writer import clean

_DECLARATION = '<?xml version="1.0" encoding="UTF-8"?>\n'
_SPACES = (
    'xmlns:uws="http://www.ivoa.net/xml/UWS/v1.0" xmlns:xlink="http://www.w3.org/1999/xlink" '
    'xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" version="1.1"'
)


def job_document(job: Job, results: Pairs) -> str:
    """Write a whole job; results are names and addresses."""
    error = ""
    if job.error is not None:
        detail = "true" if job.file else "false"
        error = (
            f'  <uws:errorSummary type="fatal" hasDetail="{detail}">\n'
            f"    <uws:message>{_text(job.error)}</uws:message>\n  </uws:errorSummary>\n"
        )
    return (
        f"{_DECLARATION}<uws:job {_SPACES}>\n"
        f"  <uws:jobId>{job.id}</uws:jobId>\n"
        f"  {_optional('runId', job.run_id or '')}\n"
        f"  {_nillable('ownerId', job.caller.name)}\n"
        f"  <uws:phase>{job.phase}</uws:phase>\n"
        f"  {_moment('quote', job.quote)}\n"
        f"  {_moment('creationTime', job.created)}\n"
        f"  {_moment('startTime', job.started)}\n"
        f"  {_moment('endTime', job.ended)}\n"
        f"  <uws:executionDuration>{job.seconds}</uws:executionDuration>\n"
        f"  {_moment('destruction', job.destruction)}\n"
        f"{_parameters(job.submission.pairs)}{_results(results)}{error}</uws:job>\n"
    )


def parameters_document(pairs: Pairs) -> str:
    """Write a job's parameters alone."""
    return _DECLARATION + _parameters(pairs, _SPACES)


def results_document(results: Pairs) -> str:
    """Write a job's results alone."""
    return _DECLARATION + _results(results, _SPACES)


def list_document(jobs: Iterable[Job]) -> str:
    """Write a list of jobs (UWS 1.1, section 2.2.2.1)."""
    parts = [_DECLARATION, f"<uws:jobs {_SPACES}>\n"]
    for job in jobs:
        run = f"    {_optional('runId', job.run_id)}\n" if job.run_id else ""
        parts.append(
            f'  <uws:jobref id="{job.id}">\n    <uws:phase>{job.phase}</uws:phase>\n{run}'
            f"    {_nillable('ownerId', job.caller.name)}\n"
            f"    {_moment('creationTime', job.created)}\n  </uws:jobref>\n"
        )
    parts.append("</uws:jobs>\n")
    return "".join(parts)


def _parameters(pairs: Pairs, spaces: str = "") -> str:
    inner = "".join(
        f"    <uws:parameter id={_attribute(key)}>{_text(value)}</uws:parameter>\n"
        for key, value in pairs
    )
    return _wrapped("parameters", inner, spaces)


def _results(results: Pairs, spaces: str = "") -> str:
    inner = "".join(
        f"    <uws:result id={_attribute(name)} xlink:href={_attribute(address)}/>\n"
        for name, address in results
    )
    return _wrapped("results", inner, spaces)


def _wrapped(tag: str, inner: str, spaces: str) -> str:
    opening = f"uws:{tag} {spaces}".rstrip()
    return f"  <{opening}>\n{inner}  </uws:{tag}>\n" if inner else f"  <{opening}/>\n"


def _optional(tag: str, text: str) -> str:
    return f"<uws:{tag}>{_text(text)}</uws:{tag}>" if text else f"<uws:{tag}/>"


def _nillable(tag: str, text: str | None) -> str:
    return f'<uws:{tag} xsi:nil="true"/>' if text is None else _optional(tag, text)


def _moment(tag: str, moment: datetime | None) -> str:
    return _nillable(tag, None if moment is None else timestamp(moment))


def _text(text: str) -> str:
    return escape(clean(text))


def _attribute(text: str) -> str:
    return quoteattr(clean(text))
