"""Logging in, and who one is: `/ac` (CADC's access control; IVOA GMS 1.0 for groups)."""

from __future__ import annotations

from xml.sax.saxutils import escape

from starlette.requests import Request
from starlette.responses import PlainTextResponse, RedirectResponse, Response
from starlette.routing import Route

from cadcfs.demo.auth.caller import caller_of
from cadcfs.demo.auth.identity import USER_HEADER
from cadcfs.demo.auth.tokens import Signer
from cadcfs.demo.auth.users import user_named


class Login:
    """Serves `/ac/login`, `/ac/whoami`, `/ac/users` and `/ac/search`."""

    def __init__(self, signer: Signer) -> None:
        """Give out tokens of one signer."""
        self._signer = signer

    def routes(self) -> list[Route]:
        """Return the service's routes."""
        return [
            Route("/ac/login", self._login, methods=["POST"]),
            Route("/ac/whoami", _whoami),
            Route("/ac/users/{name}", _user),
            Route("/ac/search", _groups),
        ]

    async def _login(self, request: Request) -> Response:
        async with request.form() as form:
            given = {**request.query_params, **form}
        name, password = (str(given.get(key) or "") for key in ("username", "password"))
        if not name:
            return PlainTextResponse("Missing username", 400)
        if not password:
            return PlainTextResponse("Missing password", 400)
        user = user_named(name.strip())
        if user is None:
            return PlainTextResponse("Invalid username", 401)
        if user.password != password.strip():
            return PlainTextResponse("Invalid username or password", 401)
        token = self._signer.login(user.name)
        return PlainTextResponse(token, headers={USER_HEADER: user.name, "x-vo-bearer": token})


async def _whoami(request: Request) -> Response:
    caller = caller_of(request.scope)
    if caller.name is None:
        return Response(status_code=401)
    return RedirectResponse(f"{request.base_url}ac/users/{caller.name}?idType=HTTP", 302)


async def _user(request: Request) -> Response:
    caller = caller_of(request.scope)
    if caller.is_anonymous:
        return PlainTextResponse("permission denied", 401)
    if caller.name != request.path_params["name"]:
        return PlainTextResponse("permission denied", 403)
    name = escape(str(caller.name))
    return Response(
        '<?xml version="1.0" encoding="UTF-8"?>\n'
        "<user>\n"
        f"  <internalID><uri>ivo://cadc.nrc.ca/gms?{name}</uri></internalID>\n"
        f'  <identities><identity type="HTTP">{name}</identity></identities>\n'
        "</user>\n",
        media_type="text/xml",
    )


async def _groups(request: Request) -> Response:
    """Answer which groups one is in, or which of those asked for (GMS 1.0, section 3)."""
    caller = caller_of(request.scope)
    if caller.is_anonymous:
        return PlainTextResponse("permission denied", 401)
    own = sorted(group.partition("?")[2] for group in caller.groups)
    asked = request.query_params.getlist("group")
    found = [group for group in own if not asked or group in asked]
    return PlainTextResponse("".join(f"{group}\n" for group in found))
