"""inode number <-> node, with the kernel's lookup counts.

A number is a 64-bit hash of the node's key, so it is the same after a remount; a collision takes
the next free number. 0 and 1 are never handed out (0 is "no inode", 1 the root).
"""

from __future__ import annotations

import hashlib

from cadcfs.tree.node import Node

ROOT = 1


class InodeTable:
    """The nodes that the kernel knows. For the event loop only."""

    def __init__(self, root: Node) -> None:
        self._nodes: dict[int, Node] = {ROOT: root}
        self._counts: dict[int, int] = {ROOT: 1}
        self._parents: dict[int, int] = {ROOT: ROOT}

    def __len__(self) -> int:
        return len(self._nodes)

    def get(self, inode: int) -> Node | None:
        """The node, None where the kernel does not know it."""
        return self._nodes.get(inode)

    def node(self, inode: int) -> Node:
        return self._nodes[inode]

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

    def parent(self, number: int) -> int:
        """The directory in which the kernel found *number* last; ROOT where it forgot."""
        return self._parents.get(number, ROOT)

    def remember(self, number: int, node: Node, parent: int) -> Node:
        """Count one lookup; the node that was there first stays, with what it has found out."""
        self._parents[number] = parent
        self._counts[number] = self._counts.get(number, 0) + 1
        return self._nodes.setdefault(number, node)

    def forget(self, number: int, lookups: int) -> None:
        left = self._counts.get(number, 0) - lookups
        if left > 0 or number == ROOT:
            self._counts[number] = max(left, 1)
            return
        self._counts.pop(number, None)
        self._nodes.pop(number, None)
        self._parents.pop(number, None)


def _hashed(key: str) -> int:
    raw = key.encode("utf-8", "surrogateescape")
    # 63 bits: some programs still read inode numbers into signed integers.
    return int.from_bytes(hashlib.blake2b(raw, digest_size=8).digest(), "big") >> 1
