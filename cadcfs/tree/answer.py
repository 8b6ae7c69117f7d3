"""The answer to one question: to be had from anywhere, or only if nothing need be asked for it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, Generic, TypeVar

from cadcfs.cache.listings import Listings

T = TypeVar("T")
U = TypeVar("U")


class Answer(Generic[T]):
    """What memory or disk hold under a key, or else what *load* brings."""

    def __init__(
        self, listings: Listings, key: str, load: Callable[[], Awaitable[Any]], fresh: float,
        read: Callable[[Any], T],
    ) -> None:  # fmt: skip
        """*fresh* is for how many seconds it is believed; *read* makes what is meant of it."""
        self._listings = listings
        self._key = key
        self._load = load
        self._fresh = fresh
        self._read = read

    async def get(self) -> T:
        """The answer, asked for if need be; raises what `Listings.get` and the load raise."""
        return self._read(await self._listings.get(self._key, self._load, self._fresh))

    async def known(self) -> T | None:
        """The answer, of any age, if there ever was one; never asks the network."""
        found = await self._listings.recall(self._key)
        return None if found is None else self._read(found)

    @property
    def heard_ns(self) -> int:
        """When the answer in memory was heard, in nanoseconds since 1970; 0 without one."""
        return int((self._listings.stored(self._key) or 0) * 10**9)

    def then(self, read: Callable[[T], U]) -> Answer[U]:
        """The same answer, read in another way."""
        first = self._read
        return Answer(
            self._listings, self._key, self._load, self._fresh, lambda found: read(first(found))
        )
