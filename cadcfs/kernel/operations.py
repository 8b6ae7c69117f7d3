"""pyfuse3 handlers: convert, delegate, reply.

The kernel holds a directory's lock round lookup, readdir and all that would write, so none of
those waits for the network: a name that is not known yet gets a provisional answer that the
kernel may not keep, and getattr, opendir and open, which hold no lock, find out.
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from pathlib import Path

import pyfuse3
import trio
from pyfuse3 import EntryAttributes, FileHandleT, FileInfo, FUSEError, InodeT, RequestContext

from cadcfs.cache.asker import on_behalf_of
from cadcfs.errors import RemoteChanged
from cadcfs.kernel.callers import caller_of
from cadcfs.kernel.errnos import answers_errno
from cadcfs.kernel.failures import Failures
from cadcfs.kernel.handles import HandleTable
from cadcfs.kernel.inodes import InodeTable
from cadcfs.kernel.interrupts import Interrupts
from cadcfs.kernel.lending import Lending
from cadcfs.kernel.requests import Requests
from cadcfs.kernel.sizes import Sizes
from cadcfs.kernel.walks import Walks
from cadcfs.kernel.writing import WRITES, Writable
from cadcfs.tree.control import CONTROL_NAMES, Controls
from cadcfs.tree.names import LONGEST
from cadcfs.tree.node import (
    LONG,
    Attributes,
    Child,
    Directory,
    Entries,
    File,
    Node,
    Opened,
    changed_ns,
    directory_attributes,
    is_directory,
    is_file,
    is_for_all,
    is_outdated,
    is_provisional,
    is_symlink,
    is_writable_directory,
    is_writable_file,
    patience,
    permissions,
    symlink_attributes,
    writable_directory_attributes,
)

LAST_RESORT = 150.0
"""Seconds after which a read ends although bytes come, if ever so slowly."""
GRACE = 0.5
"""Seconds for the layers below to say in words that the time is up."""

BUFFER = 64 * 1024
"""Bytes that Python and the C library read at once (st_blksize). One that reads as much as the
kernel's read-ahead (128 KiB) is taken for sequential, and costs 384 KiB for a header (measured)."""


