"""What mount(8) and fstab call: `mount -t fuse.cadcfs cadc: DIR -o OPTIONS`.

`cadcfs install-helper` writes /sbin/mount.fuse.cadcfs and /sbin/mount.cadcfs, which run `main`
with the interpreter that cadcfs is installed for.
"""

from __future__ import annotations

import argparse
import os
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Annotated, NoReturn

import typer

from cadcfs.errors import CadcfsError, UserError

NAMES = ("mount.fuse.cadcfs", "mount.cadcfs")
SOURCE = "cadc:"
"""The source of every mount of ours: with another one `mount -a` would not know it again."""
USAGE, FAILED = 1, 32
"""Exit codes of mount helpers (mount(8), Exit status)."""
MARK = "written by cadcfs install-helper"


def install_helper(
    directory: Annotated[
        Path, typer.Option("--directory", help="Where mount(8) looks for its helpers.")
    ] = Path("/sbin"),
    remove: Annotated[bool, typer.Option("--remove", help="Remove them again.")] = False,
) -> None:
    """Let mount(8) and /etc/fstab mount the archive: writes /sbin/mount.fuse.cadcfs."""
    for name in NAMES:
        path = directory / name
        if _exists(path) and MARK not in path.read_text(errors="replace"):
            raise UserError(f"{path} is not ours; move it away, or name another --directory")
        try:
            path.unlink(missing_ok=True) if remove else _write(path)
        except OSError as exc:
            command = shlex.join(["sudo", os.path.realpath(sys.argv[0]), "install-helper"])
            raise UserError(f"cannot write {path}: {exc.strerror}; try: {command}") from exc
        typer.echo(f"{'removed' if remove else 'wrote'} {path}")


def script(interpreter: str) -> str:
    """The text of a helper; -I, for what lies in root's working directory is not to be run."""
    return f"""\
#!/bin/sh
# Mounts the Canadian Astronomy Data Centre for mount(8) and fstab; {MARK}.
exec {shlex.quote(interpreter)} -I -c 'from cadcfs.cli.helper import main; main()' "$@"
"""


def main(arguments: list[str] | None = None) -> NoReturn:
    """Mount as mount(8) asks for it; returns when the mount answers."""
    try:
        _mount(_parser().parse_args(arguments))
    except CadcfsError as exc:
        print(f"mount.cadcfs: {exc}", file=sys.stderr)
        sys.exit(FAILED)
    sys.exit(0)


def _mount(asked: argparse.Namespace) -> None:
    from cadcfs.cli.mounting import mount

    if asked.source != SOURCE:
        raise UserError(f"the source is {SOURCE!r}, not {asked.source!r}")
    if "remount" in ",".join(asked.options).split(","):
        raise UserError("options of a mount cannot be changed; unmount it, and mount it again")
    if asked.namespace:
        raise UserError("other namespaces are not supported; run mount in them with nsenter(1)")
    if not asked.fake:
        mount(asked.directory, options=asked.options)


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(prog="mount.cadcfs", description="Called by mount(8); see cadcfs mount.")
    parser.add_argument("source")
    parser.add_argument("directory", type=Path)
    parser.add_argument("-o", dest="options", action="append", default=[])
    parser.add_argument("-f", dest="fake", action="store_true")
    parser.add_argument("-N", dest="namespace")
    parser.add_argument("-t", dest="kind")
    for flag in "snv":
        parser.add_argument(f"-{flag}", action="store_true")
    return parser


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        self.exit(USAGE, f"{self.prog}: {message}\n")


def _write(path: Path) -> None:
    known = subprocess.run(
        [sys.executable, "-I", "-c", "import cadcfs"], capture_output=True, check=False
    )
    if known.returncode:
        raise UserError(
            "cadcfs is installed for one user alone; install it with pipx, or in an environment "
            "of its own"
        )
    new = path.with_name(f".{path.name}.new")
    new.write_text(script(sys.executable))
    new.chmod(0o755)
    new.replace(path)


def _exists(path: Path) -> bool:
    return path.exists() or path.is_symlink()
