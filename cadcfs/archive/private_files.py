"""Files with secrets: read only if nobody else can, as ssh does; written so that nobody can."""

from __future__ import annotations

import os
import stat
import tempfile
from pathlib import Path

from cadcfs.errors import UserError


def read_private(path: Path) -> bytes:
    """The content of *path*; blocking.

    Raises
    ------
    FileNotFoundError
    UserError
        It cannot be read, belongs to somebody else, or can be read by somebody else.
    """
    try:
        with path.open("rb") as file:
            found = os.fstat(file.fileno())
            if not stat.S_ISREG(found.st_mode):
                raise UserError(f"{path} is not used: it is no file")
            if found.st_uid not in (os.geteuid(), 0):
                raise UserError(f"{path} is not used: it belongs to another user")
            if found.st_mode & 0o077:
                raise UserError(
                    f"{path} is not used: others can read it; mend that with: chmod 600 {path}"
                )
            return file.read()
    except FileNotFoundError:
        raise
    except OSError as exc:
        raise UserError(f"{path} cannot be read: {exc.strerror}") from exc


def write_private(path: Path, content: bytes) -> None:
    """Put *content* under *path*, whole or not at all, for this user alone; blocking."""
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        # mkstemp makes it with mode 0600.
        descriptor, part = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        try:
            with os.fdopen(descriptor, "wb") as file:
                file.write(content)
            Path(part).replace(path)
        except BaseException:
            Path(part).unlink(missing_ok=True)
            raise
    except OSError as exc:
        raise UserError(f"{path} cannot be written: {exc.strerror}") from exc
