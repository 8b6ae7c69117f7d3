"""Everything between a tree of files and the archive, put together; runs without a kernel mount."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

import trio

from cadcfs.archive.addresses import Addresses
from cadcfs.archive.datalink import DataLink
from cadcfs.archive.files import Files
from cadcfs.archive.holdings import Holdings
from cadcfs.archive.metadata import Metadata
from cadcfs.archive.outlines import Outlines
from cadcfs.archive.resolver import Resolver
from cadcfs.archive.services import Services
from cadcfs.archive.site_cache import SiteCache
from cadcfs.archive.soda import Soda
from cadcfs.archive.tap import Tap
from cadcfs.cache.listings import Listings
from cadcfs.cache.store import BlockStore
from cadcfs.cache.streams import Streams
from cadcfs.cache.whole import Wholes
from cadcfs.config import Settings
from cadcfs.network.carrier import Carrier
from cadcfs.network.client import Client
from cadcfs.network.hosts import Hosts
from cadcfs.network.redirects import Wallet
from cadcfs.tree.catalogue import Catalogue
from cadcfs.tree.reader import Account, Reader
from cadcfs.tree.workshop import Workshop

log = logging.getLogger(__name__)

GRACE = 0.5
"""Seconds that the socket has to tell of a stall before its reader gives up."""
CLOSING_TIME = 3.0
"""Seconds for writing down what is here, at the end."""
ACCOUNTS = "accounts"
"""Below the cache directory: what the archive told accounts, each in a directory of its own."""
SHARE = 4
"""An account's own files take the fourth part of the cache's size at most."""


@dataclass(frozen=True)
class Engine:
    """The parts that others ask, for nobody in particular or for one account."""

    client: Client
    services: Services
    listings: Listings
    streams: Streams
    wholes: Wholes
    files: Files
    catalogue: Catalogue
    nursery: trio.Nursery
    root: Path
    """Directory of what is remembered."""


@asynccontextmanager
async def running(settings: Settings) -> AsyncIterator[Engine]:
    """An engine for nobody in particular; its background work ends with it."""
    hosts = Hosts(offline=settings.offline, check_every=settings.listing_time)
    async with Client(hosts=hosts) as client, trio.open_nursery() as nursery:
        root = settings.cache_dir
        listings = _listings(settings, root, nursery)
        services = Services(client, listings, settings)
        made = _Made(settings, client, services, listings, nursery)
        async with _ending(made.engine(root, settings.cache_size, None), nursery) as engine:
            yield engine


@asynccontextmanager
async def acting_as(
    name: str, wallet: Wallet, settings: Settings, public: Engine
) -> AsyncIterator[Engine]:
    """An engine for an account: what it hears and its own files are kept apart.

    The bytes of public files are shared with *public*, and asked for as nobody.
    """
    async with Client(wallet, public.client.hosts) as client, trio.open_nursery() as nursery:
        root = settings.cache_dir / ACCOUNTS / f"account-{quote(name, safe='')}"
        await trio.to_thread.run_sync(_make_private, root)
        listings = _listings(settings, root, nursery)
        made = _Made(settings, client, public.services, listings, nursery)
        account = made.engine(root, settings.cache_size // SHARE, (name, public))
        async with _ending(account, nursery) as engine:
            yield engine


@asynccontextmanager
async def _ending(engine: Engine, nursery: trio.Nursery) -> AsyncIterator[Engine]:
    try:
        yield engine
    finally:
        nursery.cancel_scope.cancel()
        with trio.CancelScope(shield=True, deadline=trio.current_time() + CLOSING_TIME):
            await engine.streams.aclose()
        engine.wholes.close()
        engine.listings.close()


class _Made:
    """What an engine is put together with."""

    def __init__(
        self, settings: Settings, client: Client, services: Services, listings: Listings,
        nursery: trio.Nursery,
    ) -> None:  # fmt: skip
        self._settings = settings
        self._client = client
        self._services = services
        self._listings = listings
        self._nursery = nursery

    def engine(self, root: Path, size: int, account: tuple[str, Engine] | None) -> Engine:
        settings, client, services = self._settings, self._client, self._services
        store = BlockStore(root, quota=size, floor=settings.cache_free)
        streams = Streams(store, self._nursery, patience=settings.read_time + GRACE)
        wholes = Wholes(root, store, streams, self._nursery, patience=settings.listing_time)
        carrier = Carrier(
            client.wallet, client.hosts, stall=settings.read_time, head_time=settings.metadata_time
        )
        near = None
        if settings.site_cache and account is None:
            # Nobody in particular reads public files alone; an account's own never go there.
            near = SiteCache(settings.site_cache, lambda: client.hosts.is_offline)
        files = Files(services, carrier, near)
        soda = Soda(client, carrier, services, self._listings)
        addresses = Addresses(files, DataLink(client, services, settings.listing_time))
        tap = Tap(client, services)
        reader = Reader(streams, files, addresses)
        if account is not None:
            name, public = account
            reader = Reader(public.streams, public.files, addresses, Account(name, streams, files))
        catalogue = Catalogue(
            Holdings(tap, granted=account is not None), self._listings,
            Resolver(client, services, settings.metadata_time), reader,
            Workshop(wholes, files, soda, Metadata(tap), Outlines(tap), addresses), settings,
        )  # fmt: skip
        return Engine(
            client, services, self._listings, streams, wholes, files, catalogue, self._nursery, root
        )


def _listings(settings: Settings, root: Path, nursery: trio.Nursery) -> Listings:
    return Listings(root / "answers-v3", nursery, patience=settings.listing_time)


def _make_private(root: Path) -> None:
    try:
        root.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        root.mkdir(mode=0o700, exist_ok=True)
        for directory in (root.parent, root):
            directory.chmod(0o700)
    except OSError as exc:
        log.warning("%s cannot be used (%s); nothing is kept in it", root, exc)
