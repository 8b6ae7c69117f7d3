"""Files that are made when they are wanted, and directories of such files.

A looker sees size 0 for what is not made and makes nothing; everybody else's stat, and every
open, makes the file and hears its true size. In a directory the files that follow the one that
was asked for are made ahead, a few at a time.
"""

from __future__ import annotations

import stat
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from cadcfs.cache.records import Made
from cadcfs.cache.whole import Maker, Wholes
from cadcfs.errors import Forbidden, NotFound, RemoteChanged
from cadcfs.tree.node import LONG, Attributes, Entries, Opened

AHEAD = 16
"""Files of a directory that are made ahead of the one that was asked for."""


@dataclass(frozen=True)
class Recipe:
    """How a file is made.

    Parameters
    ----------
    key
        What makes it this file: what it is made of, in which version, and how.
    make
        Writes it; see `cadcfs.cache.whole`.
    mtime_ns
        Of what it is made of.
    closed
        Tells why it may not be read, None if it may; that changes with time.
    mode
        Tells its permission bits where it may be read.
    """

    key: str
    make: Maker
    mtime_ns: int
    closed: Callable[[], str | None] = lambda: None
    mode: Callable[[], int] = lambda: 0o444


class MadeFile:
    """One made file, in one generation of its content."""

    __slots__ = ("_ahead", "_closed", "_generation", "_recipe", "_wholes", "key")

    is_control = False
    is_made = True

    def __init__(self, wholes: Wholes, recipe: Recipe, ahead: Callable[[], None]) -> None:
        known = wholes.known(recipe.key)
        self._generation = known.generation if known else 0
        self._closed = recipe.closed()
        closed = "closed" if self._closed else "public"
        self.key = f"made {recipe.key} {self._generation} {closed}"
        self._wholes = wholes
        self._recipe = recipe
        self._ahead = ahead

    @property
    def permissions(self) -> int:
        """Permission bits, also before it is made."""
        return self._recipe.mode()

    def attributes_now(self) -> Attributes | None:
        if self._closed:
            return Attributes(stat.S_IFREG, 0, self._recipe.mtime_ns)
        made = self._wholes.known(self._recipe.key)
        if made is None or made.generation != self._generation:
            return None
        return Attributes(
            stat.S_IFREG | self._recipe.mode(), made.size, self._recipe.mtime_ns, LONG
        )

    async def attributes(self) -> Attributes:
        if self._closed is None:
            self._ahead()
            self._check(await self._wholes.make(self._recipe.key, self._recipe.make))
        known = self.attributes_now()
        assert known is not None
        return known

    async def open(self) -> Opened:
        if (closed := self._recipe.closed()) is not None:
            raise Forbidden(closed)
        self._ahead()
        made, opened = await self._wholes.open(self._recipe.key, self._recipe.make)
        try:
            self._check(made)
        except RemoteChanged:
            await opened.aclose()
            raise
        return opened

    def _check(self, made: Made) -> None:
        """The kernel may hold pages and the size of another generation under this inode."""
        if made.generation != self._generation:
            raise RemoteChanged(f"{self._recipe.key} is another file than it was")


class MadeFiles:
    """The made files of one directory, by name; those that cannot be made are not there."""

    def __init__(
        self, wholes: Wholes, recipes: Mapping[str, Recipe], *, ahead: int = AHEAD
    ) -> None:
        self._wholes = wholes
        self._ahead = ahead
        self._recipes = dict(sorted(recipes.items()))
        self._order = list(self._recipes)
        self._places = {name: place for place, name in enumerate(self._order)}

    @property
    def recipes(self) -> Mapping[str, Recipe]:
        return self._recipes

    async def entries(self) -> Entries:
        """All of them; asks the disk alone."""
        await self._wholes.recall(recipe.key for recipe in self._recipes.values())
        return Entries.of(
            {
                name: self._file(name)
                for name, recipe in self._recipes.items()
                if not self._wholes.is_refused(recipe.key)
            }
        )

    async def find(self, name: str) -> MadeFile:
        """The one under *name*; `NotFound` if there is none."""
        recipe = self._recipes.get(name)
        if recipe is not None:
            await self._wholes.recall([recipe.key])
            if not self._wholes.is_refused(recipe.key):
                return self._file(name)
        raise NotFound(f"there is no {name} here")

    def _file(self, name: str) -> MadeFile:
        return MadeFile(self._wholes, self._recipes[name], lambda: self._make_ahead(name))

    def _make_ahead(self, name: str) -> None:
        first = self._places[name] + 1
        following: Sequence[str] = self._order[first : first + self._ahead]
        recipes = [self._recipes[other] for other in following]
        self._wholes.ahead([(r.key, r.make) for r in recipes if r.closed() is None])
