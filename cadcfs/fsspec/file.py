"""An open file of `cadc://`."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from fsspec.spec import AbstractBufferedFile

if TYPE_CHECKING:
    from cadcfs.fsspec.filesystem import CadcFileSystem
    from cadcfs.fsspec.window import OpenFile

ALL = 1 << 40
"""More bytes than any file of the archive has."""


class CadcFile(AbstractBufferedFile):  # type: ignore[misc]  # fsspec is not typed
    """Reads one version of a file; pickles by its path, and is opened anew where it arrives."""

    def __init__(
        self, fs: CadcFileSystem, path: str, opened: OpenFile, mode: str, block_size: Any,  # noqa: ANN401
        **kwargs: Any,  # noqa: ANN401
    ) -> None:  # fmt: skip
        self._opened = opened
        self._portal = fs.portal
        size = opened.size
        if size is None:
            size = len(self._portal.call(lambda _: opened.read(0, ALL)))
        super().__init__(fs, path, mode, block_size, size=size, **kwargs)
        self.details = {"name": path, "size": size, "type": "file"}

    def _fetch_range(self, start: int, end: int) -> bytes:
        """The bytes [start, end); in a forked child the file is opened anew."""
        portal = self.fs.portal
        if portal is not self._portal:
            self._opened = self.fs.ask(self.path, lambda window: window.open(self.path))
            self._portal = portal
        opened = self._opened
        size = max(0, end - start)
        return bytes(self.fs.ask(self.path, lambda _: opened.read(start, size), math.inf))

    def close(self) -> None:
        # Perhaps called by the garbage collector, in whatever thread: so nobody waits for it.
        if not self.closed and hasattr(self, "_opened"):
            self._portal.leave(self._opened.aclose)
        super().close()
