"""The embedded archive as one web application."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import ClassVar

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from cadcfs.demo import registry
from cadcfs.demo.archive import Archive
from cadcfs.demo.auth.certificates import Certificates, ProxyEndpoint
from cadcfs.demo.auth.identity import IdentityMiddleware
from cadcfs.demo.auth.login import Login
from cadcfs.demo.auth.tls import TlsDoor
from cadcfs.demo.auth.tokens import LIFE, Signer
from cadcfs.demo.data.services import data_routes
from cadcfs.demo.faults.control import FaultControl
from cadcfs.demo.faults.middleware import FaultMiddleware
from cadcfs.demo.requestlog import RequestLog, RequestLogMiddleware
from cadcfs.demo.tap.service import TapService


@dataclass(frozen=True, slots=True)
class Keys:
    """What the archive knows its callers by: its signature, its authority, its TLS door."""

    signer: Signer
    certificates: Certificates
    door: TlsDoor

    @classmethod
    def of(cls, archive: Archive, *, life: float = LIFE) -> Keys:
        """Take or make the keys that lie beside an archive (blocking)."""
        place = archive.root.parent / "auth"
        return cls(
            Signer.with_key_in(place, life=life), Certificates.open_or_make(place), TlsDoor()
        )


def make_app(
    archive: Archive, tap: TapService, log: RequestLog, keys: Keys, control: FaultControl
) -> Starlette:
    """Put the services together over one archive, so that they cannot disagree (blocking)."""
    return Starlette(
        routes=[
            *registry.routes(),
            *tap.routes(),
            *data_routes(archive, keys.signer),
            *Login(keys.signer).routes(),
            *ProxyEndpoint(keys.certificates).routes(),
            *log.routes(),
            *control.routes(),
        ],
        middleware=[
            Middleware(MergedSlashes),
            Middleware(RequestLogMiddleware, log=log),
            Middleware(NamedServers),
            Middleware(FaultMiddleware, faults=control.faults, signer=keys.signer),
            Middleware(IdentityMiddleware, signer=keys.signer, doors=keys.door),
        ],
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


class NamedServers:
    """Says in every answer of the storage inventory which of its services it is."""

    _names: ClassVar[dict[str, bytes]] = {
        "/raven/": b"storage-inventory/raven-1.0",
        "/minoc/": b"storage-inventory/minoc-1.0",
        "/uvic/minoc/": b"storage-inventory/minoc-1.0",
    }

    def __init__(self, app: ASGIApp) -> None:
        """Wrap an application."""
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on; the name goes into the answer."""
        path = scope.get("path", "")
        name = next((name for start, name in self._names.items() if path.startswith(start)), None)

        async def named(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message["headers"], (b"server", name)]
            await send(message)

        await self._app(scope, receive, send if name is None else named)
