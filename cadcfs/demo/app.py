"""The embedded archive as one web application."""

from __future__ import annotations

import re

import trio
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.types import ASGIApp, Receive, Scope, Send

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
        middleware=[Middleware(MergedSlashes), Middleware(RequestLogMiddleware, log=log)],
    )


class MergedSlashes:
    """Takes `/argus//sync` for `/argus/sync`, as CADC's servers do; astroquery writes it so.

    The URIs of files stay as they are.
    """

    def __init__(self, app: ASGIApp) -> None:
        """Wrap an application."""
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on with a clean path."""
        if scope["type"] == "http" and "//" in scope["path"] and "/files/" not in scope["path"]:
            path = re.sub("/+", "/", scope["path"])
            scope = {**scope, "path": path, "raw_path": path.encode()}
        await self._app(scope, receive, send)
