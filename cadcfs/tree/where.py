"""`where/`: a result narrowed by the columns of its own metadata."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Protocol

from cadcfs.archive.conditions import parse_condition
from cadcfs.tree.hints import README, hint
from cadcfs.tree.junk_names import is_junk
from cadcfs.tree.names import directory_name, typed_value
from cadcfs.tree.node import Child, Directory, Entries, Node
from cadcfs.tree.selection import Selection
from cadcfs.tree.spellings import OtherSpelling

if TYPE_CHECKING:
    from cadcfs.tree.result import Asked


class Narrowed(Directory, Protocol):
    """The directory of a selection."""

    async def is_known(self) -> bool:
        """True where it is known to be there."""


Open = Callable[[Selection, str, "Asked"], Narrowed]
"""The directory of a selection, from its key and who hears that it was asked."""


class WhereDirectory:
    """Conditions; any that can be evaluated opens."""

    def __init__(self, selection: Selection, key: str, opened: Open) -> None:
        self.key = key
        self._selection = selection
        self._opened = opened
        self._recent = selection.catalogue.recent(key)

    async def confirm(self) -> None:
        return

    async def entries(self) -> Entries:
        children: dict[str, Node] = {README: hint("where")}
        for name in await self._recent.names():
            if (node := self._below(name)) is not None:
                children[name] = node
        return Entries.of(children)

    async def child(self, name: str) -> Child | None:
        if name == README:
            return Child(hint("where"))
        if is_junk(name):
            return None
        node = self._below(name)
        if node is None or isinstance(node, OtherSpelling):
            return None if node is None else Child(node)
        return Child(node, certain=await node.is_known())

    def _below(self, name: str) -> Narrowed | OtherSpelling | None:
        """The result under *name*; raises `BadRequest` for what is no condition."""
        text = typed_value(name)
        if text is None:
            return None
        condition = parse_condition(text)
        listed = directory_name(text, self._selection.catalogue.names)
        if listed != name:
            return OtherSpelling(f"{self.key}/{name}", listed)
        asked = partial(self._recent.note, name)
        return self._opened(self._selection.narrowed(condition), f"{self.key}/{name}", asked)
