"""Who a mount is, as long as it runs: heard from `cadcfs login`, a certificate, a renewed token.

What decides: the last `cadcfs login` or `logout`, else the proxy certificate where there is one,
else nobody. A login that the archive does not take any more is renewed once, where that can be
done without asking anybody (another process or the keyring has a new one, or netrc); else the mount
goes on as nobody, and says why. One that ends soon and cannot be renewed is told of before.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

import trio

from cadcfs.archive.certificate import by_certificate
from cadcfs.archive.identity import ANONYMOUS, Identity
from cadcfs.archive.login import LoginService
from cadcfs.archive.logins import CERTIFICATE, NETRC, NOBODY, Login, Logins, Stamp, stamp
from cadcfs.config import Settings
from cadcfs.errors import CadcfsError, UserError
from cadcfs.network.redirects import Credentials
from cadcfs.tasks import guarded

log = logging.getLogger(__name__)

LOOK = 1.0
"""Seconds between two looks at the files that a login leaves."""
AHEAD = 3600.0
"""Seconds before its end at which a token is renewed, or is told of where that cannot be."""
AGAIN = 600.0
"""Seconds before a renewal that failed is tried again ahead of time."""
SOON = 86400.0
"""Seconds before its end at which a certificate is told of: to get another takes a person."""

SHARED = Identity(note="other users are let in, and share_identity is not set")

Heard = Callable[[Identity], Awaitable[None]]


class Session:
    """The identity in force. For the event loop; files are read in threads.

    All that changes it happens in the one task of `watch`.

    Parameters
    ----------
    heard
        Called with each new identity; who asked for a look waits until it returns.
    """

    def __init__(
        self, settings: Settings, logins: Logins, service: LoginService, heard: Heard
    ) -> None:
        self._settings = settings
        self._logins = logins
        self._service = service
        self._heard = heard
        self._seen: tuple[Stamp, Stamp] | None = None
        self._kept: Login | None = None
        self._not_before = 0.0
        self._wanted = trio.Event()
        self._waiting: list[trio.Event] = []
        self._refused: Credentials | None = None
        self._told = ANONYMOUS
        self._dead: Credentials | None = None
        self._is_shared = settings.allow_other and not settings.share_identity
        self.identity = SHARED if self._is_shared else ANONYMOUS

    async def watch(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Look at what decides, for ever; it is known when this has started."""
        await self._look()
        task_status.started()
        while not self._is_shared:
            with trio.move_on_after(LOOK):
                await self._wanted.wait()
            self._wanted = trio.Event()
            await guarded(self._see_to_it)

    async def _see_to_it(self) -> None:
        """One look, and what follows from it."""
        waiting, self._waiting = self._waiting, []
        refused, self._refused = self._refused, None
        try:
            # A keyring changes, or is unlocked, without a trace in our file.
            await self._look(afresh=refused is not None or bool(waiting and self.identity.note))
            if refused is not None and refused == self.identity.credentials:
                await self._by_netrc() or await self._end()
            elif self._is_to_be_renewed():
                self._not_before = time.time() + AGAIN
                await self._by_netrc()
            self._tell_of_the_end()
        finally:
            for done in waiting:
                done.set()

    async def now(self) -> Identity:
        """Who it is now; when it returns, everything goes by that."""
        if not self._is_shared:
            done = trio.Event()
            self._waiting.append(done)
            self._wanted.set()
            await done.wait()
        return self.identity

    async def renew(self, refused: Credentials) -> bool:
        """Find others for credentials that the archive did not take; True if there are some.

        Else it is nobody from now on. One try, however many ask.
        """
        if self.identity.credentials == refused:
            self._refused = refused
            await self.now()
        return not self.identity.is_anonymous

    async def _look(self, *, afresh: bool = False) -> None:
        if self._is_shared:
            return
        seen = await trio.to_thread.run_sync(self._stamps)
        if afresh or seen != self._seen or time.time() >= self.identity.credentials.until:
            is_other, self._seen = seen != self._seen, seen
            identity, self._kept = await trio.to_thread.run_sync(
                identity_of, self._settings, self._logins
            )
            # The credentials that were refused are still there, and still no good.
            if is_other or identity.credentials != self._dead:
                await self._become(identity)

    async def _by_netrc(self) -> bool:
        """True once a netrc file has given another token."""
        if self.identity.is_anonymous or self._kept is None:
            return False
        done = await by_netrc(self._kept, self._logins, self._service)
        if done:
            await self._look()
        return done

    async def _end(self) -> bool:
        old = self.identity
        self._dead = old.credentials
        what = "certificate" if old.credentials.certificate else "login"
        note = f"the archive does not take the {what} of {old.name} any more; log in again"
        await self._become(Identity(note=note))
        return False

    async def _become(self, identity: Identity) -> None:
        if identity == self.identity:
            return
        if identity.note:
            log.warning("anonymous: %s", identity.note)
        elif (identity.name, identity.how) != (self.identity.name, self.identity.how):
            log.info("the archive is asked by: %s", identity)
        self.identity = identity
        await self._heard(identity)

    def _tell_of_the_end(self) -> None:
        """One line in time for whoever has to log in again."""
        identity, kept = self.identity, self._kept
        if identity == self._told or identity.until is None:
            return
        by_netrc = kept is not None and kept.how == NETRC
        soon = SOON if identity.credentials.certificate else AHEAD
        if not by_netrc and identity.until - soon < time.time() < identity.until:
            self._told = identity
            log.warning("the login ends soon: %s; log in again with: cadcfs login", identity)

    def _is_to_be_renewed(self) -> bool:
        kept, now = self._kept, time.time()
        if kept is None or kept.how != NETRC or kept.until is None or now < self._not_before:
            return False
        return not self.identity.is_anonymous and now >= kept.until - AHEAD

    def _stamps(self) -> tuple[Stamp, Stamp]:
        kept = self._kept
        file = Path(kept.file) if kept is not None and kept.how == CERTIFICATE else None
        return self._logins.stamp(), stamp(file or self._settings.certificate)


