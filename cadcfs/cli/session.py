"""What commands that ask the archive share: settings, the parts that ask, an end by ^C."""

from __future__ import annotations

import logging
import secrets
import sys
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeVar

import typer

from cadcfs.cli.output import note
from cadcfs.errors import CadcfsError, Unauthorized

if TYPE_CHECKING:
    from cadcfs.archive.identity import Identity
    from cadcfs.archive.logins import Logins
    from cadcfs.config import Settings
    from cadcfs.engine import Engine
    from cadcfs.jobs.engine import Jobs
    from cadcfs.jobs.opening import Desks
    from cadcfs.network.redirects import Credentials

T = TypeVar("T")

RegistryUrl = Annotated[str | None, typer.Option(help="Where the services are listed.")]
CacheDir = Annotated[Path | None, typer.Option(help="Where jobs and what was read are kept.")]
Options = Annotated[
    list[str] | None, typer.Option("-o", help="Settings, parted by commas: KEY=VALUE or KEY.")
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON, for scripts.")]


@dataclass(frozen=True)
class Session:
    """One command's way to the archive; *others* are nobody's jobs, where somebody asks."""

    engine: Engine
    desks: Desks
    others: Desks | None = None

    @property
    def all_jobs(self) -> tuple[Jobs, ...]:
        """The account's jobs, then nobody's."""
        return self.desks.jobs, *((self.others.jobs,) if self.others else ())


def ask(
    work: Callable[[Session], Awaitable[T]], registry_url: str | None, cache_dir: Path | None
) -> T:
    """Run *work* with a session; ^C ends it with code 130."""
    import trio

    from cadcfs import config, logs

    settings = config.load({"registry_url": registry_url, "cache_dir": cache_dir})
    # RUNID of all that this command asks.
    logs.set_cause(f"cadcfs-{secrets.token_hex(4)}")
    # What is worth a word at the command line is said by the command.
    logging.getLogger("cadcfs").addHandler(logging.NullHandler())
    try:
        return trio.run(partial(_run, work, settings))
    except KeyboardInterrupt:
        sys.exit(130)
    except BaseExceptionGroup as group:
        if group.subgroup(KeyboardInterrupt) is not None:
            sys.exit(130)
        raise cause(group) from group


async def _run(work: Callable[[Session], Awaitable[T]], settings: Settings) -> T:
    import trio

    from cadcfs.archive.logins import Logins
    from cadcfs.archive.session import identity_of
    from cadcfs.engine import running
    from cadcfs.jobs.opening import ANONYMOUS, opened

    settings.cache_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    logins = Logins(settings.login_dir, settings.archive)
    identity, _ = await trio.to_thread.run_sync(identity_of, settings, logins)
    if identity.note:
        note(f"asking as nobody: {identity.note}")
    async with (
        running(settings) as engine,
        opened(settings, engine.client, engine.services, ANONYMOUS, engine.root) as desks,
    ):
        public = Session(engine, desks)
        if identity.is_anonymous:
            return await work(public)
        return await _as_account(work, settings, logins, identity, public)


async def _as_account(
    work: Callable[[Session], Awaitable[T]],
    settings: Settings,
    logins: Logins,
    identity: Identity,
    public: Session,
) -> T:
    import trio

    from cadcfs.archive.login import LoginService, trusted
    from cadcfs.archive.session import renewed
    from cadcfs.engine import acting_as
    from cadcfs.jobs.opening import opened
    from cadcfs.network.redirects import Wallet

    name, domains, engine = identity.name, trusted(settings), public.engine
    service = LoginService(engine.client, engine.services, domains, settings.metadata_time)
    one_by_one, ended = trio.Lock(), False

    async def renew(refused: Credentials) -> bool:
        nonlocal ended
        async with one_by_one:
            if wallet.credentials == refused and not ended:
                found = await renewed(settings, logins, service, refused)
                ended = found.name != name or found.credentials == refused
                wallet.credentials = found.credentials if not ended else refused
        if ended:
            raise Unauthorized(
                f"the archive does not take the login of {name} any more; "
                "log in again with: cadcfs login"
            )
        return True

    wallet = Wallet(domains, identity.credentials, renew)
    async with (
        acting_as(name, wallet, settings, engine) as own,
        opened(settings, own.client, own.services, name, own.root) as desks,
    ):
        return await work(Session(own, desks, public.desks))


def cause(group: BaseExceptionGroup[BaseException]) -> BaseException:
    """The one mistake in nested groups, for a sentence instead of a traceback."""
    found, others = group.split(CadcfsError)
    if found is None or others is not None:
        return group
    first: BaseException = found
    while isinstance(first, BaseExceptionGroup):
        first = first.exceptions[0]
    return first
