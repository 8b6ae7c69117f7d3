"""What an account alone may see, and has open: it is given nothing more once the account leaves."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import trio

from cadcfs.errors import Forbidden


class Lending:
    """Tells whether the account is still there for which something was opened."""

    def __init__(self) -> None:
        self._waiting: set[trio.CancelScope] = set()
        self._left = 0
        self._why = ""

    def check(self, generation: int) -> None:
        """`Forbidden` for what was begun before an account left."""
        if generation < self._left:
            raise Forbidden(self._why)

    def leave(self, generation: int, why: str) -> None:
        """End what was begun before *generation*, with the reason."""
        self._left, self._why = generation, why
        for scope in self._waiting:
            scope.cancel()

    @contextmanager
    def until_left(self) -> Iterator[None]:
        """Let what is inside wait until the account leaves; `Forbidden` then."""
        scope = trio.CancelScope()
        self._waiting.add(scope)
        try:
            with scope:
                yield
        finally:
            self._waiting.discard(scope)
        if scope.cancelled_caught:
            raise Forbidden(self._why)
