"""Everything between a tree of files and the archive, put together; runs without a kernel mount."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

import trio

from cadcfs.archive.addresses import Addresses
from cadcfs.archive.datalink import DataLink
from cadcfs.archive.files import Files
from cadcfs.archive.holdings import Holdings
from cadcfs.archive.metadata import Metadata
from cadcfs.archive.resolver import Resolver
from cadcfs.archive.services import Services
from cadcfs.archive.soda import Soda
from cadcfs.archive.tap import Tap
from cadcfs.cache.listings import Listings
from cadcfs.cache.store import BlockStore
from cadcfs.cache.stream import Streams
from cadcfs.cache.whole import Wholes
from cadcfs.config import Settings
from cadcfs.network.carrier import Carrier
from cadcfs.network.client import Client
from cadcfs.network.hosts import Hosts
from cadcfs.tree.catalogue import Catalogue
from cadcfs.tree.reader import Reader
from cadcfs.tree.workshop import Workshop

GRACE = 0.5
"""Seconds that the socket has to tell of a stall before its reader gives up."""
CLOSING_TIME = 3.0
"""Seconds for writing down what is here, at the end."""


@dataclass(frozen=True)
class Engine:
    """The parts that others ask; alive as long as `running`."""

    client: Client
    services: Services
    listings: Listings
    streams: Streams
    wholes: Wholes
    catalogue: Catalogue
    nursery: trio.Nursery


@asynccontextmanager
async def running(settings: Settings) -> AsyncIterator[Engine]:
    """An engine; its background work ends with it."""
    hosts = Hosts(offline=settings.offline, check_every=settings.listing_time)
    async with Client(hosts=hosts) as client, trio.open_nursery() as nursery:
        engine = _built(settings, client, nursery)
        try:
            yield engine
        finally:
            nursery.cancel_scope.cancel()
            with trio.CancelScope(shield=True, deadline=trio.current_time() + CLOSING_TIME):
                await engine.streams.aclose()
            engine.wholes.close()
            engine.listings.close()


def _built(settings: Settings, client: Client, nursery: trio.Nursery) -> Engine:
    listings = Listings(settings.cache_dir / "answers-v2", nursery, patience=settings.listing_time)
    services = Services(client, listings, settings)
    store = BlockStore(settings.cache_dir, quota=settings.cache_size, floor=settings.cache_free)
    streams = Streams(store, nursery, patience=settings.read_time + GRACE)
    wholes = Wholes(settings.cache_dir, store, streams, nursery, patience=settings.listing_time)
    carrier = Carrier(
        hosts=client.hosts, stall=settings.read_time, head_time=settings.metadata_time
    )
    files = Files(services, carrier)
    soda = Soda(client, carrier, services, listings)
    addresses = Addresses(files, DataLink(client, services, settings.listing_time))
    tap = Tap(client, services)
    catalogue = Catalogue(
        Holdings(tap), listings, Resolver(client, services, settings.metadata_time),
        Reader(streams, files, addresses),
        Workshop(wholes, files, soda, Metadata(tap), addresses), settings,
    )  # fmt: skip
    return Engine(client, services, listings, streams, wholes, catalogue, nursery)
