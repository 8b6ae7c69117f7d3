"""Logging in: a password for a token, and whom the archive takes one for (CADC access control)."""

from __future__ import annotations

import netrc
import time
from pathlib import Path
from urllib.parse import urlsplit

from cadcfs.archive.logins import Login
from cadcfs.archive.private_files import read_private
from cadcfs.archive.services import Services
from cadcfs.config import Settings
from cadcfs.errors import BadRequest, Forbidden, UserError
from cadcfs.network.client import Client
from cadcfs.network.redirects import Domains

LIFE = 48 * 3600.0
"""Seconds that a token lasts (CADC)."""


class LoginService:
    """Asks the service that knows the accounts; *seconds* for one question."""

    def __init__(
        self, client: Client, services: Services, domains: Domains, seconds: float
    ) -> None:
        self._client = client
        self._services = services
        self._domains = domains
        self._seconds = seconds

    async def host(self) -> str:
        """The host of the login address, which is what a netrc file calls a machine."""
        return urlsplit(await self._services.login_url()).hostname or ""

    async def by_password(self, user: str, password: str) -> Login:
        """A new login.

        Raises
        ------
        UserError
            Wrong user or password, or an address that must not see one.
        Unavailable
        """
        url = await self._services.login_url()
        if not self._domains.may_see(url):
            raise UserError(
                f"{url} is none of the archive's own hosts or not safe (TLS), "
                "so it gets no password; see the setting `domains`"
            )
        form = {"username": user, "password": password}
        try:
            answer = await self._client.post(url, form, seconds=self._seconds, follow=False)
        except (Forbidden, BadRequest) as exc:
            raise UserError(f"the archive refuses the login of {user}: {_words(exc)}") from exc
        token = answer.body.decode("ascii", "replace").strip()
        if not token.isascii() or not token.isprintable() or not 8 <= len(token) <= 16384:
            raise UserError(f"{url} answered with something else than a token")
        return Login("password", answer.user or user, time.time() + LIFE, token=token)

    async def by_netrc(self, path: Path) -> Login:
        """A new login with what *path* says of the login address's host.

        Raises
        ------
        UserError, Unavailable
        """
        host = await self.host()
        user, password = entry_for(path, host)
        found = await self.by_password(user, password)
        return Login("netrc", found.name, found.until, str(path), found.token)

    async def name(self, client: Client) -> str:
        """Whom the archive takes the credentials of *client* for; "" for nobody."""
        answer = await client.get(await self._services.whoami_url(), seconds=self._seconds)
        return answer.user


def entry_for(path: Path, host: str) -> tuple[str, str]:
    """User and password of *host* in a netrc file; blocking, raises `UserError`."""
    try:
        read_private(path)
        found = netrc.netrc(path).authenticators(host)
    except FileNotFoundError as exc:
        raise UserError(f"there is no {path}") from exc
    except netrc.NetrcParseError as exc:
        # Its own words may quote the line.
        raise UserError(f"{path} cannot be understood at line {exc.lineno}") from exc
    if found is None or not found[0] or not found[2]:
        raise UserError(f"{path} has no user and password for the machine {host}")
    return found[0], found[2]


def _words(exc: Exception) -> str:
    return str(exc).rpartition(": ")[2] or str(exc)


def trusted(settings: Settings) -> Domains:
    """Who may see credentials, as the settings say."""
    addresses = (*settings.registry_urls, settings.tap_url, settings.files_url)
    return Domains(settings.domains.split(), addresses)
