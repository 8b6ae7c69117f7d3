"""What would change something. The modes forbid it to everyone but root, who hears EROFS here."""

from __future__ import annotations

import errno

import pyfuse3
from pyfuse3 import EntryAttributes, FileHandleT, FileInfo, FUSEError, InodeT, RequestContext

from pyfuse3 import ModeT, FlagT  # isort: skip


class ReadOnly(pyfuse3.Operations):
    """Refuses every change."""

    async def setattr(
        self,
        inode: InodeT,
        attr: EntryAttributes,
        fields: pyfuse3.SetattrFields,
        fh: FileHandleT | None,
        ctx: RequestContext,
    ) -> EntryAttributes:
        raise FUSEError(errno.EROFS)

    async def write(self, fh: FileHandleT, off: int, buf: bytes) -> int:
        raise FUSEError(errno.EROFS)

    async def create(
        self, parent_inode: InodeT, name: bytes, mode: ModeT, flags: FlagT, ctx: RequestContext
    ) -> tuple[FileInfo, EntryAttributes]:
        raise FUSEError(errno.EROFS)

    async def mknod(
        self, parent_inode: InodeT, name: bytes, mode: ModeT, rdev: int, ctx: RequestContext
    ) -> EntryAttributes:
        raise FUSEError(errno.EROFS)

    async def mkdir(
        self, parent_inode: InodeT, name: bytes, mode: ModeT, ctx: RequestContext
    ) -> EntryAttributes:
        raise FUSEError(errno.EROFS)

    async def unlink(self, parent_inode: InodeT, name: bytes, ctx: RequestContext) -> None:
        raise FUSEError(errno.EROFS)

    async def rmdir(self, parent_inode: InodeT, name: bytes, ctx: RequestContext) -> None:
        raise FUSEError(errno.EROFS)

    async def symlink(
        self, parent_inode: InodeT, name: bytes, target: bytes, ctx: RequestContext
    ) -> EntryAttributes:
        raise FUSEError(errno.EROFS)

    async def rename(
        self,
        parent_inode_old: InodeT,
        name_old: bytes,
        parent_inode_new: InodeT,
        name_new: bytes,
        flags: FlagT,
        ctx: RequestContext,
    ) -> None:
        raise FUSEError(errno.EROFS)

    async def link(
        self, inode: InodeT, new_parent_inode: InodeT, new_name: bytes, ctx: RequestContext
    ) -> EntryAttributes:
        raise FUSEError(errno.EROFS)

    async def setxattr(self, inode: InodeT, name: bytes, value: bytes, ctx: RequestContext) -> None:
        raise FUSEError(errno.EROFS)

    async def removexattr(self, inode: InodeT, name: bytes, ctx: RequestContext) -> None:
        raise FUSEError(errno.EROFS)
