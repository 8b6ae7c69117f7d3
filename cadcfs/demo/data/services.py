"""All services of the archive's data, over one archive."""

from __future__ import annotations

import trio
from starlette.routing import Route

from cadcfs.demo.archive import Archive
from cadcfs.demo.auth.tokens import Signer
from cadcfs.demo.data.datalink import LinkService
from cadcfs.demo.data.files import FileService
from cadcfs.demo.data.holdings import Holdings
from cadcfs.demo.data.legacy import LegacyService
from cadcfs.demo.data.locate import LocateService
from cadcfs.demo.data.meta import MetaService
from cadcfs.demo.data.metadata import Metadata
from cadcfs.demo.data.package import PackageService
from cadcfs.demo.data.resolver import ResolverService
from cadcfs.demo.data.soda import Cutter, SodaService
from cadcfs.demo.data.soda_async import SodaJobs
from cadcfs.demo.tap.uws import UwsEndpoint

_LOOKUPS_AT_ONCE = 16
_CUTOUTS_AT_ONCE = 4
_STREAMS_AT_ONCE = 16


def data_routes(archive: Archive, signer: Signer) -> list[Route]:
    """The routes of the file services, DataLink, SODA, packages and the resolver."""
    holdings, metadata = Holdings(archive), Metadata(archive)
    lookups = trio.CapacityLimiter(_LOOKUPS_AT_ONCE)
    cutouts = trio.CapacityLimiter(_CUTOUTS_AT_ONCE)
    streams = trio.CapacityLimiter(_STREAMS_AT_ONCE)
    cutter = Cutter(metadata, holdings)
    services = (
        FileService(holdings, signer, lookups),
        LocateService(holdings, signer, lookups),
        LegacyService(holdings, signer, lookups),
        LinkService(metadata, holdings, streams),
        SodaService(cutter, cutouts),
        UwsEndpoint(SodaJobs(cutter, cutouts), "caom2ops"),
        MetaService(metadata, streams),
        PackageService(metadata, holdings, streams),
        ResolverService(archive, lookups),
    )
    return [route for service in services for route in service.routes()]
