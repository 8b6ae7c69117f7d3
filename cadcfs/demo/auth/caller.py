"""Who asks: the one record that every service reads.

Middleware puts it into the ASGI scope before any service sees the request, so that an endpoint
says `caller_of(request.scope)` and never looks at a header of its own. What the caller may see
is decided by `cadcfs.demo.auth.access`.
"""

from __future__ import annotations

from collections.abc import Mapping, MutableMapping
from dataclasses import dataclass
from typing import Any

_KEY = "cadcfs.caller"


@dataclass(frozen=True, slots=True)
class Caller:
    """A user and the groups that the user is in; without a name, nobody in particular.

    Groups are whole identifiers, `ivo://cadc.nrc.ca/gms?NAME`, as CAOM's read groups hold them.
    """

    name: str | None = None
    groups: frozenset[str] = frozenset()

    @property
    def is_anonymous(self) -> bool:
        """Nobody has logged in."""
        return self.name is None

    def may_use(self, owner: str | None) -> bool:
        """Say whether a job of *owner* is this caller's to see; one without an owner is anybody's.

        Elsewhere the answer is 403 "permission denied" (UWS 1.1, section 4).
        """
        return owner is None or owner == self.name


ANONYMOUS = Caller()


def caller_of(scope: Mapping[str, Any]) -> Caller:
    """Return who sent a request, by its ASGI scope (`request.scope`)."""
    found = scope.get(_KEY, ANONYMOUS)
    assert isinstance(found, Caller)
    return found


def set_caller(scope: MutableMapping[str, Any], caller: Caller) -> None:
    """Leave who asks where `caller_of` finds it."""
    scope[_KEY] = caller
