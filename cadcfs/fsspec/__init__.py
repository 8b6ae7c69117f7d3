"""`cadc://`: the tree of the mount for fsspec, without a mount."""

from cadcfs.fsspec.filesystem import CadcFileSystem

__all__ = ["CadcFileSystem"]
