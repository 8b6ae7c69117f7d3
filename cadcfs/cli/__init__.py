"""The `cadcfs` command: one module a group of commands; parses, calls, prints, exit codes.

Exit codes: 0 done, 1 failed (one sentence on standard error says why; or something was found, by
`doctor` and `cache verify`), 2 wrong usage, 130 ended by ^C.
"""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from cadcfs import __version__
from cadcfs.cli import cache, configuration
from cadcfs.cli import jobs as jobs_commands
from cadcfs.cli.demo import demo
from cadcfs.cli.demo_faults import faults_help
from cadcfs.cli.doctor import doctor
from cadcfs.cli.fetch import fetch
from cadcfs.cli.helper import install_helper
from cadcfs.cli.info import info, refresh
from cadcfs.cli.login import login, logout, whoami
from cadcfs.cli.mounting import mount, umount
from cadcfs.cli.offline import offline
from cadcfs.cli.query import query
from cadcfs.cli.status import status
from cadcfs.cli.tables import collections, tables
from cadcfs.errors import CadcfsError
from cadcfs.logs import redacted

app = typer.Typer(
    help="The Canadian Astronomy Data Centre as a folder.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command()(mount)
app.command()(umount)
app.command()(install_helper)
app.command()(login)
app.command()(logout)
app.command()(whoami)
app.command()(status)
app.command()(offline)
app.command()(info)
app.command()(refresh)
app.command()(doctor)
app.command()(fetch)
app.command()(query)
app.add_typer(jobs_commands.app, name="jobs")
app.command()(tables)
app.command()(collections)
app.add_typer(cache.app, name="cache")
app.add_typer(configuration.app, name="config")
app.command(epilog=faults_help())(demo)


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"cadcfs {__version__}")
        raise typer.Exit


@app.callback()
def _top(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Say which version.")
    ] = False,
) -> None:
    """The Canadian Astronomy Data Centre as a folder."""


def main() -> None:
    """Run the command; a mistake of the user is one sentence, never a traceback."""
    # httpx does without its own command line where this cannot be imported, and with it brings
    # click and rich along: a fifth of the time until a mount answers (measured).
    sys.modules.setdefault("httpx._main", None)  # type: ignore[arg-type]
    try:
        app()
    except CadcfsError as exc:
        typer.echo(f"cadcfs: {redacted(str(exc))}", err=True)
        sys.exit(1)
