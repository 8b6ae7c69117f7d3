"""`cadcfs login`, `cadcfs logout` and `cadcfs whoami`."""

from __future__ import annotations

import getpass
import json
import sys
import threading
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeVar

import typer

from cadcfs.cli.session import AsJson
from cadcfs.errors import UserError

if TYPE_CHECKING:
    from cadcfs.archive.identity import Identity
    from cadcfs.archive.login import LoginService
    from cadcfs.archive.logins import Login, Logins
    from cadcfs.archive.services import Services
    from cadcfs.config import Settings
    from cadcfs.network.client import Client

T = TypeVar("T")

TELL_TIME = 10.0
"""Seconds for a mount to take up a login."""

Registry = Annotated[str | None, typer.Option(help="Where the services are listed.")]
Options = Annotated[
    list[str] | None, typer.Option("-o", help="Settings, parted by commas: KEY=VALUE or KEY.")
]


def login(
    file: Annotated[
        Path | None, typer.Argument(help="With --netrc: the file, ~/.netrc by default.")
    ] = None,
    user: Annotated[
        str | None, typer.Option("-u", "--user", help="The account; the password is asked for.")
    ] = None,
    cert: Annotated[
        Path | None, typer.Option(help="A proxy certificate with its key, in one PEM file.")
    ] = None,
    netrc: Annotated[
        bool, typer.Option("--netrc", help="User and password of the login host in a netrc file.")
    ] = False,
    token_stdin: Annotated[
        bool, typer.Option("--token-stdin", help="A token, read from standard input.")
    ] = False,
    registry_url: Registry = None,
    options: Options = None,
) -> None:
    """Log in; mounts of yours that run already go by it at once.

    Without an option user and password are asked for. The password is not kept; the token is, in
    the desktop's keyring, or else in a file that only you can read.
    """
    if sum((user is not None, cert is not None, netrc, token_stdin)) > 1:
        raise typer.BadParameter("give one of -u, --cert, --netrc and --token-stdin")
    if file is not None and not netrc:
        raise typer.BadParameter("a file goes with --netrc; a certificate with --cert FILE")
    settings = _settings(registry_url, options)
    if cert is not None:
        found = _with_certificate(cert.expanduser().absolute())
    elif netrc:
        found = _with_netrc(settings, file or Path("~/.netrc"))
    elif token_stdin:
        found = _with_token(settings, sys.stdin.readline().strip())
    else:
        found = _with_password(settings, user or typer.prompt("User"))
    place = _logins(settings).keep(found)
    _tell_mounts()
    from cadcfs.archive.identity import Identity

    typer.echo(f"logged in as {Identity(found.name, found.how, found.until)}")
    if place:
        typer.echo(f"the token is kept in {place}")


def logout(registry_url: Registry = None, options: Options = None) -> None:
    """Be nobody from now on; running mounts forget what only you may see at once."""
    _logins(_settings(registry_url, options)).forget()
    _tell_mounts()
    typer.echo("logged out")


def whoami(registry_url: Registry = None, options: Options = None, as_json: AsJson = False) -> None:
    """Say as whom mounts of yours ask the archive, and whether it agrees.

    Mounts that run look again, too: at a keyring that was locked, say.
    """
    settings = _settings(registry_url, options)
    _tell_mounts()
    from cadcfs.archive.session import identity_of

    identity, _ = identity_of(settings, _logins(settings))
    if not identity.is_anonymous:
        name = _asking(settings, lambda desk: _taken_for(desk, identity))
        if not name:
            raise UserError(f"the archive takes {identity} for nobody; log in again")
    if as_json:
        told = {
            "name": identity.name, "how": identity.how, "until": identity.until,
            "note": identity.note,
        }  # fmt: skip
        typer.echo(json.dumps(told, ensure_ascii=False))
        return
    typer.echo(str(identity))


class _Desk:
    """What the login service is asked with."""

    def __init__(self, settings: Settings, client: Client) -> None:
        from cadcfs.archive.login import LoginService, trusted
        from cadcfs.archive.services import Services

        self.domains = trusted(settings)
        self.services: Services = Services(client, _Afresh(), settings)
        self.service: LoginService = LoginService(
            client, self.services, self.domains, settings.metadata_time
        )


class _Afresh:
    """Remembers nothing: a login is rare."""

    async def text(self, _key: str, load: Callable[[], Awaitable[str]], _fresh: float) -> str:
        return await load()


def _asking(settings: Settings, work: Callable[[_Desk], Awaitable[T]]) -> T:
    import trio

    from cadcfs.network.client import Client

    async def ask() -> T:
        async with Client() as client:
            return await work(_Desk(settings, client))

    return trio.run(ask)


async def _taken_for(desk: _Desk, identity: Identity) -> str:
    from cadcfs.errors import Forbidden
    from cadcfs.network.client import Client
    from cadcfs.network.redirects import Wallet

    try:
        async with Client(Wallet(desk.domains, identity.credentials)) as client:
            return await desk.service.name(client)
    except Forbidden:
        return ""


def _with_password(settings: Settings, name: str) -> Login:
    password = _password(name)
    return _asking(settings, lambda desk: desk.service.by_password(name, password))


def _with_netrc(settings: Settings, file: Path) -> Login:
    path = file.expanduser().absolute()
    return _asking(settings, lambda desk: desk.service.by_netrc(path))


def _with_certificate(path: Path) -> Login:
    from cadcfs.archive.certificate import by_certificate
    from cadcfs.archive.logins import CERTIFICATE, Login

    try:
        identity = by_certificate(path)
    except FileNotFoundError as exc:
        raise UserError(f"there is no {path}; get one with cadc-get-cert") from exc
    return Login(CERTIFICATE, identity.name, identity.until, str(path))


def _with_token(settings: Settings, token: str) -> Login:
    from cadcfs.archive.identity import Identity
    from cadcfs.archive.logins import TOKEN, Login
    from cadcfs.network.redirects import Credentials

    token = token.removeprefix("Bearer ").strip('"')
    if not token or not token.isascii() or not token.isprintable():
        raise UserError("there is no token on standard input")
    identity = Identity("?", TOKEN, credentials=Credentials(token))
    name = _asking(settings, lambda desk: _taken_for(desk, identity))
    if not name:
        raise UserError("the archive does not take this token: it is wrong, or has ended")
    return Login(TOKEN, name, token=token)


def _password(user: str) -> str:
    """Asked for at the terminal without an echo; a line of standard input where there is none."""
    if sys.stdin.isatty():
        return getpass.getpass(f"Password of {user}: ")
    return sys.stdin.readline().rstrip("\r\n")


def _settings(registry_url: str | None, options: list[str] | None) -> Settings:
    from cadcfs import config
    from cadcfs.cli.mounting import flags_of

    return config.load(flags_of(options, registry_url, None))


def _logins(settings: Settings) -> Logins:
    from cadcfs.archive.logins import Logins

    return Logins(settings.login_dir, settings.archive)


def _tell_mounts() -> None:
    """Have the mounts of this user look at once; they would within a second anyway."""
    from cadcfs.kernel import mountpoints

    places = [path / ".cadcfs" / "login" for path in mountpoints.all_of_ours()]
    # Daemons: a mount that does not answer must not keep the command.
    threads = [threading.Thread(target=_read, args=(place,), daemon=True) for place in places]
    for thread in threads:
        thread.start()
    deadline = time.monotonic() + TELL_TIME
    for thread in threads:
        thread.join(max(0.0, deadline - time.monotonic()))


def _read(place: Path) -> None:
    try:
        place.read_text()
    except OSError:
        # Somebody else's, or one that does not answer.
        return
