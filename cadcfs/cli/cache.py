"""`cadcfs cache`: what is kept on disk, with or without a mount that uses it."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Sequence
from fnmatch import fnmatchcase
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cadcfs.cli import output
from cadcfs.cli.session import AsJson, CacheDir
from cadcfs.errors import UserError

if TYPE_CHECKING:
    from cadcfs.cache.upkeep import Kept, Store

Patterns = Annotated[
    list[str] | None,
    typer.Argument(help="Files below a mount, artifact URIs, or globs of these; without any, all."),
]
Named = Annotated[
    list[str], typer.Argument(help="Files below a mount, artifact URIs, or globs of these.")
]

app = typer.Typer(help="What is kept on disk.", no_args_is_help=True)


@app.command()
def info(cache_dir: CacheDir = None, as_json: AsJson = False) -> None:
    """Say how much is kept, how much may be, and where."""
    import os

    from cadcfs import summary
    from cadcfs.cache.upkeep import stores

    settings = _settings(cache_dir)
    found = stores(settings.cache_dir)
    files = [file for store in found for file in store.files()]
    place = settings.cache_dir if settings.cache_dir.is_dir() else Path("/")
    disk = os.statvfs(place)
    facts = {
        "directory": str(settings.cache_dir),
        "used": sum(store.used() for store in found),
        "limit": settings.cache_size,
        "disk_free": disk.f_bavail * disk.f_frsize,
        "files": len(files),
        "whole_files": sum(file.here == file.size for file in files),
        "pinned_files": sum(file.is_pinned for file in files),
        "pinned_bytes": sum(file.here for file in files if file.is_pinned),
        "answers": sum(_taken(place) for place in _answers(settings.cache_dir)),
    }
    if as_json:
        typer.echo(json.dumps(facts, indent=2))
        return
    for name, value in facts.items():
        is_size = name in ("used", "limit", "disk_free", "pinned_bytes", "answers")
        words = name.replace("_", " ")
        typer.echo(f"{words + ':':14} {summary.size(int(str(value))) if is_size else value}")


@app.command("ls")
def listed(patterns: Patterns = None, cache_dir: CacheDir = None, as_json: AsJson = False) -> None:
    """List the files of which something is kept, the most recently used last."""
    from cadcfs import summary

    rows = [
        {
            "uri": file.uri, "size": file.size, "here": file.here,
            "share": f"{100 * file.here / file.size:.0f} %" if file.size else "100 %",
            "used": summary.date(file.used), "pinned": "pinned" if file.is_pinned else "",
        }
        for _, file in _chosen(patterns or (), cache_dir)
    ]  # fmt: skip
    output.table(("uri", "size", "share", "used", "pinned"), rows, as_json=as_json)


@app.command()
def verify(patterns: Patterns = None, cache_dir: CacheDir = None, as_json: AsJson = False) -> None:
    """Check what is kept against its checksums; what is damaged is thrown away. Code 1 for that."""
    rows = []
    for store, file in _chosen(patterns or (), cache_dir):
        try:
            found = store.verify(file)
        except OSError as exc:
            rows.append({"uri": file.uri, "blocks": 0, "verdict": exc.strerror or str(exc)})
            continue
        words = f"{len(found.damaged)} damaged blocks" if found.damaged else "another whole"
        sound = "whole" if found.whole else "sound"
        rows.append({"uri": file.uri, "blocks": found.blocks,
                     "verdict": sound if found.is_sound else words})  # fmt: skip
    output.table(("uri", "blocks", "verdict"), rows, as_json=as_json)
    if any(row["verdict"] not in ("whole", "sound") for row in rows):
        output.note("what was damaged is thrown away; it is fetched again when it is read")
        sys.exit(1)


@app.command()
def clear(
    patterns: Patterns = None,
    pinned: Annotated[bool, typer.Option("--pinned", help="Also what is pinned.")] = False,
    yes: Annotated[bool, typer.Option("-y", "--yes", help="Do not ask.")] = False,
    cache_dir: CacheDir = None,
) -> None:
    """Throw away what is kept: file blocks, and without a PATTERN answers, too; jobs stay."""
    from cadcfs import summary

    chosen = list(_chosen(patterns or (), cache_dir))
    going = [(store, file) for store, file in chosen if pinned or not file.is_pinned]
    size = sum(file.taken for _, file in going)
    words = f"{len(going)} files, {summary.size(size)}"
    if sys.stdin.isatty() and not yes and not typer.confirm(f"Throw away {words}?"):
        raise typer.Exit(1)
    left = [file for store, file in going if not store.remove(file)]
    if not patterns:
        _forget_answers(_settings(cache_dir).cache_dir)
    gone = len(going) - len(left)
    typer.echo("1 file is gone" if gone == 1 else f"{gone} files are gone")
    if left:
        words = "1 file stays" if len(left) == 1 else f"{len(left)} files stay"
        output.note(f"{words}, open now or a few seconds ago: {left[0].uri}")


@app.command()
def pin(names: Named, cache_dir: CacheDir = None) -> None:
    """Keep files when room is made; of a directory, the files that `cadcfs fetch` would bring.

    What is not here yet is kept once it has come: `cadcfs fetch` brings it.
    """
    _change(names, cache_dir, pinned=True)


@app.command()
def unpin(names: Named, cache_dir: CacheDir = None) -> None:
    """Let files be evicted again."""
    _change(names, cache_dir, pinned=False)


def _change(names: list[str], cache_dir: Path | None, *, pinned: bool) -> None:
    from cadcfs.cache.upkeep import stores

    names = list(_files_of(names))
    wanted = {known for name in names if (known := _name_in_mount(name, cache_dir)) is not None}
    others = [name for name in names if _name_in_mount(name, cache_dir) is None]
    wanted |= {file.name for _, file in _chosen(others, cache_dir)} if others else set()
    found = stores(_directory(names, cache_dir))
    if not found or not wanted:
        raise UserError("nothing of that is kept; read it first, or: cadcfs fetch PATH")
    for store in found:
        # A file that is not here yet may come into either: names are those of versions.
        (store.pin if pinned else store.unpin)(wanted)
    typer.echo(f"{'pinned' if pinned else 'unpinned'}: {len(wanted)} files")


def _files_of(names: list[str]) -> Iterator[str]:
    """The names, and for directories below a mount those of their files."""
    from cadcfs.cli.fetch_plan import planned

    for name in names:
        if Path(name).is_dir():
            yield from (str(file.path) for file in planned([Path(name)], None, output.note).files)
        else:
            yield name


def _chosen(
    patterns: list[str] | tuple[()], cache_dir: Path | None
) -> Iterator[tuple[Store, Kept]]:
    """The files of all stores that are meant.

    Raises
    ------
    UserError
        A pattern means none of them.
    """
    from cadcfs.cache.upkeep import stores

    names = {pattern: _name_in_mount(pattern, cache_dir) for pattern in patterns}
    met = set()
    for store in stores(_directory(patterns, cache_dir)):
        for file in store.files():
            meant = [p for p in patterns if _means(p, names[p], file)]
            met.update(meant)
            if meant or not patterns:
                yield store, file
    for pattern in patterns:
        if pattern not in met:
            raise UserError(f"nothing is kept of {pattern}")


def _means(pattern: str, name: str | None, file: Kept) -> bool:
    if name is not None:
        return file.name == name
    return file.uri == pattern or fnmatchcase(file.uri, pattern)


def _name_in_mount(pattern: str, cache_dir: Path | None) -> str | None:
    """What the cache calls a file below a mount; None for what is none."""
    from cadcfs.cli.info import facts_of, mount_of

    if cache_dir is not None:
        return None
    try:
        mount_of(Path(pattern))
    except UserError:
        return None
    return facts_of(Path(pattern)).get("cache_file") or None


def _directory(patterns: Sequence[str], cache_dir: Path | None) -> Path:
    """The cache directory of the mount that the first path is below; else that of the settings."""
    from cadcfs.cli.info import mount_of

    for pattern in patterns if cache_dir is None else ():
        try:
            text = (mount_of(Path(pattern)) / ".cadcfs" / "status.json").read_text()
        except (UserError, OSError):
            continue
        return Path(json.loads(text)["cache"]["directory"])
    return Path(_settings(cache_dir).cache_dir)


def _settings(cache_dir: Path | None) -> Any:  # noqa: ANN401
    from cadcfs import config

    return config.load({"cache_dir": cache_dir})


def _answers(cache_dir: Path) -> list[Path]:
    return [*cache_dir.glob("answers-*"), *cache_dir.glob("accounts/*/answers-*")]


def _taken(directory: Path) -> int:
    return sum(path.stat().st_blocks * 512 for path in directory.rglob("*") if path.is_file())


def _forget_answers(cache_dir: Path) -> None:
    import diskcache

    for directory in _answers(cache_dir):
        with diskcache.Cache(str(directory)) as answers:
            answers.clear()
