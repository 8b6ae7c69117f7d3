"""The archive's services: is the registry one, do they say that they are available, which time."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace
from email.utils import parsedate_to_datetime
from pathlib import Path
from tempfile import TemporaryDirectory

import httpx

from cadcfs.archive.services import Services
from cadcfs.config import Settings
from cadcfs.doctor.finding import Finding, ok, problem, warning
from cadcfs.engine import running
from cadcfs.errors import CadcfsError

SKEW = 300.0
"""Seconds by which a clock may be wrong before certificates and tokens are misjudged."""
REGISTRY_CURE = "check the network, or name another registry with --registry-url"


async def look(settings: Settings) -> AsyncIterator[Finding]:
    """Ask everything afresh: nothing that is remembered counts."""
    with TemporaryDirectory(prefix="cadcfs-doctor-") as directory:
        fresh = replace(settings, cache_dir=Path(directory), offline=False)
        async with running(fresh) as engine:
            yield await _clock(settings)
            try:
                await engine.services.check()
            except CadcfsError as exc:
                yield problem("registry", str(exc), REGISTRY_CURE)
                return
            yield ok("registry", settings.registry_urls[0])
            hosts = engine.client.hosts
            for name, find in _services(engine.services).items():
                yield await _service(name, find, hosts.availability)


def _services(services: Services) -> dict[str, Callable[[], Awaitable[str]]]:
    return {
        "TAP": services.tap_url,
        "files": services.files_url,
        "links": services.datalink_url,
        "resolver": services.resolver_url,
        "login": services.whoami_url,
    }


async def _service(
    name: str,
    find: Callable[[], Awaitable[str]],
    availability: Callable[[str], Awaitable[CadcfsError | None]],
) -> Finding:
    cure = "wait until it is back, or set another service's URL"
    try:
        url = await find()
        trouble = await availability(url)
    except CadcfsError as exc:
        return problem(name, str(exc), "check registry_url and the identifiers of the services")
    return problem(name, str(trouble), cure) if trouble else ok(name, f"{url} is available")


async def _clock(settings: Settings) -> Finding:
    """Compare with the registry's clock (RFC 9110, 6.6.1)."""
    url = settings.registry_urls[0]
    try:
        async with httpx.AsyncClient(timeout=settings.metadata_time / 2) as client:
            told = (await client.get(url)).headers.get("date", "")
        wrong = time.time() - parsedate_to_datetime(told).timestamp()
    except (httpx.HTTPError, httpx.InvalidURL, ValueError):
        return warning("clock", "cannot be compared: the registry tells no time", REGISTRY_CURE)
    if abs(wrong) > SKEW:
        return problem("clock", f"is {wrong:+.0f} s from the registry's",
                       "set it: timedatectl set-ntp true")  # fmt: skip
    return ok("clock", "agrees with the registry's")
