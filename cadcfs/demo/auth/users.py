"""The people of the embedded archive and their groups.

The passwords are no secret: they are the names, and the archive answers on this machine only.
"""

from __future__ import annotations

from dataclasses import dataclass

from cadcfs.demo.auth.caller import Caller

TEAM = "ivo://cadc.nrc.ca/gms?CADCFS-DEMO-TEAM"
"""The group that proprietary data of the embedded archive name in their read groups."""


@dataclass(frozen=True, slots=True)
class User:
    """A person with a password."""

    name: str
    password: str
    groups: frozenset[str] = frozenset()

    @property
    def caller(self) -> Caller:
        """What the services see of a user who has logged in."""
        return Caller(self.name, self.groups)


USERS = (
    User("demo", "demo", frozenset({TEAM})),
    User("guest", "guest"),
)
"""The owner of the proprietary data, and somebody who has an account and nothing else."""


def user_named(name: str) -> User | None:
    """Return a user by name."""
    return next((user for user in USERS if user.name == name), None)
