"""`cadcfs config show`: the settings in force, and where each was set."""

from __future__ import annotations

import json

import typer

from cadcfs.cli.session import AsJson, CacheDir, Options, RegistryUrl

app = typer.Typer(help="The settings.", no_args_is_help=True)


@app.callback()
def _top() -> None:
    """The settings."""


@app.command()
def show(
    registry_url: RegistryUrl = None,
    cache_dir: CacheDir = None,
    options: Options = None,
    as_json: AsJson = False,
) -> None:
    """Print the settings in force as lines for a settings file; a comment says where one was set.

    A mount that runs tells its own in .cadcfs/config.
    """
    from cadcfs import config
    from cadcfs.cli.mounting import flags_of

    flags = flags_of(options, registry_url, cache_dir)
    values = config.shown(config.load(flags))
    where = config.places(flags)
    if as_json:
        told = {k: {"value": v, "from": where.get(k, "default")} for k, v in values.items()}
        typer.echo(json.dumps(told, indent=2, ensure_ascii=False))
        return
    notes = {key: f"from {place}" for key, place in where.items()}
    typer.echo(config.toml(values, notes), nl=False)
