"""The file system that fsspec knows as `cadc://`: synchronous, read-only, and small in pickles."""

from __future__ import annotations

import errno
import hashlib
import math
import os
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, ClassVar, NoReturn, TypeVar

from fsspec.spec import AbstractFileSystem

from cadcfs.errnos import ERRNOS
from cadcfs.errors import CadcfsError, UserError
from cadcfs.fsspec.file import CadcFile
from cadcfs.fsspec.places import BelowFile, NoFile, Range

if TYPE_CHECKING:
    from cadcfs.fsspec.portal import Portal
    from cadcfs.fsspec.window import Window

T = TypeVar("T")

OF_PATHS: dict[type[CadcfsError], int] = {BelowFile: errno.ENOTDIR, NoFile: errno.EISDIR}


class CadcFileSystem(AbstractFileSystem):  # type: ignore[misc]  # fsspec is not typed
    """The archive as files, under the paths that a mount has below its mount point.

    Parameters
    ----------
    options
        Settings of cadcfs (`registry_url`, `cache_dir`, ...) over those of the machine that it
        runs on; credentials are never among them, and so never in a pickle: each process uses
        what its own user has left with `cadcfs login`, or the certificate.

    Raises
    ------
    OSError
        FileNotFoundError, PermissionError, ... with the errno that a mount would give, and with
        the reason in words.
    ValueError
        An unknown setting.
    """

    protocol: ClassVar[str] = "cadc"
    root_marker: ClassVar[str] = ""

    def __init__(self, *args: Any, **options: Any) -> None:  # noqa: ANN401
        super().__init__(*args, **options)
        self._options = {k: v for k, v in options.items() if k not in NOT_OURS}
        with _errors("cadc://"):
            self.portal  # noqa: B018  (a mistake in the options is told at once)

    @classmethod
    def _strip_protocol(cls, path: Any) -> Any:  # noqa: ANN401  (fsspec: a path or a list of them)
        found = super()._strip_protocol(path)
        return found if isinstance(found, list) else found.lstrip("/")

    @property
    def portal(self) -> Portal:
        """The loop of this process: after a fork, or in a worker, its own one."""
        # Not before it is used: whoever only lists what fsspec knows need not wait for it.
        from cadcfs.fsspec.portal import portal_of

        return portal_of(self._options)

    def ask(
        self, path: str, work: Callable[[Window], Awaitable[T]], seconds: float | None = None
    ) -> T:
        """What *work* finds out in the loop; its errors become OSError, with *path*.

        It takes *seconds* at most, or as long as a listing may; bytes take as long as they come.
        """
        with _errors(path):
            return self.portal.call(work, seconds)

    def ls(self, path: str, detail: bool = True, **_: object) -> list[Any]:
        """What is in a directory, as often as it is asked for: how fresh is the cache's business.

        Sizes of files that would have to be made to learn them (cutouts, headers) are None here,
        and true in `info`.
        """
        path = self._strip_protocol(path)
        found = self.ask(path, lambda window: window.entries(path))
        return found if detail else [one["name"] for one in found]

    def info(self, path: str, **_: object) -> dict[str, Any]:
        """name, type, size (bytes), mode, mtime (seconds since 1970, UTC); links are followed."""
        path = self._strip_protocol(path)
        return self.ask(path, lambda window: window.info(path))

    def exists(self, path: str, **_: object) -> bool:
        """False only where there is no such thing: when the archive cannot tell, it raises."""
        return self._is_directory(path) is not None

    def isdir(self, path: str) -> bool:
        return self._is_directory(path) is True

    def isfile(self, path: str) -> bool:
        return self._is_directory(path) is False

    def _is_directory(self, path: str) -> bool | None:
        """None where nothing is; unlike `info`, it has nothing made (cutouts, headers)."""
        path = self._strip_protocol(path)
        try:
            return self.ask(path, lambda window: window.is_directory(path))
        except (FileNotFoundError, NotADirectoryError):
            return None

    def modified(self, path: str) -> datetime:
        return datetime.fromtimestamp(self.info(path).get("mtime", 0.0), tz=UTC)

    def ukey(self, path: str) -> str:
        """Another one for each version of a file."""
        path = self._strip_protocol(path)
        key = self.ask(path, lambda window: window.key(path))
        return hashlib.sha256(key.encode()).hexdigest()

    def cat_file(
        self, path: str, start: int | None = None, end: int | None = None, **_: object
    ) -> bytes:
        found = self.cat_ranges([path], [start], [end], on_error="raise")[0]
        assert isinstance(found, bytes)
        return found

    def cat_ranges(
        self, paths: Sequence[str], starts: Any, ends: Any, max_gap: int | None = None,  # noqa: ANN401, ARG002
        on_error: str = "return", **_: object,
    ) -> list[bytes | Exception]:  # fmt: skip
        """The bytes of many ranges, all asked for at once.

        *max_gap* is taken and not needed: neighbours share blocks of the cache, and requests.
        """
        starts = starts if isinstance(starts, list | tuple) else [starts] * len(paths)
        ends = ends if isinstance(ends, list | tuple) else [ends] * len(paths)
        if not len(paths) == len(starts) == len(ends):
            raise ValueError("paths, starts and ends are not of one length")
        spans = zip(paths, starts, ends, strict=True)
        wanted = [Range(self._strip_protocol(path), start, end) for path, start, end in spans]
        found = self.ask("", lambda window: window.ranges(wanted), math.inf)
        told: list[bytes | Exception] = [
            as_os_error(one, range_.path) if isinstance(one, CadcfsError) else one
            for one, range_ in zip(found, wanted, strict=True)
        ]
        if on_error != "return":
            for one in told:
                if isinstance(one, Exception):
                    raise one
        return told

    def _open(
        self, path: str, mode: str = "rb", block_size: Any = None, autocommit: bool = True,  # noqa: ANN401, ARG002
        cache_options: dict[str, Any] | None = None, **kwargs: Any,  # noqa: ANN401
    ) -> CadcFile:  # fmt: skip
        if mode != "rb":
            self._refuse(path)
        # Blocks lie in the cache on disk; a second cache in memory would fetch what nobody asked.
        kwargs.setdefault("cache_type", "none")
        kwargs.pop("size", None)
        opened = self.ask(path, lambda window: window.open(path))
        return CadcFile(
            self, path, opened, mode, block_size or "default", cache_options=cache_options,
            **kwargs,
        )  # fmt: skip

    def _refuse(self, path: str, *_: object, **__: object) -> NoReturn:
        raise OSError(errno.EROFS, os.strerror(errno.EROFS), path)

    mkdir = makedirs = rmdir = rm_file = _rm = cp_file = touch = pipe_file = rm = mv = _refuse


NOT_OURS = frozenset(
    {"skip_instance_cache", "use_listings_cache", "listings_expiry_time", "max_paths",
     "asynchronous", "loop", "batch_size", "block_size", "cache_type"}
)  # fmt: skip
"""What fsspec and its callers hand to every file system."""


@contextmanager
def _errors(path: str) -> Iterator[None]:
    try:
        yield
    except UserError as exc:
        raise ValueError(str(exc)) from exc
    except CadcfsError as exc:
        raise as_os_error(exc, path) from exc


def as_os_error(exc: CadcfsError, path: str) -> OSError:
    """*exc* as Python tells it: FileNotFoundError for ENOENT, and so on."""
    table = {**ERRNOS, **OF_PATHS}
    number = next(table[kind] for kind in type(exc).__mro__ if kind in table)
    return OSError(number, str(exc), path)
