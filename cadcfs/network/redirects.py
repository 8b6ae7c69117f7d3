"""Who may see credentials: decided anew for every request, so also behind a redirect.

They go to the archive's own hosts (and what is below them), over TLS. On this machine (loopback)
they go to the very addresses that the settings name, and TLS is not asked for: another port may
be another user's.
"""

from __future__ import annotations

import ipaddress
import math
import ssl
import time
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar
from urllib.parse import SplitResult, urljoin, urlsplit

from cadcfs.errors import Forbidden, Unauthorized, Unavailable

T = TypeVar("T")

HOPS = 6
"""Redirects on the way to an answer."""
PORTS = {"http": 80, "https": 443}


@dataclass(frozen=True)
class Credentials:
    """What a request carries: a token, or a certificate with its key in one PEM file.

    *until* is when a certificate ends, in seconds since 1970.
    """

    token: str = field(default="", repr=False)
    certificate: Path | None = None
    until: float = math.inf


NONE = Credentials()


class Domains:
    """Tells the hosts that may see credentials.

    Parameters
    ----------
    domains
        Names of hosts or domains; a leading dot is the same as none.
    addresses
        URLs of the settings; those on loopback are trusted, each with its port.
    """

    def __init__(self, domains: Iterable[str], addresses: Iterable[str] = ()) -> None:
        self._domains = frozenset(domain.strip(".").lower() for domain in domains) - {""}
        parts = [urlsplit(address) for address in addresses if address]
        self._here = frozenset(_origin(part) for part in parts if _is_loopback(part.hostname or ""))

    def may_see(self, url: str) -> bool:
        """True where a request for *url* may carry credentials."""
        try:
            parts = urlsplit(url)
            origin = _origin(parts)
        except ValueError:
            return False
        host = (parts.hostname or "").rstrip(".")
        if _is_loopback(host):
            return origin in self._here or host in self._domains
        return parts.scheme == "https" and any(
            host == domain or host.endswith(f".{domain}") for domain in self._domains
        )


class Wallet:
    """The credentials of one identity; another login of the same one puts in others.

    Parameters
    ----------
    renew
        Called with the credentials that the archive did not take; True once there are others.
    """

    def __init__(
        self,
        domains: Domains,
        credentials: Credentials = NONE,
        renew: Callable[[Credentials], Awaitable[bool]] | None = None,
    ) -> None:
        self._domains = domains
        self._renew = renew
        self._context: ssl.SSLContext | None = None
        self._ended = ""
        self.credentials = credentials

    @property
    def credentials(self) -> Credentials:
        return self._credentials

    @credentials.setter
    def credentials(self, credentials: Credentials) -> None:
        self._credentials = credentials
        self._context = None

    def end(self, reason: str) -> None:
        """Nothing is asked in this name any more; also not as nobody, who would hear less."""
        self._ended = reason
        self.credentials = NONE

    def check(self) -> None:
        """`Forbidden` after `end`."""
        if self._ended:
            raise Forbidden(self._ended)

    async def renewed(self, refused: Credentials) -> bool:
        """Find others for what the archive did not take; False where there are none."""
        if self._credentials != refused:
            return True
        return self._renew is not None and await self._renew(refused)

    async def authorized(self, work: Callable[[], Awaitable[T]]) -> T:
        """What *work* gives; done again, once, where the archive asks for a new login."""
        shown = self._credentials
        try:
            return await work()
        except Unauthorized:
            if not await self.renewed(shown):
                raise
        return await work()

    def is_shown(self, url: str) -> bool:
        """True where a request for *url* carries anything."""
        return self._credentials != NONE and self._domains.may_see(url)

    def headers(self, url: str) -> dict[str, str]:
        """What a request for *url* carries in its head; `Forbidden` after `end`."""
        self.check()
        token = self._credentials.token
        return {"Authorization": f"Bearer {token}"} if token and self.is_shown(url) else {}

    def context(self, url: str) -> ssl.SSLContext | None:
        """TLS with the certificate, where *url* may see that; blocking, the first time.

        Raises
        ------
        Unauthorized
            It has ended, or the file is gone or cannot be used any more.
        """
        self.check()
        certificate = self._credentials.certificate
        if certificate is None or not url.startswith("https:") or not self.is_shown(url):
            return None
        if time.time() >= self._credentials.until:
            raise Unauthorized(f"the certificate {certificate} has ended")
        if self._context is None:
            try:
                self._context = context_with(certificate)
            except OSError as exc:
                raise Unauthorized(
                    f"the certificate {certificate} cannot be used any more: {exc}"
                ) from exc
        return self._context


def context_with(certificate: Path) -> ssl.SSLContext:
    """TLS for a client with *certificate*; blocking. Raises OSError (ssl.SSLError is one)."""
    import httpx

    context = httpx.create_ssl_context()
    # Never asks at the terminal for the key's password.
    context.load_cert_chain(certificate, password="")
    return context


def next_place(url: str, location: str) -> str:
    """Where a redirect from *url* leads.

    Raises
    ------
    Unavailable
        Out of TLS, or to no web address.
    """
    try:
        place = urljoin(url, location)
        old, new = urlsplit(url), urlsplit(place)
        leaves_tls = new.scheme == "http" and old.scheme == "https"
        if new.scheme not in PORTS or (leaves_tls and not _is_loopback(new.hostname or "")):
            raise ValueError(f"to {new.scheme}://{new.hostname}")
    except ValueError as exc:
        raise Unavailable(f"{url}: a redirect that is not followed: {exc}") from exc
    return place


def _origin(parts: SplitResult) -> tuple[str, int]:
    return (parts.hostname or "").rstrip("."), parts.port or PORTS.get(parts.scheme, 0)


def _is_loopback(host: str) -> bool:
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
