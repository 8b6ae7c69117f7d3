"""What the kernel is told of a node: kind, mode, size, times, and how long it may keep that."""

from __future__ import annotations

import os
import stat
import time
from dataclasses import replace

from pyfuse3 import EntryAttributes, InodeT

from cadcfs.kernel.inodes import InodeTable
from cadcfs.tree.node import (
    LONG,
    Attributes,
    File,
    Node,
    changed_ns,
    directory_attributes,
    is_file,
    is_symlink,
    is_writable_directory,
    permissions,
    symlink_attributes,
    writable_directory_attributes,
)

BUFFER = 64 * 1024
"""Bytes that Python and the C library read at once (st_blksize). One that reads as much as the
kernel's read-ahead (128 KiB) is taken for sequential, and costs 384 KiB for a header (measured)."""


class Replies:
    """Describes nodes to the kernel, as files of the account that mounts."""

    def __init__(self, inodes: InodeTable) -> None:
        """What is described while names change their meaning (`inodes`) may not be kept."""
        self._inodes = inodes
        self._uid, self._gid = os.getuid(), os.getgid()
        self._started_ns = time.time_ns()

    def attributes(self, node: Node, *, certain: bool = True) -> Attributes:
        if is_symlink(node):
            return symlink_attributes(node, self._started_ns)
        if is_file(node):
            return node.attributes_now() or self.unmade(node)
        return self.directory(node, LONG if certain else 0)

    def directory(self, node: Node, valid: float = LONG) -> Attributes:
        if is_writable_directory(node):
            return writable_directory_attributes(node)
        return directory_attributes(self._started_ns, valid, permissions(node, 0o555))

    def dots(self) -> Attributes:
        """What "." and ".." are, by any name."""
        return directory_attributes(self._started_ns)

    def unmade(self, node: File) -> Attributes:
        """A file whose size is not known yet; nothing of it may be kept."""
        mode = stat.S_IFREG | permissions(node, 0o444)
        return Attributes(mode, 0, changed_ns(node, self._started_ns), valid=0)

    def entry(
        self,
        inode: int,
        attributes: Attributes,
        entry_valid: float,
        generation: int | None = None,
    ) -> EntryAttributes:
        entry = EntryAttributes()
        self.fill(entry, inode, attributes, entry_valid, generation)
        return entry

    def fill(
        self,
        entry: EntryAttributes,
        inode: int,
        attributes: Attributes,
        entry_valid: float,
        generation: int | None,
    ) -> None:
        """*generation* is when the answer was begun: what is older now may not be kept."""
        if generation is not None and generation != self._inodes.generation:
            attributes, entry_valid = replace(attributes, valid=0), 0
        entry.st_ino = InodeT(inode)
        entry.st_mode = attributes.mode
        entry.st_size = attributes.size
        entry.st_blksize = BUFFER
        entry.st_blocks = -(-attributes.size // 512)
        entry.st_uid, entry.st_gid = self._uid, self._gid
        entry.st_mtime_ns = entry.st_ctime_ns = entry.st_atime_ns = attributes.mtime_ns
        entry.attr_timeout = attributes.valid
        entry.entry_timeout = entry_valid
