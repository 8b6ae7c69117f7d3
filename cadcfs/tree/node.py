"""What every thing in the tree can do: the protocols between the kernel's side and the tree."""

from __future__ import annotations

import os
import stat
from array import array
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeAlias, TypeGuard

LONG = 300.0
"""Seconds that the kernel may believe what cannot change under a version."""


@dataclass(frozen=True, slots=True)
class Attributes:
    """What stat shows.

    Parameters
    ----------
    mode
        Type and permission bits.
    size
        Bytes.
    mtime_ns
        Nanoseconds since 1970 (UTC).
    valid
        Seconds that the kernel may keep this; 0 while something is not known yet.
    """

    mode: int
    size: int
    mtime_ns: int
    valid: float = LONG


class Opened(Protocol):
    """An open file of one version."""

    def read_now(self, offset: int, size: int) -> bytes | None:
        """The bytes if they are here, else None; never waits."""

    async def read(self, offset: int, size: int) -> bytes:
        """The bytes; fewer than asked only at the end of the file."""

    async def aclose(self) -> None: ...


class File(Protocol):
    """A regular file; one node is one version for its whole life."""

    @property
    def key(self) -> str:
        """What makes it this file in this version; the inode number follows from it."""

    @property
    def is_control(self) -> bool:
        """True where each opening makes a new content, so that nothing may be kept of it."""

    def attributes_now(self) -> Attributes | None:
        """The attributes if they are known, else None; never waits."""

    async def attributes(self) -> Attributes: ...

    async def open(self) -> Opened: ...


class Described(File, Protocol):
    """A file of which more is known than stat can tell."""

    async def description(self) -> dict[str, str]:
        """Facts by name; "" for what nobody knows. Never waits long."""


class Replaceable(File, Protocol):
    """A file of which the archive may get another version."""

    @property
    def is_outdated(self) -> bool:
        """True once another version is known; the next lookup of the name finds that."""


class Provisional(File, Protocol):
    """A name in a directory that is not known any more."""

    async def find(self) -> File:
        """The file that it is; `NotFound` if there is none."""


class Symlink(Protocol):
    """Another spelling of a name."""

    @property
    def key(self) -> str: ...

    @property
    def target(self) -> str | None:
        """Where it leads, None while that is not known; never waits."""

    async def find(self) -> str:
        """Where it leads; may ask the archive, and says `NotFound` where it leads nowhere."""


class Directory(Protocol):
    """A directory; opening it may ask the archive, looking a name up never does."""

    @property
    def key(self) -> str: ...

    async def confirm(self) -> None:
        """Find out that it exists; `NotFound` if it does not."""

    async def entries(self) -> Entries:
        """Everything that is in it, whole or an error."""

    async def child(self, name: str) -> Child | None:
        """What *name* is, from what is known; never waits for the network."""


class Written(Opened, Protocol):
    """A file that is open for writing, and for reading as well."""

    async def write(self, offset: int, data: bytes) -> int:
        """Take *data*; returns how many bytes of it."""

    async def flush(self) -> None:
        """One of its descriptors was closed; what was written meanwhile counts from now on."""

    async def sync(self) -> None:
        """Return when what was written would survive a power cut."""


class WritableFile(File, Protocol):
    """A file of a job, which takes what is written."""

    async def open_to_write(self, *, truncate: bool) -> Written:
        """`ReadOnly` where it cannot be written any more."""

    async def truncate(self, size: int) -> None: ...


class WritableDirectory(Directory, Protocol):
    """A directory that files are made in, by hand. Nothing here waits for the network."""

    @property
    def changed_ns(self) -> int:
        """When something was made or removed in it, in nanoseconds since 1970."""

    async def make_directory(self, name: str) -> Directory: ...

    async def create(self, name: str) -> tuple[WritableFile, Written]:
        """A new file under *name*, open; `Exists` if there is one."""

    async def remove(self, name: str) -> None: ...

    async def remove_directory(self, name: str) -> None: ...

    async def move(self, name: str, target: Directory, new: str, *, replace: bool) -> None:
        """Give *name* the name *new* in *target*, in the place of what is there if *replace*."""


Node: TypeAlias = File | Symlink | Directory


@dataclass(frozen=True, slots=True)
class Child:
    """A node under a name; not certain while its directory has not been listed."""

    node: Node
    certain: bool = True


class Entries:
    """A directory's content at one moment: names in order, and their nodes.

    *valid* is how many seconds the kernel may believe that the names are still there. *numbers*
    are kept for whoever gives the nodes numbers; 0 where that was not done yet.
    """

    def __init__(self, names: Sequence[str], nodes: Sequence[Node], valid: float = LONG) -> None:
        self.names = names
        self.nodes = nodes
        self.valid = valid
        self.numbers = array("Q", bytes(8 * len(names)))

    @classmethod
    def of(cls, children: dict[str, Node], valid: float = LONG) -> Entries:
        names = sorted(children)
        return cls(names, [children[name] for name in names], valid)

    def __len__(self) -> int:
        return len(self.names)

    def __iter__(self) -> Iterator[tuple[str, Node]]:
        return zip(self.names, self.nodes, strict=True)


def directory_attributes(mtime_ns: int, valid: float = LONG, mode: int = 0o555) -> Attributes:
    return Attributes(stat.S_IFDIR | mode, 0, mtime_ns, valid)


def writable_directory_attributes(directory: WritableDirectory) -> Attributes:
    return Attributes(stat.S_IFDIR | 0o755, 0, directory.changed_ns, valid=0)


def symlink_attributes(link: Symlink, mtime_ns: int) -> Attributes:
    target = link.target
    if target is None:
        return Attributes(stat.S_IFLNK | 0o777, 0, mtime_ns, valid=0)
    return Attributes(stat.S_IFLNK | 0o777, len(os.fsencode(target)), mtime_ns)


# Told apart by what only one of them can do: isinstance() of a Protocol checks every member and
# costs a microsecond for each of them, at every entry of every listing.
def is_directory(node: Node) -> TypeGuard[Directory]:
    return hasattr(node, "entries")


def is_outdated(node: Node) -> bool:
    """True for a file that is not the archive's version any more."""
    return bool(getattr(node, "is_outdated", False))


def is_file(node: Node) -> TypeGuard[File]:
    return hasattr(node, "attributes_now")


def is_described(node: Node) -> TypeGuard[Described]:
    return hasattr(node, "description")


def is_for_all(node: Node) -> bool:
    """True for what is the same whoever has logged in."""
    found: bool = getattr(node, "is_for_all", False)
    return found


def is_provisional(node: File) -> TypeGuard[Provisional]:
    return hasattr(node, "find")


def is_made(node: File) -> bool:
    """True for a file that is made to learn its size, and so must not be made for lookers."""
    return hasattr(node, "is_made")


def is_symlink(node: Node) -> TypeGuard[Symlink]:
    return hasattr(node, "target")


def is_writable_directory(node: Node) -> TypeGuard[WritableDirectory]:
    return hasattr(node, "make_directory")


def is_writable_file(node: Node) -> TypeGuard[WritableFile]:
    return hasattr(node, "open_to_write")


def permissions(node: Node, usual: int) -> int:
    """Permission bits, where *node* has others than the *usual* ones."""
    found: int = getattr(node, "permissions", usual)
    return found


def changed_ns(node: Node, usual: int) -> int:
    """When *node* changed last, where that is known before it is made."""
    found: int = getattr(node, "changed_ns", usual)
    return found


def patience(node: File, usual: float) -> float:
    """Seconds that opening *node* may take; a file may have its own."""
    found: float = getattr(node, "patience", usual)
    return found
