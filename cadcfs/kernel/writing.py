"""What changes something: in the directories and files of the tree that take it, else refused.

As everywhere, what runs under a directory's lock (mkdir, create, unlink, rmdir, rename) does not
wait for the network; the tree's own promise is in `WritableDirectory`.
"""

from __future__ import annotations

import errno
import os
from abc import abstractmethod

import pyfuse3
import trio
from pyfuse3 import EntryAttributes, FileHandleT, FileInfo, FUSEError, InodeT, RequestContext

from cadcfs.kernel.errnos import answers_errno
from cadcfs.kernel.handles import HandleTable, OpenFile
from cadcfs.kernel.inodes import InodeTable
from cadcfs.kernel.refusals import ReadOnly
from cadcfs.tree.node import (
    Node,
    Opened,
    WritableDirectory,
    WritableFile,
    Written,
    is_writable_directory,
    is_writable_file,
)

from pyfuse3 import ModeT, FlagT  # isort: skip

WRITES = os.O_WRONLY | os.O_RDWR | os.O_TRUNC


TAKING_TIME = 150.0
"""Seconds for what a flush sets off here: a long table becomes a VOTable."""


class Writable(ReadOnly):
    """Lets those nodes take changes that can; `Operations` answers the rest."""

    inodes: InodeTable
    files: HandleTable[OpenFile]

    @abstractmethod
    async def described(self, inode: int, node: Node) -> EntryAttributes:
        """The attributes of *node*, found out if need be."""

    async def open_to_write(self, inode: InodeT, flags: int, pid: int) -> FileInfo:
        """A handle for writing; *flags* as in open(2)."""
        node = _file(self.inodes.node(inode))
        with trio.fail_after(TAKING_TIME):
            opened = await node.open_to_write(truncate=bool(flags & os.O_TRUNC))
        return self._opened(inode, node, opened, pid)

    def _opened(self, inode: int, node: WritableFile, opened: Written, pid: int) -> FileInfo:
        handle = FileHandleT(self.files.add(OpenFile(opened, inode, pid)))
        return FileInfo(fh=handle, direct_io=node.is_control, keep_cache=False)

    @answers_errno
    async def write(self, fh: FileHandleT, off: int, buf: bytes) -> int:
        return await _written(self.files[fh].opened).write(off, bytes(buf))

    @answers_errno
    async def flush(self, fh: FileHandleT) -> None:
        opened = self.files[fh].opened
        if hasattr(opened, "flush"):
            with trio.fail_after(TAKING_TIME):
                await _written(opened).flush()

    @answers_errno
    async def fsync(self, fh: FileHandleT, datasync: bool) -> None:
        opened = self.files[fh].opened
        if hasattr(opened, "sync"):
            await _written(opened).sync()

    @answers_errno
    async def setattr(
        self,
        inode: InodeT,
        attr: EntryAttributes,
        fields: pyfuse3.SetattrFields,
        fh: FileHandleT | None,
        ctx: RequestContext,
    ) -> EntryAttributes:
        """Sizes count; modes, owners and times are accepted and stay what they are."""
        node = self.inodes.node(inode)
        if not is_writable_file(node) and not is_writable_directory(node):
            raise FUSEError(errno.EROFS)
        if fields.update_size:
            await _file(node).truncate(attr.st_size)
        return await self.described(inode, node)

    @answers_errno
    async def create(
        self, parent_inode: InodeT, name: bytes, mode: ModeT, flags: FlagT, ctx: RequestContext
    ) -> tuple[FileInfo, EntryAttributes]:
        node, opened = await self._place(parent_inode).create(os.fsdecode(name))
        number = self.inodes.number(node)
        self.inodes.remember(number, node, parent_inode, os.fsdecode(name))
        return self._opened(number, node, opened, ctx.pid), await self.described(number, node)

    @answers_errno
    async def mknod(
        self, parent_inode: InodeT, name: bytes, mode: ModeT, rdev: int, ctx: RequestContext
    ) -> EntryAttributes:
        self._place(parent_inode)
        raise FUSEError(errno.EPERM)

    @answers_errno
    async def mkdir(
        self, parent_inode: InodeT, name: bytes, mode: ModeT, ctx: RequestContext
    ) -> EntryAttributes:
        node = await self._place(parent_inode).make_directory(os.fsdecode(name))
        number = self.inodes.number(node)
        self.inodes.remember(number, node, parent_inode, os.fsdecode(name))
        return await self.described(number, node)

    @answers_errno
    async def unlink(self, parent_inode: InodeT, name: bytes, ctx: RequestContext) -> None:
        await self._place(parent_inode).remove(os.fsdecode(name))

    @answers_errno
    async def rmdir(self, parent_inode: InodeT, name: bytes, ctx: RequestContext) -> None:
        await self._place(parent_inode).remove_directory(os.fsdecode(name))

    @answers_errno
    async def rename(
        self,
        parent_inode_old: InodeT,
        name_old: bytes,
        parent_inode_new: InodeT,
        name_new: bytes,
        flags: FlagT,
        ctx: RequestContext,
    ) -> None:
        if flags & ~pyfuse3.RENAME_NOREPLACE:
            raise FUSEError(errno.EINVAL)
        old, new = self._place(parent_inode_old), self._place(parent_inode_new)
        replace = not flags & pyfuse3.RENAME_NOREPLACE
        await old.move(os.fsdecode(name_old), new, os.fsdecode(name_new), replace=replace)

    @answers_errno
    async def symlink(
        self, parent_inode: InodeT, name: bytes, target: bytes, ctx: RequestContext
    ) -> EntryAttributes:
        self._place(parent_inode)
        raise FUSEError(errno.EPERM)

    @answers_errno
    async def link(
        self, inode: InodeT, new_parent_inode: InodeT, new_name: bytes, ctx: RequestContext
    ) -> EntryAttributes:
        self._place(new_parent_inode)
        raise FUSEError(errno.EPERM)

    async def setxattr(self, inode: InodeT, name: bytes, value: bytes, ctx: RequestContext) -> None:
        # The kernel remembers ENOSYS and says "not supported", which `cp -p` takes well.
        raise FUSEError(errno.ENOSYS)

    async def removexattr(self, inode: InodeT, name: bytes, ctx: RequestContext) -> None:
        raise FUSEError(errno.ENOSYS)

    def _place(self, inode: int) -> WritableDirectory:
        node = self.inodes.node(inode)
        if not is_writable_directory(node):
            raise FUSEError(errno.EROFS)
        return node


def _file(node: Node) -> WritableFile:
    if is_writable_directory(node):
        raise FUSEError(errno.EISDIR)
    if not is_writable_file(node):
        raise FUSEError(errno.EROFS)
    return node


def _written(opened: Opened) -> Written:
    if not hasattr(opened, "write"):
        raise FUSEError(errno.EBADF)
    return opened  # type: ignore[return-value]
