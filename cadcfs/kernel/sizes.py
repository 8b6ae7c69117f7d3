"""What stat tells of a file whose size is not known yet: it depends on who asks.

A program that is known only to look sees size 0 and has nothing made. Every other one waits for
the truth: a program that trusts a false 0 silently stores an empty file.
"""

from __future__ import annotations

from pyfuse3 import RequestContext

from cadcfs.kernel.allowance import StatAllowance
from cadcfs.kernel.callers import Lookers, caller_of
from cadcfs.tree.node import Attributes, File, is_made


class Sizes:
    """Finds out, for those who may know."""

    def __init__(self, lookers: Lookers, allowance: StatAllowance) -> None:
        self._lookers = lookers
        self._allowance = allowance

    async def find(self, inode: int, node: File, ctx: RequestContext) -> Attributes | None:
        """The attributes of *node*; None for a looker where they are not known.

        Raises
        ------
        Busy
            The caller has had too much made by stat.
        """
        known = node.attributes_now()
        if known is not None:
            return known
        caller = caller_of(ctx.pid, ctx.uid)
        if self._lookers.has(caller):
            return None
        if not is_made(node):
            return await node.attributes()
        async with self._allowance.turn(caller.group, inode, str(caller)) as turn:
            made = await node.attributes()
            turn.size = made.size
        return made

    def opened(self, inode: int) -> None:
        """The file is opened: what a stat had made of it was wanted."""
        self._allowance.opened(inode)
