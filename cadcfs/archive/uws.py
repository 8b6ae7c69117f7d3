"""Asynchronous TAP (TAP 1.1, 2.3) by UWS 1.1: make, run, wait, abort, delete, fetch.

Spoken over our own client instead of pyvo: a wait must be cancellable, an answer must fit into its
time, and the result must stream to disk; pyvo's session blocks a thread for each of these. Ids
and phases are taken from the job's document (UWS 1.1, 3), which the service leads to after each
change (303).
"""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from urllib.parse import urljoin
from xml.etree import ElementTree

from cadcfs.archive.services import Services
from cadcfs.archive.tap import refusal_in, run_parameter, told, upload_parameter
from cadcfs.errors import CadcfsError, Incomplete, NotFound
from cadcfs.network.client import Client

log = logging.getLogger(__name__)

LONGEST_WAIT = 60
"""Seconds: no service needs to hold a request longer (CADC caps it here)."""
GRACE = 30.0
"""Seconds on top of a wait for the answer itself."""
_HREF = "{http://www.w3.org/1999/xlink}href"


@dataclass(frozen=True)
class RemoteJob:
    """A job as the archive describes it.

    *phase* is the archive's word; *error* its short message; *results* are URLs by id; *parameters*
    by name in upper case.
    """

    job_id: str
    phase: str
    error: str
    results: Mapping[str, str]
    parameters: Mapping[str, str]
    document: str


class Uws:
    """The asynchronous side of one TAP service."""

    def __init__(self, client: Client, services: Services, seconds: float) -> None:
        self._client = client
        self._services = services
        self._seconds = seconds

    async def create(
        self, adql: str, maxrec: int | None, uploads: Mapping[str, bytes], *, seconds: float
    ) -> RemoteJob:
        """A new job, which does not run yet; *uploads* are VOTables by table name.

        Raises
        ------
        BadRequest
            In the service's own words.
        Unavailable
        """
        # Without a format: the service's own VOTable has the largest limit of rows at CADC.
        form = {"REQUEST": "doQuery", "LANG": "ADQL", "QUERY": adql} | run_parameter()
        if maxrec is not None:
            form["MAXREC"] = str(maxrec)
        url = f"{await self._services.tap_url()}/async"
        log.info("making a job at %s: %s", url, adql)
        try:
            if uploads:
                form["UPLOAD"] = upload_parameter(uploads)
                answer = await self._client.post_parts(url, form, uploads, seconds=seconds)
            else:
                answer = await self._client.post(url, form, seconds=seconds)
        except CadcfsError as exc:
            raise refusal_in(exc) from exc
        return parse_job(answer.body, answer.url)

    async def run(self, job_id: str) -> RemoteJob:
        return await self._tell(job_id, "RUN")

    async def abort(self, job_id: str) -> RemoteJob:
        return await self._tell(job_id, "ABORT")

    async def delete(self, job_id: str) -> None:
        """Delete the job; one that is gone already is no error."""
        try:
            await self._client.delete(await self._url(job_id), seconds=self._seconds)
        except NotFound:
            log.info("job %s is gone at the archive already", job_id)

    async def job(self, job_id: str, *, wait: int = 0, phase: str = "") -> RemoteJob:
        """The job; with *wait*, once its phase is not *phase* any more, or after *wait* seconds.

        A service that does not know WAIT (UWS 1.0) answers at once.
        """
        url = await self._url(job_id)
        if wait:
            url += f"?WAIT={wait}" + (f"&PHASE={phase}" if phase else "")
        answer = await self._client.get(url, seconds=wait + max(GRACE, self._seconds))
        return parse_job(answer.body, answer.url)

    async def listed(self) -> list[str]:
        """Ids of the jobs of whoever asks; a service refuses this to nobody.

        pyvo does not read such a list (UWS 1.1, 3: jobs).
        """
        url = f"{await self._services.tap_url()}/async"
        answer = await self._client.get(url, seconds=self._seconds)
        try:
            root = ElementTree.fromstring(answer.body)  # noqa: S314  (expat refuses entity bombs)
        except ElementTree.ParseError as exc:
            raise Incomplete(f"{url}: no list of jobs: {exc}") from exc
        return [e.get("id", "") for e in root.iter() if _tag(e) == "jobref" and e.get("id")]

    async def result(self, remote: RemoteJob) -> AbstractAsyncContextManager[AsyncIterator[bytes]]:
        """The pieces of the result: what TAP calls `result`, wherever the service keeps it."""
        base = await self._url(remote.job_id)
        href = urljoin(f"{base}/", remote.results.get("result", ""))
        url = href if remote.results.get("result") else f"{base}/results/result"
        return self._client.stream(url, seconds=max(GRACE, self._seconds))

    async def error(self, remote: RemoteJob) -> str:
        """Why it failed, in the service's own words."""
        try:
            url = f"{await self._url(remote.job_id)}/error"
            answer = await self._client.get(url, seconds=self._seconds)
        except CadcfsError as exc:
            log.info("no error document: %s", exc)
            return remote.error or "the archive does not say why"
        text = answer.body.decode("utf-8", "replace").strip()
        return told(text) or text or remote.error or "the archive does not say why"

    async def _tell(self, job_id: str, phase: str) -> RemoteJob:
        url = f"{await self._url(job_id)}/phase"
        answer = await self._client.post(url, {"PHASE": phase}, seconds=self._seconds)
        try:
            return parse_job(answer.body, answer.url)
        except Incomplete:
            # A service that does not lead to the job after a change.
            return await self.job(job_id)

    async def _url(self, job_id: str) -> str:
        return f"{await self._services.tap_url()}/async/{job_id}"


def parse_job(body: bytes, url: str) -> RemoteJob:
    """A job's document (UWS 1.1, schema); `Incomplete` for what is none."""
    try:
        root = ElementTree.fromstring(body)  # noqa: S314  (expat refuses entity bombs)
    except ElementTree.ParseError as exc:
        raise Incomplete(f"{url}: no UWS document: {exc}") from exc
    if _tag(root) != "job":
        raise Incomplete(f"{url}: a {_tag(root)} instead of a UWS job")
    text = {_tag(child): (child.text or "").strip() for child in root}
    job_id, phase = text.get("jobId", ""), text.get("phase", "")
    if not job_id or not phase:
        raise Incomplete(f"{url}: a UWS document without an id or a phase")
    return RemoteJob(
        job_id=job_id,
        phase=phase.upper(),
        error=next((_text(e) for e in root.iter() if _tag(e) == "message"), ""),
        results={e.get("id", ""): e.get(_HREF, "") for e in root.iter() if _tag(e) == "result"},
        parameters={
            (e.get("id") or "").upper(): _text(e) for e in root.iter() if _tag(e) == "parameter"
        },
        document=body.decode("utf-8", "replace"),
    )


def _tag(element: ElementTree.Element) -> str:
    return element.tag.rpartition("}")[2]


def _text(element: ElementTree.Element) -> str:
    return (element.text or "").strip()