OF_THE_MOUNT = "/.cadcfs/"
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
        self._reading: dict[int, int] = {}
        self._admitted: set[int] = set()
        self.requests = Requests()
        self.interrupts = Interrupts()
        # With the thread that opened it: a read does not say who asks.
        self.files: HandleTable[tuple[Opened, int]] = HandleTable()
        self.directories: HandleTable[tuple[int, Entries, int]] = HandleTable()
        self.lending = Lending()
        self._disk = disk
        self._sizes = sizes
        self._walks = walks
        self._limit = patience + GRACE
        self._uid, self._gid = os.getuid(), os.getgid()
        self._started_ns = time.time_ns()
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
        attributes = self._attributes_now(node, certain=child.certain)
        return self._entry(number, attributes, LONG if child.certain else 0, generation)

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
                return self._entry(inode, self._directory_attributes(node), LONG, generation)
            if is_symlink(node):
                await node.find()
            if not is_file(node):
                return self._entry(inode, self._attributes_now(node), LONG, generation)
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
            known = await self._sizes.find(inode, node, ctx) or self._unmade(node)
        return self._entry(inode, known, LONG, generation)

    @answers_errno
    async def opendir(self, inode: InodeT, ctx: RequestContext) -> FileHandleT:
        directory, generation = self._directory(inode), self.inodes.generation
        with self._waiting(ctx, self._limit):
            entries = await directory.entries()
        return FileHandleT(self.directories.add((inode, entries, generation)))

    @answers_errno
    async def readdir(self, fh: FileHandleT, start_id: int, token: pyfuse3.ReaddirToken) -> None:
        inode, entries, generation = self.directories[fh]
        self.lending.check_generation(generation)
        for index in range(start_id, len(entries) + 2):
            if not self._show(inode, entries, index, token, generation):
                break

    def _show(
        self, inode: int, entries: Entries, index: int, token: pyfuse3.ReaddirToken, generation: int
    ) -> bool:
        """Reply with one entry; False when the kernel's buffer is full."""
        if index < 2:
            # pyfuse3 adds neither; they are not lookups and are not counted.
            attributes = self._entry(inode, directory_attributes(self._started_ns), 0)
            shown = pyfuse3.readdir_reply(token, (b".", b"..")[index], attributes, index + 1)
            return bool(shown)
        name, node = entries.names[index - 2], entries.nodes[index - 2]
        number = self.inodes.number(node, entries.numbers[index - 2])
        entries.numbers[index - 2] = number
        # One object for all entries: a directory may have a million.
        known = self._attributes_now(node)
        self._fill(self._shown, number, known, entries.valid, generation)
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
        lasting = node.key.startswith(OF_THE_MOUNT)
        with self._waiting(ctx, patience(node, self._limit), lasting=lasting):
            opened = await node.open()
        handle = FileHandleT(self.files.add((opened, ctx.pid)))
        self._reading[handle] = inode
        if not (node.is_control or is_for_all(node)):
            self.lending.lend(handle, generation)
        return FileInfo(
            fh=handle,
            direct_io=node.is_control,
            keep_cache=not node.is_control and not is_writable_file(node),
        )

    @answers_errno
    async def read(self, fh: FileHandleT, offset: int, size: int) -> bytes:
        opened, pid = self.files[fh]
        self.lending.check(fh)
        here = opened.read_now(offset, size)
        if here is not None:
            return here
        if fh not in self._admitted:
            # Once a handle: to look into /proc costs more than a read from the disk.
            self._walks.refuse_indexer(caller_of(pid, 0))
            self._admitted.add(fh)
        lent = self.lending.until_left() if self.lending.is_lent(fh) else nullcontext()
        with self.interrupts.waiting(pid, LAST_RESORT), lent:
            try:
                return await opened.read(offset, size)
            except RemoteChanged:
                await self._forget_attributes(self._reading[fh])
                raise

    async def _forget_names(self, directory: Directory, names: Sequence[str]) -> None:
        """Let the kernel look names up again that mean something else now; from a thread, too."""
        inode = self.inodes.number(directory)

        def invalidate() -> None:
            for name in names:
                with contextlib.suppress(OSError):
                    pyfuse3.invalidate_entry(InodeT(inode), os.fsencode(name))

        if names:
            await trio.to_thread.run_sync(invalidate, abandon_on_cancel=True)

    async def _forget_attributes(self, inode: int) -> None:
        """Let the kernel ask again: from a thread, for it may wait for locks that calls hold.

        Its pages stay: they are of the old version, as the inode is.
        """
        with contextlib.suppress(OSError):
            await trio.to_thread.run_sync(
                pyfuse3.invalidate_inode, InodeT(inode), True, abandon_on_cancel=True
            )

    @answers_errno
    async def release(self, fh: FileHandleT) -> None:
        opened, _ = self.files.remove(fh)
        try:
            await opened.aclose()
        finally:
            self._reading.pop(fh, None)
            self._admitted.discard(fh)
            self.lending.release(fh)

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
            return self._entry(inode, await node.attributes(), 0)
        return self._entry(inode, self._attributes_now(node), 0)

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
            return self._reading.get(place, 0)
        if handler in BY_DIRECTORY_HANDLE:
            found = self.directories.get(place)
            return None if found is None else found[0]
        return place

    def opener(self, handler: str, place: object) -> int:
        """The thread that opened what *handler* was called for; 0 where nobody knows."""
        found = self.files.get(place) if handler in BY_HANDLE and isinstance(place, int) else None
        return 0 if found is None else found[1]

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

    def _attributes_now(self, node: Node, *, certain: bool = True) -> Attributes:
        if is_symlink(node):
            return symlink_attributes(node, self._started_ns)
        if is_file(node):
            return node.attributes_now() or self._unmade(node)
        return self._directory_attributes(node, LONG if certain else 0)

    def _directory_attributes(self, node: Node, valid: float = LONG) -> Attributes:
        if is_writable_directory(node):
            return writable_directory_attributes(node)
        return directory_attributes(self._started_ns, valid, permissions(node, 0o555))

    def _unmade(self, node: File) -> Attributes:
        """A file whose size is not known yet; nothing of it may be kept."""
        mode = stat.S_IFREG | permissions(node, 0o444)
        return Attributes(mode, 0, changed_ns(node, self._started_ns), valid=0)

    def _entry(
        self,
        inode: int,
        attributes: Attributes,
        entry_valid: float,
        generation: int | None = None,
    ) -> EntryAttributes:
        entry = EntryAttributes()
        self._fill(entry, inode, attributes, entry_valid, generation)
        return entry

    def _fill(
        self,
        entry: EntryAttributes,
        inode: int,
        attributes: Attributes,
        entry_valid: float,
        generation: int | None,
    ) -> None:
        """*generation* is when the answer was begun: what is older now may not be kept."""
        if generation is not None and generation != self.inodes.generation:
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


def _space(directory: Path) -> os.statvfs_result:
    """Of the file system that *directory* is on, or was before somebody took it away."""
    while True:
        try:
            return os.statvfs(directory)
        except FileNotFoundError:
            directory = directory.parent
