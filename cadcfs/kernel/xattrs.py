"""Extended attributes, for mounts that want them (`-o xattr`).

Off by default: where getxattr is answered at all, the kernel asks twice for each entry that
`ls -l` shows (measured: 40 times slower); where it is not, the kernel asks once and never again.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Sequence

from pyfuse3 import FUSEError, InodeT, RequestContext

from cadcfs.kernel.errnos import answers_errno
from cadcfs.kernel.operations import Operations
from cadcfs.tree.node import is_described

NAMES = {
    **{
        f"user.cadc.{name}": name
        for name in ("uri", "publisher_id", "observation", "target_name", "product_type",
                     "checksum", "release", "cached")
    },
    "user.mime_type": "content_type",
    "user.xdg.origin.url": "url",
}  # fmt: skip
"""Attributes, and which fact of a file's description each of them is."""


class OperationsWithXattrs(Operations):
    """Tells what is known of an artifact as its extended attributes, too."""

    @answers_errno
    async def getxattr(self, inode: InodeT, name: bytes, ctx: RequestContext) -> bytes:
        # Most of what is asked is not ours (security.selinux, ACLs), and must cost nothing.
        fact = NAMES.get(os.fsdecode(name))
        value = "" if fact is None else (await self._facts(inode)).get(fact, "")
        if not value:
            raise FUSEError(errno.ENODATA)
        return value.encode("utf-8", "surrogateescape")

    @answers_errno
    async def listxattr(self, inode: InodeT, ctx: RequestContext) -> Sequence[bytes]:
        facts = await self._facts(inode)
        return [name.encode() for name, fact in NAMES.items() if facts.get(fact)]

    async def _facts(self, inode: int) -> dict[str, str]:
        node = self.inodes.node(inode)
        return await node.description() if is_described(node) else {}
