"""The embedded archive as one web application."""

from __future__ import annotations

import trio
from starlette.applications import Starlette
from starlette.middleware import Middleware

from cadcfs.demo import registry
from cadcfs.demo.archive import Archive
from cadcfs.demo.data.files import FileService
from cadcfs.demo.data.holdings import Holdings
from cadcfs.demo.requestlog import RequestLog, RequestLogMiddleware
from cadcfs.demo.tap.engine import Engine
from cadcfs.demo.tap.sync import SyncEndpoint
from cadcfs.demo.tap.tables import TablesEndpoint

_QUERIES_AT_ONCE = 8
_LOOKUPS_AT_ONCE = 16


def make_app(archive: Archive, log: RequestLog) -> Starlette:
    """Put the services together over one archive, so that they cannot disagree (blocking)."""
    engine = Engine.over(archive.database)
    files = FileService(Holdings(archive), trio.CapacityLimiter(_LOOKUPS_AT_ONCE))
    return Starlette(
        routes=[
            *registry.routes(),
            *SyncEndpoint(engine, trio.CapacityLimiter(_QUERIES_AT_ONCE)).routes(),
            *TablesEndpoint(engine.catalogue).routes(),
            *files.routes(),
            *log.routes(),
        ],
        middleware=[Middleware(RequestLogMiddleware, log=log)],
    )
