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


class InodeTable:
    """The nodes that the kernel knows. For the event loop only.

    When somebody else asks the archive from now on (`switch`), the numbers stay and the nodes go,
    but for those that are the same for everybody: each is found anew by its name when the kernel
    asks for it.
    """

    def __init__(self, root: Node) -> None:
        self._nodes: dict[int, Node] = {ROOT: root}
        self._counts: dict[int, int] = {ROOT: 1}
        self._places: dict[int, tuple[int, str]] = {ROOT: (ROOT, "")}
        self.generation = 0

    def __len__(self) -> int:
        return len(self._counts)

    def get(self, inode: int) -> Node | None:
        """The node, None where the kernel does not know it, or it is to be found anew."""
        return self._nodes.get(inode)

    def node(self, inode: int) -> Node:
        """The node; raises `StaleInodeError` where it is to be found anew."""
        found = self._nodes.get(inode)
        if found is None:
            raise StaleInodeError(inode)
        return found

    def number(self, node: Node, before: int = 0) -> int:
        """The number of *node*, whether the kernel knows it or not; *before* is what it was."""
        if before and self._nodes.get(before, node) is node:
            return before
        number = _hashed(node.key)
        while True:
            held = self._nodes.get(number)
            if number > ROOT and (held is None or held.key == node.key):
                return number
            number = (number + 1) % (1 << 64)

    def place(self, number: int) -> tuple[int, str]:
        """In which directory, and under which name, the kernel found *number* last."""
        return self._places.get(number, (ROOT, ""))

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
        self._places[number] = (parent, name)
        self._counts[number] = self._counts.get(number, 0) + 1
        if generation is not None and generation != self.generation:
            return self._nodes.get(number, node)
        return self._nodes.setdefault(number, node)

    def renew(self, number: int, node: Node) -> None:
        """*node* was found anew under *number*."""
        if number in self._counts:
            self._nodes.setdefault(number, node)

    def switch(self, root: Node) -> list[int]:
        """Have everything found anew below *root*; returns the numbers that it concerns."""
        kept = {number: node for number, node in self._nodes.items() if is_for_all(node)}
        self._nodes = {**kept, ROOT: root}
        self.generation += 1
        return [number for number in self._counts if number not in kept]

    def forget(self, number: int, lookups: int) -> None:
        left = self._counts.get(number, 0) - lookups
        if left > 0 or number == ROOT:
            self._counts[number] = max(left, 1)
            return
        self._counts.pop(number, None)
        self._nodes.pop(number, None)
        self._places.pop(number, None)


def _hashed(key: str) -> int:
    raw = key.encode("utf-8", "surrogateescape")
    # 63 bits: some programs still read inode numbers into signed integers.
    return int.from_bytes(hashlib.blake2b(raw, digest_size=8).digest(), "big") >> 1