async def renewed(
    settings: Settings, logins: Logins, service: LoginService, refused: Credentials
) -> Identity:
    """Who it is when the archive has not taken *refused*, for what asks once; see `Session`."""
    identity, kept = await trio.to_thread.run_sync(identity_of, settings, logins)
    is_refused = kept is not None and identity.credentials == refused
    if kept is not None and is_refused and await by_netrc(kept, logins, service):
        identity, _ = await trio.to_thread.run_sync(identity_of, settings, logins)
    return identity


async def by_netrc(kept: Login, logins: Logins, service: LoginService) -> bool:
    """Keep another login in place of *kept*; False, with a log line, where none is to be had."""
    if kept.how != NETRC:
        return False
    try:
        login = await service.by_netrc(Path(kept.file))
        await trio.to_thread.run_sync(logins.keep, login)
    except CadcfsError as exc:
        log.warning("the login of %s cannot be renewed: %s", kept.name, exc)
        return False
    log.info("the login of %s is renewed", login.name)
    return True


def identity_of(settings: Settings, logins: Logins) -> tuple[Identity, Login | None]:
    """Who the files say that it is, and the login behind that; blocking."""
    kept = None
    try:
        kept = logins.read()
        if kept is None:
            return found_certificate(settings), None
        if kept.how == NOBODY:
            return ANONYMOUS, kept
        if kept.how == CERTIFICATE:
            return by_certificate(Path(kept.file)), kept
    except FileNotFoundError:
        return Identity(note=f"there is no certificate {kept.file if kept else ''} any more"), kept
    except UserError as exc:
        return Identity(note=str(exc)), kept
    return Identity(kept.name, kept.how, kept.until, credentials=Credentials(kept.token)), kept


def found_certificate(settings: Settings) -> Identity:
    """Who the proxy certificate says that it is, where there is one; blocking.

    Raises
    ------
    UserError
        It cannot be used; or it is not there, and the settings say that it is.
    """
    addresses = (*settings.registry_urls, settings.tap_url)
    if not any(address.startswith("https:") for address in addresses):
        return ANONYMOUS
    try:
        return by_certificate(settings.certificate)
    except FileNotFoundError as exc:
        if settings.certificate == Settings().certificate:
            return ANONYMOUS
        raise UserError(f"there is no certificate {settings.certificate}") from exc
