"""Finds out who asks: bearer token, cookie, password or certificate, before any service.

As at CADC, an answer to somebody who is known carries `x-vo-authenticated`; any other, whatever
its status, says how to log in (`WWW-Authenticate`, SSO 2.0). A credential that is not valid is
refused with 401 even where anonymous callers are welcome.
"""

from __future__ import annotations

from base64 import b64decode
from collections.abc import Mapping
from typing import Protocol

from starlette.datastructures import MutableHeaders
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from cadcfs.demo.auth.caller import ANONYMOUS, Caller, set_caller
from cadcfs.demo.auth.tokens import InvalidTokenError, Signer
from cadcfs.demo.auth.users import user_named

COOKIE = "CADC_SSO"
USER_HEADER = "x-vo-authenticated"

_OPEN = ("/ac/login", "/demo/", "/reg/")
_TAKES_PASSWORDS = ("/cred/", "/data/auth/")


class Doors(Protocol):
    """Knows who came through TLS, by the address that the server sees (tls.TlsDoor)."""

    @property
    def peers(self) -> Mapping[tuple[str, int], str | None]:
        """The user of each certificate; None for TLS without one."""
        ...


class IdentityMiddleware:
    """Puts the caller into the scope, or refuses the request."""

    def __init__(self, app: ASGIApp, signer: Signer, doors: Doors) -> None:
        """Wrap an application."""
        self._app = app
        self._signer = signer
        self._doors = doors

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on with its caller."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        door = tuple(scope["client"] or ())
        if door in self._doors.peers:
            scope["scheme"] = "https"
        if scope["path"].startswith(_OPEN):
            await self._app(scope, receive, send)
            return
        request = Request(scope)
        try:
            caller = self._caller(request, self._doors.peers.get(door))
        except InvalidTokenError as error:
            await refusal(request, str(error))(scope, receive, send)
            return
        set_caller(scope, caller)

        async def say_who(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                if caller.name is not None:
                    headers.append(USER_HEADER, caller.name)
                else:
                    for challenge in challenges(request):
                        headers.append("WWW-Authenticate", challenge)
            await send(message)

        await self._app(scope, receive, say_who)

    def _caller(self, request: Request, certificate: str | None) -> Caller:
        # Where several are given, the order is that of CADC's own client.
        scheme, _, value = request.headers.get("authorization", "").partition(" ")
        if scheme.lower() == "bearer":
            return _known(self._signer.user(value.strip()))
        if scheme.lower() == "basic" and request.url.path.startswith(_TAKES_PASSWORDS):
            return _by_password(value.strip())
        if scheme:
            raise InvalidTokenError(f"unhandled auth: {scheme}")
        if certificate is not None:
            return _known(certificate)
        token = credential_of(request)
        return _known(self._signer.user(token)) if token else ANONYMOUS


def credential_of(request: Request) -> str | None:
    """Return the token of a request, from its header or its cookie; None if it has none."""
    scheme, _, value = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() == "bearer":
        return value.strip()
    return request.cookies.get(COOKIE, "").strip('"') or None


def _known(name: str) -> Caller:
    user = user_named(name)
    if user is None:
        raise InvalidTokenError("invalid token")
    return user.caller


def _by_password(value: str) -> Caller:
    try:
        name, _, password = b64decode(value, validate=True).decode().partition(":")
    except ValueError as error:
        raise InvalidTokenError("invalid credentials") from error
    user = user_named(name)
    if user is None or user.password != password:
        raise InvalidTokenError("Invalid username or password")
    return user.caller


def challenges(request: Request, trouble: str = "") -> list[str]:
    """Return the ways to log in, as values of WWW-Authenticate; with what was wrong, if any."""
    base = f"{request.scope['scheme']}://{request.headers.get('host', '')}"
    error = f'error="invalid_token", error_description="{trouble}"' if trouble else ""
    first = (
        'ivoa_bearer standard_id="ivo://ivoa.net/sso#tls-with-password",'
        f' access_url="{base}/ac/login", HACK=temporary'
    )
    return [
        f"{first}, {error}" if error else first,
        f'ivoa_x509 standard_id="ivo://ivoa.net/sso#BasicAA", access_url="{base}/cred/priv"',
        "ivoa_x509",
        f"Bearer {error}".strip(),
    ]


def refusal(request: Request, text: str) -> PlainTextResponse:
    """Answer to a credential that is not valid."""
    response = PlainTextResponse(text, 401)
    for challenge in challenges(request, text):
        response.headers.append("WWW-Authenticate", challenge)
    return response
