"""inode number <-> node, with the kernel's lookup counts.

A number is a 64-bit hash of the node's key, so it is the same after a remount; a collision takes
the next free number. 0 and 1 are never handed out (0 is "no inode", 1 the root).
"""

from __future__ import annotations

import hashlib

from cadcfs.tree.node import Node, is_for_all

ROOT = 1


class StaleInodeError(Exception):
    """The kernel knows a number whose node has to be found anew."""

    def __init__(self, inode: int) -> None:
        super().__init__(f"inode {inode}")
        self.inode = inode


class _Known:
    """One inode that the kernel holds: its node, None where it is to be found anew, how often it
    was looked up, and in which directory and under which name the last time."""

    __slots__ = ("lookups", "name", "node", "parent")

    def __init__(self, node: Node | None, parent: int, name: str) -> None:
        self.node = node
        self.lookups = 1
        self.parent = parent
        self.name = name


class InodeTable:
    """The nodes that the kernel knows. For the event loop only.

    When somebody else asks the archive from now on (`switch`), the numbers stay and the nodes go,
    but for those that are the same for everybody: each is found anew by its name when the kernel
    asks for it.
    """

    def __init__(self, root: Node) -> None:
        # One object for each, not three entries: there are as many as a listing has files.
        self._known: dict[int, _Known] = {ROOT: _Known(root, ROOT, "")}
        self.generation = 0

    def __len__(self) -> int:
        return len(self._known)

    def get(self, inode: int) -> Node | None:
        """The node, None where the kernel does not know it, or it is to be found anew."""
        known = self._known.get(inode)
        return None if known is None else known.node

    def node(self, inode: int) -> Node:
        """The node; raises `StaleInodeError` where it is to be found anew."""
        found = self.get(inode)
        if found is None:
            raise StaleInodeError(inode)
        return found

    def number(self, node: Node, before: int = 0) -> int:
        """The number of *node*, whether the kernel knows it or not; *before* is what it was."""
        if before:
            held = self.get(before)
            if held is None or held is node:
                return before
        number = _hashed(node.key)
        while True:
            held = self.get(number)
            if number > ROOT and (held is None or held.key == node.key):
                return number
            number = (number + 1) % (1 << 64)

    def place(self, number: int) -> tuple[int, str]:
        """In which directory, and under which name, the kernel found *number* last."""
        known = self._known.get(number)
        return (ROOT, "") if known is None else (known.parent, known.name)

    def parent(self, number: int) -> int:
        """The directory in which the kernel found *number* last; ROOT where it forgot."""
        return self.place(number)[0]

    def path(self, number: int) -> str:
        """The path below the mount by which the kernel found *number* last."""
        names: list[str] = []
        # A directory that went into itself would be a bug; this ends all the same.
        while number != ROOT and len(names) < 64:
            number, name = self.place(number)
            names.append(name or "?")
        return "/" + "/".join(reversed(names))

    def remember(
        self, number: int, node: Node, parent: int, name: str, generation: int | None = None
    ) -> Node:
        """Count one lookup; the node that was there first stays, with what it has found out.

        A node of an earlier *generation* is counted, and found anew when it is wanted.
        """
        is_current = generation is None or generation == self.generation
        known = self._known.get(number)
        if known is None:
            self._known[number] = _Known(node if is_current else None, parent, name)
            return node
        known.lookups += 1
        known.parent, known.name = parent, name
        if known.node is None and is_current:
            known.node = node
        return node if known.node is None else known.node

    def renew(self, number: int, node: Node) -> None:
        """*node* was found anew under *number*."""
        known = self._known.get(number)
        if known is not None and known.node is None:
            known.node = node

    def switch(self, root: Node) -> list[int]:
        """Have everything found anew below *root*; returns the numbers that it concerns."""
        concerned = []
        for number, known in self._known.items():
            if known.node is None or not is_for_all(known.node):
                known.node = None
                concerned.append(number)
        self._known[ROOT].node = root
        self.generation += 1
        return concerned

    def forget(self, number: int, lookups: int) -> None:
        known = self._known.get(number)
        if known is None:
            return
        known.lookups -= lookups
        if number == ROOT:
            known.lookups = max(known.lookups, 1)
        elif known.lookups <= 0:
            del self._known[number]


def _hashed(key: str) -> int:
    raw = key.encode("utf-8", "surrogateescape")
    # 63 bits: some programs still read inode numbers into signed integers.
    return int.from_bytes(hashlib.blake2b(raw, digest_size=8).digest(), "big") >> 1
