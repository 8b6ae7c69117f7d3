"""Other spellings of listed names, as symbolic links to them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

from cadcfs.config import NameStyle
from cadcfs.tree.names import archive_value, directory_name, folded, underscored


class OtherSpelling:
    """A symbolic link from a spelling to the listed name."""

    __slots__ = ("key", "target")

    def __init__(self, key: str, target: str) -> None:
        self.key = key
        self.target = target

    async def find(self) -> str:
        return self.target


class Spellings:
    """Listed names and their values, and which other spellings lead to exactly one of them."""

    def __init__(self, values: Sequence[str], style: NameStyle) -> None:
        self.source = values
        self.style = style
        self.values = {directory_name(value, self.style): value for value in values}
        self._folded: defaultdict[str, list[str]] = defaultdict(list)
        for name, value in self.values.items():
            self._folded[folded(value)].append(name)

    def resolve(self, name: str) -> str | None:
        """The one listed name that *name* is another spelling of."""
        if (own := directory_name(name, self.style)) in self.values:
            return own
        try:
            value = archive_value(name)
        except ValueError:
            return None
        found = self._folded.get(folded(value or ""), []) or self._underscored(name)
        return found[0] if len(found) == 1 else None

    def _underscored(self, name: str) -> list[str]:
        """The listed names of which *name* has an underscore for all that is not plain."""
        wanted = name.casefold()
        return [n for n, value in self.values.items() if underscored(value) == wanted]
