"""SODA's asynchronous jobs, over sockets."""

from __future__ import annotations

import io
from xml.etree import ElementTree as ET

import httpx
from astropy.io import fits

URI = "cadc:CFHTSG/MegaPipe.016.263.G.MP9401.fits"
UWS = "{http://www.ivoa.net/xml/UWS/v1.0}"
LINK = "{http://www.w3.org/1999/xlink}href"


async def run(client: httpx.AsyncClient, **form: object) -> tuple[str, ET.Element]:
    """Create and run a job; its address and its document at the end."""
    created = await client.post("/caom2ops/async", data=form, follow_redirects=False)
    assert created.status_code == 303
    address = created.headers["location"]
    pending = ET.fromstring((await client.get(address)).content)
    assert pending.findtext(f"{UWS}phase") == "PENDING"
    started = await client.post(f"{address}/phase", data={"PHASE": "RUN"}, follow_redirects=False)
    assert (started.status_code, started.headers["location"]) == (303, address)
    return address, ET.fromstring((await client.get(address, params={"WAIT": "10"})).content)


async def test_a_job_makes_every_combination(client: httpx.AsyncClient) -> None:
    circles = ["215.0 52.5 0.001", "215.0 52.5 0.002", "10 10 1"]
    address, job = await run(client, ID=URI, CIRCLE=circles)
    assert job.findtext(f"{UWS}phase") == "COMPLETED"
    results = {str(r.get("id")): str(r.get(LINK)) for r in job.iter(f"{UWS}result")}
    assert list(results) == ["ok-1", "ok-2", "ok-3"]
    sizes = []
    for name in ("ok-1", "ok-2"):
        reply = await client.get(f"{address}/results/{name}")
        with fits.open(io.BytesIO(reply.content)) as hdus:
            sizes.append(hdus[0].data.shape[0])
    assert 0 < sizes[0] < sizes[1]
    missed = await client.get(results["ok-3"])
    assert (missed.status_code, missed.text) == (
        400, f"NoContent: {URI} vs POS=circle 10.0 10.0 1.0\n",
    )  # fmt: skip
    deleted = await client.delete(address, follow_redirects=False)
    assert deleted.headers["location"].endswith("/caom2ops/async")
    assert (await client.get(address)).status_code == 404


async def test_a_job_that_cannot_be_says_why(client: httpx.AsyncClient) -> None:
    address, job = await run(client, ID=[URI, URI])
    assert job.findtext(f"{UWS}phase") == "ERROR"
    told = job.findtext(f"{UWS}errorSummary/{UWS}message")
    assert told is not None
    assert told.strip() == "found 2 ID values, expected 1"
    assert (await client.get(f"{address}/error")).text == "found 2 ID values, expected 1\n"
