"""pyfuse3 handlers: convert, delegate, reply.

The kernel holds a directory's lock round lookup, readdir and all that would write, so none of
those waits for the network: a name that is not known yet gets a provisional answer that the
kernel may not keep, and getattr, opendir and open, which hold no lock, find out.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from pathlib import Path

import pyfuse3
import trio
from pyfuse3 import EntryAttributes, FileHandleT, FileInfo, FUSEError, InodeT, RequestContext

from cadcfs.cache.asker import on_behalf_of
from cadcfs.errors import RemoteChanged
from cadcfs.kernel.callers import caller_of
from cadcfs.kernel.errnos import answers_errno
from cadcfs.kernel.failures import Failures
from cadcfs.kernel.forgetting import forget_attributes, forget_names
from cadcfs.kernel.handles import HandleTable, OpenDirectory, OpenFile
from cadcfs.kernel.inodes import InodeTable
from cadcfs.kernel.interrupts import Interrupts
from cadcfs.kernel.lending import Lending
from cadcfs.kernel.replies import Replies
from cadcfs.kernel.requests import Requests
from cadcfs.kernel.sizes import Sizes
from cadcfs.kernel.walks import Walks
from cadcfs.kernel.writing import WRITES, Writable
from cadcfs.tree.control import CONTROL_NAMES, Controls
from cadcfs.tree.names import LONGEST
from cadcfs.tree.node import (
    LONG,
    Child,
    Directory,
    File,
    Node,
    is_directory,
    is_file,
    is_for_all,
    is_outdated,
    is_provisional,
    is_symlink,
    is_writable_directory,
    is_writable_file,
    patience,
)

LAST_RESORT = 150.0
"""Seconds after which a read ends although bytes come, if ever so slowly."""
GRACE = 0.5
"""Seconds for the layers below to say in words that the time is up."""

OF_THE_MOUNT = "/.cadcfs/"
OF_NOBODYS_JOBS = "/jobs/"
"""How keys begin of jobs that were made without a login; those of an account say whose they are."""
"""Beginning of the keys of what tells of the mount, not of the archive."""
BY_HANDLE = frozenset({"read", "write", "flush", "fsync", "release"})
"""Handlers that are told an open file, not an inode ..."""
BY_DIRECTORY_HANDLE = frozenset({"readdir", "releasedir"})
"""... or an open directory."""


class Operations(Writable):
    """Answers the kernel from the tree."""

    enable_writeback_cache = False

    def __init__(
        self, root: Directory, controls: Controls, failures: Failures, disk: Path, sizes: Sizes,
        walks: Walks, patience: float,
    ) -> None:  # fmt: skip
        super().__init__()
        self.inodes = InodeTable(root)
        self._controls = controls
        controls.changed = self._forget_names
        self._failures = failures
        self.requests = Requests()
        self.interrupts = Interrupts()
        self.files: HandleTable[OpenFile] = HandleTable()
        self.directories: HandleTable[OpenDirectory] = HandleTable()
        self.lending = Lending()
        self._disk = disk
        self._sizes = sizes
        self._walks = walks
        self._limit = patience + GRACE
        self._uid = os.getuid()
        self._replies = Replies(self.inodes)
        self._shown = EntryAttributes()

    @answers_errno
    async def lookup(self, parent: InodeT, name: bytes, ctx: RequestContext) -> EntryAttributes:
        if name in (b".", b".."):
            # Asked by NFS servers alone; the tree keeps no way up.
            raise FUSEError(errno.ENOENT)
        if len(name) > LONGEST:
            raise FUSEError(errno.ENAMETOOLONG)
        generation, text = self.inodes.generation, os.fsdecode(name)
        child = await self._child(self._directory(parent), text)
        if child is None:
            raise FUSEError(errno.ENOENT)
        number = self.inodes.number(child.node)
        node = self.inodes.remember(number, child.node, parent, text, generation)
        attributes = self._replies.attributes(node, certain=child.certain)
        return self._replies.entry(number, attributes, LONG if child.certain else 0, generation)

    @answers_errno
    async def forget(self, inode_list: Sequence[tuple[InodeT, int]]) -> None:
        for inode, lookups in inode_list:
            self.inodes.forget(inode, lookups)

    @answers_errno
    async def getattr(self, inode: InodeT, ctx: RequestContext) -> EntryAttributes:
        node, generation = self.inodes.node(inode), self.inodes.generation
        with self._waiting(ctx, self._limit):
            if is_directory(node):
                await node.confirm()
                return self._replies.entry(inode, self._replies.directory(node), LONG, generation)
            if is_symlink(node):
                await node.find()
            if not is_file(node):
                return self._replies.entry(inode, self._replies.attributes(node), LONG, generation)
            return await self._file_entry(inode, node, ctx, generation)

    async def _file_entry(
        self, inode: int, node: File, ctx: RequestContext, generation: int
    ) -> EntryAttributes:
        if is_provisional(node):
            # The number that the name has from now on: cp compares it before and after it opens.
            node = await node.find()
            entry = await self._file_entry(self.inodes.number(node), node, ctx, generation)
            entry.attr_timeout = 0
            return entry
        if is_outdated(node):
            # The kernel looks the name up again by itself, and finds the new version's inode.
            raise RemoteChanged(f"{node.key}: another version has taken its place")
        known = node.attributes_now()
        if known is None:
            known = await self._sizes.find(inode, node, ctx) or self._replies.unmade(node)
        return self._replies.entry(inode, known, LONG, generation)

    @answers_errno
    async def opendir(self, inode: InodeT, ctx: RequestContext) -> FileHandleT:
        directory, generation = self._directory(inode), self.inodes.generation
        with self._waiting(ctx, self._limit):
            entries = await directory.entries()
        return FileHandleT(self.directories.add(OpenDirectory(inode, entries, generation)))

    @answers_errno
    async def readdir(self, fh: FileHandleT, start_id: int, token: pyfuse3.ReaddirToken) -> None:
        directory = self.directories[fh]
        self.lending.check(directory.generation)
        for index in range(start_id, len(directory.entries) + 2):
            if not self._show(directory, index, token):
                break

    def _show(self, directory: OpenDirectory, index: int, token: pyfuse3.ReaddirToken) -> bool:
        """Reply with one entry; False when the kernel's buffer is full."""
        inode, entries, generation = directory.inode, directory.entries, directory.generation
        if index < 2:
            # pyfuse3 adds neither; they are not lookups and are not counted.
            attributes = self._replies.entry(inode, self._replies.dots(), 0)
            shown = pyfuse3.readdir_reply(token, (b".", b"..")[index], attributes, index + 1)
            return bool(shown)
        name, node = entries.names[index - 2], entries.nodes[index - 2]
        number = self.inodes.number(node, entries.numbers[index - 2])
        entries.numbers[index - 2] = number
        # One object for all entries: a directory may have a million.
        known = self._replies.attributes(node)
        self._replies.fill(self._shown, number, known, entries.valid, generation)
        if not pyfuse3.readdir_reply(token, os.fsencode(name), self._shown, index + 1):
            return False
        self.inodes.remember(number, node, inode, name, generation)
        return True

    @answers_errno
    async def releasedir(self, fh: FileHandleT) -> None:
        self.directories.remove(fh)

    @answers_errno
    async def readlink(self, inode: InodeT, ctx: RequestContext) -> bytes:
        node = self.inodes.node(inode)
        if not is_symlink(node):
            raise FUSEError(errno.EINVAL)
        with self._waiting(ctx, self._limit):
            return os.fsencode(await node.find())

    @answers_errno
    async def open(self, inode: InodeT, flags: int, ctx: RequestContext) -> FileInfo:
        node, generation = self.inodes.node(inode), self.inodes.generation
        if flags & WRITES:
            return await self.open_to_write(inode, flags, ctx.pid)
        if not is_file(node):
            raise FUSEError(errno.EISDIR)
        if node.is_control and not is_writable_file(node) and ctx.uid not in (0, self._uid):
            # The modes say so, too; but what they say may be told otherwise (`allow_other`).
            raise FUSEError(errno.EACCES)
        self._sizes.opened(inode)
        # What is read of the mount itself may be what an account leaves by.
        lasting = is_for_all(node) or node.key.startswith((OF_THE_MOUNT, OF_NOBODYS_JOBS))
        with self._waiting(ctx, patience(node, self._limit), lasting=lasting):
            opened = await node.open()
        lent_in = None if lasting or node.is_control else generation
        return FileInfo(
            fh=FileHandleT(self.files.add(OpenFile(opened, inode, ctx.pid, lent_in))),
            direct_io=node.is_control,
            keep_cache=not node.is_control and not is_writable_file(node),
        )

    @answers_errno
    async def read(self, fh: FileHandleT, offset: int, size: int) -> bytes:
        file = self.files[fh]
        if file.lent_in is not None:
            self.lending.check(file.lent_in)
        here = file.opened.read_now(offset, size)
        if here is not None:
            return here
        if not file.admitted:
            self._walks.refuse_indexer(caller_of(file.opener, 0))
            file.admitted = True
        lent = nullcontext() if file.lent_in is None else self.lending.until_left()
        with self.interrupts.waiting(file.opener, LAST_RESORT), lent:
            try:
                return await file.opened.read(offset, size)
            except RemoteChanged:
                await forget_attributes(file.inode)
                raise

    async def _forget_names(self, directory: Directory, names: Sequence[str]) -> None:
        await forget_names(self.inodes.number(directory), names)

    @answers_errno
    async def release(self, fh: FileHandleT) -> None:
        await self.files.remove(fh).opened.aclose()

    @answers_errno
    async def access(self, inode: InodeT, mode: int, ctx: RequestContext) -> bool:
        # default_permissions: the kernel has checked the modes before it asks.
        node = self.inodes.node(inode)
        return is_writable_directory(node) or is_writable_file(node) or not mode & os.W_OK

    @answers_errno
    async def statfs(self, ctx: RequestContext) -> pyfuse3.StatvfsData:
        found = await trio.to_thread.run_sync(_space, self._disk)
        reply = pyfuse3.StatvfsData()
        for name in ("f_bsize", "f_frsize", "f_blocks", "f_bfree", "f_bavail"):
            setattr(reply, name, getattr(found, name))
        reply.f_files = len(self.inodes)
        reply.f_ffree = reply.f_favail = 0
        reply.f_namemax = LONGEST
        return reply

    async def described(self, inode: int, node: Node) -> EntryAttributes:
        if is_file(node) and node.attributes_now() is None:
            return self._replies.entry(inode, await node.attributes(), 0)
        return self._replies.entry(inode, self._replies.attributes(node), 0)

    def note_failure(self, handler: str, place: object, number: int, reason: str) -> None:
        """Remember a failure for the `.error` of its directory (`errnos.Noting`)."""
        inode = self.concerned(handler, place)
        if inode is None:
            return
        for concerned in {inode, self.inodes.parent(inode)}:
            node = self.inodes.get(concerned)
            if node is not None and is_directory(node):
                self._failures.note(node.key, number, reason)

    def concerned(self, handler: str, place: object) -> int | None:
        """The inode that *handler* was called for; *place* is its first argument."""
        if not isinstance(place, int):
            return None
        if handler in BY_HANDLE:
            file = self.files.get(place)
            return 0 if file is None else file.inode
        if handler in BY_DIRECTORY_HANDLE:
            directory = self.directories.get(place)
            return None if directory is None else directory.inode
        return place

    def opener(self, handler: str, place: object) -> int:
        """The thread that opened what *handler* was called for; 0 where nobody knows."""
        found = self.files.get(place) if handler in BY_HANDLE and isinstance(place, int) else None
        return 0 if found is None else found.opener

    def show(self, root: Directory, controls: Controls) -> list[int]:
        """Answer from another tree from now on; returns the numbers of all that may be other."""
        self._controls = controls
        return self.inodes.switch(root)

    def leave(self, why: str) -> None:
        """What an account alone may see is not shown any more, also not through what is open."""
        self.lending.leave(self.inodes.generation + 1, why)

    async def find_anew(self, inode: int) -> None:
        """Have the node of *inode* at hand (`errnos.Finding`); ESTALE where it is another file.

        Where a path led to it, the kernel then walks that path again, and asks for each name.
        """
        generation, (parent, name) = self.inodes.generation, self.inodes.place(inode)
        if not name:
            raise FUSEError(errno.ESTALE)
        if self.inodes.get(parent) is None:
            await self.find_anew(parent)
        child = await self._child(self._directory(parent), name)
        if child is None or self.inodes.number(child.node) != inode:
            raise FUSEError(errno.ESTALE)
        if generation == self.inodes.generation:
            self.inodes.renew(inode, child.node)

    @contextmanager
    def _waiting(
        self, ctx: RequestContext, seconds: float, *, lasting: bool = False
    ) -> Iterator[None]:
        """Let what is inside take *seconds* at most, for the caller alone.

        It ends when an account leaves, if it is not *lasting*.
        """
        asker = self._walks.asker(ctx.pid, ctx.uid)
        left = nullcontext() if lasting else self.lending.until_left()
        with on_behalf_of(asker), self.interrupts.waiting(ctx.pid, seconds), left:
            yield

    async def _child(self, directory: Directory, name: str) -> Child | None:
        if name in CONTROL_NAMES:
            return self._controls.child(directory, name)
        return await directory.child(name)

    def _directory(self, inode: int) -> Directory:
        node = self.inodes.node(inode)
        if not is_directory(node):
            raise FUSEError(errno.ENOTDIR)
        return node


def _space(directory: Path) -> os.statvfs_result:
    """Of the file system that *directory* is on, or was before somebody took it away."""
    while True:
        try:
            return os.statvfs(directory)
        except FileNotFoundError:
            directory = directory.parent
