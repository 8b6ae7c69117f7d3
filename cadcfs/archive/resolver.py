"""The archive's name resolver: an object's name -> its position.

Answers lines of `key=value`, with `coordsys`, `ra` and `dec` (deg) among them (README of
opencadc/cadc-target-resolver).
"""

from __future__ import annotations

from urllib.parse import quote

from cadcfs.archive.services import Services
from cadcfs.errors import BadRequest, Incomplete, NotFound
from cadcfs.network.client import Client


class Resolver:
    """Asks the resolver; *seconds* for one question."""

    def __init__(self, client: Client, services: Services, seconds: float) -> None:
        self._client = client
        self._services = services
        self._seconds = seconds

    async def position(self, target: str) -> tuple[str, str] | tuple[()]:
        """Right ascension and declination (ICRS, deg) as text; nothing for an unknown object."""
        url = f"{await self._services.resolver_url()}?target={quote(target, safe='')}&format=ascii"
        try:
            answer = await self._client.get(url, seconds=self._seconds)
        except (NotFound, BadRequest):
            return ()
        return parse_position(answer.body.decode("utf-8", "replace"), url)


def parse_position(text: str, url: str) -> tuple[str, str] | tuple[()]:
    """The position in *text*; nothing where it tells of none.

    Raises
    ------
    Incomplete
        A position that cannot be used.
    """
    found = {
        key.strip().lower(): value.strip()
        for key, _, value in (line.partition("=") for line in text.splitlines())
    }
    if "ra" not in found or "dec" not in found:
        return ()
    if found.get("coordsys", "ICRS").upper() != "ICRS":
        raise Incomplete(f"{url}: a position in {found['coordsys']}, not ICRS")
    try:
        float(found["ra"]), float(found["dec"])
    except ValueError as exc:
        raise Incomplete(f"{url}: no position in degrees: {found['ra']} {found['dec']}") from exc
    return found["ra"], found["dec"]
