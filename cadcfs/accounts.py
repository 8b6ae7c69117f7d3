"""What a mount shows of the archive, by who asks: changes with the session, while it is mounted."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass

import trio

from cadcfs.archive.identity import Identity
from cadcfs.archive.login import LoginService, trusted
from cadcfs.archive.logins import Logins
from cadcfs.archive.session import Session
from cadcfs.config import Settings
from cadcfs.engine import Engine, acting_as
from cadcfs.jobs.opening import Desks, opened
from cadcfs.network.redirects import Wallet
from cadcfs.tasks import guarded

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class View:
    """The archive as one identity sees it, with that one's jobs; *name* is the account's."""

    engine: Engine
    desks: Desks
    name: str = ""


Show = Callable[[View], list[int]]
"""Lets the kernel see a view from now on; returns the inodes that may be other ones."""


@dataclass(frozen=True)
class Window:
    """Where views are shown.

    *leave* ends what only the account of the last view may see, with the reason; *forget* has the
    kernel forget what it keeps of inodes (blocking).
    """

    show: Show
    leave: Callable[[str], None]
    forget: Callable[[list[int]], None]


class Accounts:
    """Shows the public view, or that of the account that has logged in.

    Parameters
    ----------
    nursery
        Where the work of an account lives, until it leaves.
    """

    def __init__(
        self, settings: Settings, public: View, window: Window, nursery: trio.Nursery
    ) -> None:
        self._settings = settings
        self._domains = domains = trusted(settings)
        self._public = public
        self._window = window
        self._nursery = nursery
        self._name = ""
        self._wallet = Wallet(domains)
        self._left = trio.Event()
        client, services = public.engine.client, public.engine.services
        service = LoginService(client, services, domains, settings.metadata_time)
        logins = Logins(settings.login_dir, settings.archive)
        self.session = Session(settings, logins, service, self._heard)
        self.view = public

    async def _heard(self, identity: Identity) -> None:
        """Show what *identity* may see; the kernel keeps nothing else when this returns."""
        if identity.name and identity.name == self._name:
            self._wallet.credentials = identity.credentials
            return
        concerned = self._leave(identity) if self._name else []
        self._public.engine.catalogue.reader.note = identity.note
        if not identity.is_anonymous:
            self._wallet = Wallet(self._domains, identity.credentials, self.session.renew)
            self._name, self._left = identity.name, trio.Event()
            concerned = await self._nursery.start(self._serve, identity.name, self._wallet)
        await trio.to_thread.run_sync(self._window.forget, concerned)

    def _leave(self, identity: Identity) -> list[int]:
        why = identity.note or f"{self._name} has logged out"
        self._window.leave(why)
        self._wallet.end(why)
        self._name = ""
        self._left.set()
        self.view = self._public
        return self._window.show(self._public)

    async def _serve(
        self, name: str, wallet: Wallet, *, task_status: trio.TaskStatus[list[int]]
    ) -> None:
        left, public = self._left, self._public.engine
        async with (
            acting_as(name, wallet, self._settings, public) as engine,
            opened(self._settings, engine.client, engine.services, name, engine.root) as desks,
        ):
            self.view = View(engine, desks, name)
            engine.nursery.start_soon(guarded, desks.start)
            task_status.started(self._window.show(self.view))
            await left.wait()
