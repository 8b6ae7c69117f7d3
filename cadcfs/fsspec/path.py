"""`UPath("cadc://...")` of universal_pathlib."""

from __future__ import annotations

from upath import UPath


class CadcPath(UPath):
    """A path of the archive; read-only as its file system is."""

    __slots__ = ()
